"""Writes reference.md, and the tables of strategies.md and examine.md, from the code. `python docs/generate.py`.

A test compares each with what this makes, so it can't fall behind.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from fusion_magic import errors, results, votes
from fusion_magic.endpoints import Endpoint
from fusion_magic.examine import columns
from fusion_magic.examine.frames import Frames
from fusion_magic.jupyter import commands, flags
from fusion_magic.pipeline.strategies import strategy_named
from fusion_magic.presets import FREE_MEMBER, UserFile, panels
from fusion_magic.settings import Panel, Panelist, Settings, StrategyName

TARGET = Path(__file__).with_name("reference.md")
STRATEGIES_PAGE = Path(__file__).with_name("strategies.md")
EXAMINE_PAGE = Path(__file__).with_name("examine.md")
BEGINS, ENDS = "<!-- made by generate.py -->", "<!-- end -->"
RESULTS = (
    results.FusionResult,
    results.Response,
    results.FailedModel,
    results.Analysis,
    results.Contradiction,
    results.Stance,
    results.PartialCoverage,
    results.UniqueInsight,
    results.Source,
    votes.Vote,
    votes.Ballot,
    votes.Change,
    votes.Decision,
    results.Call,
    results.Usage,
)
ENVIRONMENT = {
    "OPENROUTER_API_KEY": "key for OpenRouter",
    "OPENROUTER_BASE_URL": "another address for OpenRouter",
    "OPENAI_API_KEY": "key for models @openai",
    "FUSION_HOME": "folder for settings, stored keys and caches, instead of the system's usual ones",
    "FUSION_LOCAL_MODEL": "a GGUF file in place of the embedded model",
}


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference\n\nMade by `python docs/generate.py` from the code.",
        "## Flags of `%%fusion`\n\n" + _table(("flag", "what it does"), _flags()),
        f"## `%fusion`\n\n```\n{commands.GUIDE}\n```",
        "## Settings\n\nKeyword arguments of `fuse`, `fuse_async` and `stream`; `%config FusionMagics.NAME = …`; "
        "`[settings]` in `fusion.toml`. What is given in the call wins over `%config`, and that over `fusion.toml`.\n\n"
        + _fields(Settings),
        f"## `Panel` and `Panelist`\n\n{_fields(Panel)}",
        f"A seat is a model's name or a `Panelist`:\n\n{_fields(Panelist)}",
        "## `fusion.toml`\n\n" + _fields(UserFile) + "\n\nAn entry of `[endpoints.NAME]`:\n\n" + _fields(Endpoint),
        "## Panels\n\nScores: DRACO, percent, as published, measured with tools, DRACO only.\n\n"
        + _table(("panel", "models", "judge", "synthesizer", "score", "about"), _panels()),
        "## Results\n\n" + "\n\n".join(_result(kind) for kind in RESULTS),
        "## Errors\n\n```\n" + _tree() + "\n```",
        "## Environment\n\n" + _table(("variable", "what it holds"), ((f"`{k}`", v) for k, v in ENVIRONMENT.items())),
    ]
    return "\n\n".join(parts) + "\n"


def strategies_table() -> str:
    """The table of docs/strategies.md: what each does, what it costs, and what is known of it."""
    rows = (
        (
            f"`{made.name}`",
            made.does,
            made.cost,
            "<br>".join(f"{e.speaks}: {e.finding} ({e.source})" for e in made.evidence),
        )
        for made in map(strategy_named, get_args(StrategyName))
    )
    return _table(("strategy", "what it does", "what it costs", "for and against"), rows)


def strategies(page: str) -> str:
    """The page with its table as the code has it."""
    return _filled(page, strategies_table())


def examine(page: str) -> str:
    """The page with the columns of the frames as the code has them."""
    names = [name for name, kind in vars(Frames).items() if isinstance(kind, property)]
    return _filled(page, _table(("frame", "rows", "columns"), ((f"`{name}`", *_frame(name)) for name in names)))


def _frame(name: str) -> tuple[str, str]:
    about = inspect.getdoc(getattr(Frames, name)) or ""
    told: Mapping[str, tuple[str, str]] = getattr(columns, name.upper())
    return about.splitlines()[0], "<br>".join(f"`{column}`: {says}" for column, (_, says) in told.items())


def _filled(page: str, table: str) -> str:
    before, _, rest = page.partition(BEGINS)
    return f"{before}{BEGINS}\n{table}\n{ENDS}{rest.partition(ENDS)[2]}"


def _flags() -> Iterator[tuple[str, str]]:
    for action in flags.parser()._actions:
        taken = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else "")
        taken = f" {taken}" if taken and action.nargs != 0 else ""
        names = ", ".join(f"`{option}{taken}`" for option in action.option_strings)
        yield names, (action.help or "") % {"prog": "%%fusion"} if action.help is not argparse.SUPPRESS else ""


def _fields(kind: type[BaseModel]) -> str:
    rows = (
        (f"`{name}`", f"`{_type(field.annotation)}`", _default(field), field.description or "")
        for name, field in kind.model_fields.items()
    )
    return _table(("name", "type", "default", "meaning"), rows)


def _type(annotation: Any) -> str:
    """A type as a reader would write it, the same on every version of Python."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _type(parts[0])
    if kind in (Union, UnionType):
        return " | ".join(map(_type, parts))
    if kind is Literal:
        return " | ".join(map(repr, parts))
    if kind is not None:
        return f"{kind.__name__}[{', '.join('…' if part is Ellipsis else _type(part) for part in parts)}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return "" if default in (None, "", (), {}) else f"`{default}`"


def _panels() -> Iterator[tuple[str, ...]]:
    for name, panel in panels().items():
        if panel.models[0].model == FREE_MEMBER:
            yield f"`{name}`", "chosen when it runs", "the first", "the first", "–", panel.about
            continue
        models = ", ".join(f"`{seat.model}`" for seat in panel.models)
        score = f"{panel.score:.1f}" if panel.score is not None else "–"
        chairs = (f"`{seat.model}`" for seat in (panel.judge, panel.synthesizer))
        yield f"`{name}`", models, *chairs, score, f"{panel.about} ({panel.source})"


def _result(kind: type[BaseModel]) -> str:
    computed = [
        (f"`{name}`", "computed", "", inspect.getdoc(value) or "")
        for name, value in vars(kind).items()
        if isinstance(value, property)
    ]
    rows = _fields(kind)
    more = _table((), computed) if computed else ""
    return f"### `{kind.__name__}`\n\n{inspect.getdoc(kind)}\n\n{rows}" + (f"\n{more}" if more else "")


def _tree() -> str:
    return inspect.cleandoc((errors.__doc__ or "").partition("\n\n")[2])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    top = [_row(names), _row("---" for _ in names)] if names else []
    return "\n".join([*top, *map(_row, rows)])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
    STRATEGIES_PAGE.write_text(strategies(STRATEGIES_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    EXAMINE_PAGE.write_text(examine(EXAMINE_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
