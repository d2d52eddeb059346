"""How a result was made, for a methods section: the magic line and a Python script that ask the same again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeGuard

from .characters import plain
from .magic_line import can_be_written_out, written_out
from .presets import PANEL_NAME
from .results import Call, FusionResult, Usage, dollars
from .settings import BUILT_IN, Panel, Panelist, Settings, build_settings
from .verbs import panel_of

LONG = {"allow_domains": "allow-domain", "block_domains": "block-domain"}  # flags of another name than their setting
ONE_EACH = ("corpus", "attach")  # paths, which may hold a comma
NOT_SAID = ("panel", "models", "judge", "synthesizer", "fresh")  # the panel is written out; anew is not the same again
EXPANDED = set("{}$\n\r")  # what IPython would replace in a line, and what no line can hold
CHAIRS = {"judge": "judge", "synthesis": "synthesizer", "hosted": "OpenRouter"}


@dataclass(frozen=True, slots=True, repr=False)
class Recipe:
    """How to ask the same again.

    Attributes:
        line: the `%%fusion` line, to stand above the prompt.
        script: a Python script; its comments say who answered, at what cost, with which prompts and seeds.
    """

    line: str
    script: str

    def __str__(self) -> str:
        return f"{self.line}\n\n{self.script}"

    __repr__ = __str__


def recipe(result: FusionResult) -> Recipe:
    """The recipe of a result. Raises SettingsError if its settings can't be read.

    The line names the models, as the members of a named panel may change. A panel with seats that a line can't write
    out has to be saved first; the script says so.
    """
    panel, settings = panel_of(result), {name: value for name, value in result.settings.items() if name != "panel"}
    chosen = _chosen(build_settings(settings))
    tools = {"tools": panel.tools} if panel.tools and "tools" not in chosen else {}
    flags = {name: _flag(name, value) for name, value in (chosen | tools).items()}
    unsaid = [name for name, words in flags.items() if any(EXPANDED & set(word) for word in words)]
    said = [shlex.quote(word) for name, words in flags.items() if name not in unsaid for word in words]
    name = "" if can_be_written_out(panel) else _name(result)
    asked = ["%%fusion", "--panel", name] if name else written_out(panel)
    raw = ["--raw"] if "{" in result.prompt else []
    return Recipe(" ".join([*asked, *said, *raw]), "\n".join(_script(result, panel, chosen, unsaid, name)))


def _chosen(settings: Settings) -> dict[str, Any]:
    """The settings that are not their defaults."""
    fields = Settings.model_fields
    return {
        name: value
        for name, field in fields.items()
        if name not in NOT_SAID and (value := getattr(settings, name)) != field.default
    }


def _flag(name: str, value: Any) -> list[str]:
    """A setting as words of a line."""
    flag = f"--{LONG.get(name, name).replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if name in ONE_EACH:
        return [f"{flag}={item}" for item in value]
    return [f"{flag}={','.join(value) or 'none'}" if _are_names(value) else f"{flag}={value}"]


def _are_names(value: Any) -> TypeGuard[tuple[str, ...]]:
    return isinstance(value, tuple)


def _name(result: FusionResult) -> str:
    """What to save the panel under."""
    name = f"run-{result.id}"
    return name if PANEL_NAME.fullmatch(name) else "recipe"


def _script(result: FusionResult, panel: Panel, chosen: dict[str, Any], unsaid: list[str], name: str) -> Iterator[str]:
    own = _own(chosen)
    for text in (*_told(result), *_missing(chosen, own, unsaid)):
        yield _comment(text)
    yield ""
    named = [f'save_panel("{name}", PANEL, replace=True)  # for the magic line'] if name else []
    yield f"from fusion_magic import Panel, Panelist, fuse{', save_panel' if named else ''}"
    yield ""
    yield from _text("PROMPT", result.prompt)
    yield from _panel(panel)
    yield from named
    yield ""
    yield "result = fuse("
    yield "    PROMPT,"
    yield "    panel=PANEL,"
    yield from (f"    {setting}={_value(setting, value, own)}," for setting, value in chosen.items())
    yield ")"
    yield "print(result.answer)"
    yield ""


def _told(result: FusionResult) -> Iterator[str]:
    """What the comments say of the run."""
    release = version("fusion-magic")
    yield f"Run {result.id} of {result.created:%Y-%m-%d %H:%M} UTC, written down by fusion_magic {release}."
    yield f'pip install "fusion-magic=={release}"'
    yield ""
    for (stage, label), calls in _by_place(result.calls).items():
        who = f"seat {label}" if stage == "panel" else f"ballot of {label}" if label else CHAIRS[stage]
        yield _calls(who, calls)
    for seat in result.failed_models:
        yield f"seat {seat.label}: {seat.model} did not answer: {seat.error}"
    if result.parent:
        yield ""
        yield f"It was made from run {result.parent}, whose calls it reused; the script asks everything anew."


def _by_place(calls: Iterable[Call]) -> dict[tuple[str, str], list[Call]]:
    places: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        places.setdefault((call.stage, call.label), []).append(call)
    return places


def _calls(who: str, calls: list[Call]) -> str:
    """One line on a seat, the judge or the synthesizer: models, tokens, cost, prompts, seeds."""
    asked = ", ".join(dict.fromkeys(call.model for call in calls))
    served = ", ".join(dict.fromkeys(call.served_model for call in calls if call.served_model))
    usage = sum((call.usage for call in calls if call.usage), Usage())
    costs = [call.saved if call.reused else call.cost for call in calls]
    cost = "not priced" if None in costs else dollars(sum(cost for cost in costs if cost is not None))
    prompts = ", ".join(dict.fromkeys(call.prompt_version for call in calls if call.prompt_version))
    seeds = ", ".join(dict.fromkeys(call.seed for call in calls if call.seed))
    parts = [
        f"{who}: {asked}",
        f"answered as {served or 'not told'}",
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens, {cost}",
        f"prompt {prompts}",
        *([f"order and codes from {seeds}"] if seeds else []),
    ]
    return "; ".join(parts)


def _missing(chosen: dict[str, Any], own: list[str], unsaid: list[str]) -> Iterator[str]:
    """What the reader has to bring, or to know."""
    if own:
        yield f"Define first what the notebook of the run had: {', '.join(own)}."
    for name in ONE_EACH:
        if name in chosen:
            yield f"The result has {', '.join(chosen[name])} in {name} without folders; write where it is now."
    if "thread" in chosen:
        yield f"The run went on from the thread {chosen['thread']}, whose turns are in the store of its machine."
    if unsaid:
        yield f"The magic line lacks {', '.join(unsaid)}: a line can't hold braces, $ or more than one line."


def _own(chosen: dict[str, Any]) -> list[str]:
    """Names of functions and frames of the notebook; what is no name must not become code."""
    names = (*(name for name in chosen.get("tools", ()) if name not in BUILT_IN), *chosen.get("data", ()))
    return [name for name in names if name.isidentifier()]


def _value(setting: str, value: Any, own: list[str]) -> str:
    if setting == "data":
        return f"{{{', '.join(f'{name!r}: {name}' if name in own else f'{name!r}: None' for name in value)}}}"
    if setting == "tools":
        return f"[{', '.join(name if name in own else repr(name) for name in value)}]"
    return repr(list(value)) if _are_names(value) else repr(value)


def _panel(panel: Panel) -> Iterator[str]:
    yield "PANEL = Panel("
    yield "    models=["
    yield from (f"        {_seat(seat)}," for seat in panel.models)
    yield "    ],"
    yield f"    judge={_seat(panel.judge)},"
    yield f"    synthesizer={_seat(panel.synthesizer)},"
    if panel.tools is not None:
        yield f"    tools={list(panel.tools)!r},"
    yield ")"


def _seat(seat: Panelist) -> str:
    given = seat.model_dump(exclude_none=True, exclude={"label"})
    return f"Panelist({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _text(name: str, text: str) -> Iterator[str]:
    """A text as Python, a line for each of its lines."""
    yield f"{name} = ("
    yield from (f"    {line!r}" for line in text.splitlines(keepends=True) or [""])
    yield ")"


def _comment(text: str) -> str:
    """A comment of one line, whatever a server or a model has written into a name."""
    return f"# {' '.join(plain(text).split())}".rstrip()
