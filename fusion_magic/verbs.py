"""What can be done with a result: each verb is the request of a new run that takes over what was paid for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from ._loop import loop_thread
from .api import Model, Running
from .chosen import checked
from .errors import FusionError, SettingsError
from .events import CUT_OFF, UNENDED
from .pipeline.given import Given, Turn, taken_over
from .pipeline.material import NAMED, Material, gather
from .pipeline.request import FusionRequest
from .pipeline.strategies.strategy import OPTIONS
from .prompts import TURNS_VERSION
from .request import refuse_keys, thread_so_far
from .results import FusionResult, dollars
from .settings import ASKED, BUILT_IN, LABELS, Panel, Settings, build_settings

STOPPED = (None, "Cancelled.")  # errors of calls that were broken off by the run, not by who was asked
CHANGED = " (changed)"
SPEAKERS = {"judge": "the judge", "synthesis": "the synthesizer", "hosted": "OpenRouter"}
SIMPLE = ("fusion", "self")  # strategies that go on from what the result has, without a store


def load(run: str) -> FusionResult:
    """The result of an earlier run from the store, also of one that was cut off; `resume()` goes on with that.

    Args:
        run: its id, or so much of the beginning that no other has it; `%fusion history` lists them.

    Raises:
        SettingsError: there is no such run; the sentence names the nearest.
    """
    from .store import open_store

    return open_store().load(run)


def carried_out(request: FusionRequest) -> FusionResult:
    """Run what a verb asks for, and print what was saved. Raises as `fuse`."""
    if loop_thread().is_current:
        raise FusionError("A result's verbs can't wait inside a run's own event loop; use them in another thread.")
    result = Running(request).wait()
    if not request.given.alone:
        print(told(result))
    return result


def told(result: FusionResult) -> str:
    """What a result kept of an earlier one: "8 of 10 answers were kept, saved $0.11; asked: the judge."."""
    asked = dict.fromkeys(_who(call.stage, call.label) for call in result.calls if not call.reused)
    kept = [call for call in result.calls if call.reused]
    places = {*asked, *(_who(call.stage, call.label) for call in kept)}
    places |= {_who("panel", seat.label) for seat in result.responses}
    known = [call.saved for call in kept if call.saved is not None]
    least = "" if len(known) == len(kept) else "at least "
    saved = f", saved {least}{dollars(sum(known))}" if sum(known) else ""
    whom = ", ".join(asked) or "nobody"
    return f"{len(places - asked.keys())} of {len(places)} answers were kept{saved}; asked: {whom}."


def _who(stage: str, label: str) -> str:
    return f"seat {label}" if stage == "panel" else SPEAKERS[stage]


Namespace = Mapping[str, Any] | None  # the variables that names of tools, frames, collections and files may mean


def rejudge(
    result: FusionResult,
    judge: Model | None = None,
    rubric: str | None = None,
    namespace: Namespace = None,
    **settings: Any,
) -> FusionRequest:
    """The request behind `FusionResult.rejudge`."""
    check_answered(result)
    changes = _given(judge=judge, rubric=rubric)
    request = asked_again(result, changes if changes or settings else {"fresh": "judge"}, settings, namespace)
    return replace(request, given=taken_over(result, letters_of(result)))


def resynthesize(
    result: FusionResult,
    synthesizer: Model | None = None,
    rulings: Mapping[str, str] | str | None = None,
    namespace: Namespace = None,
    **settings: Any,
) -> FusionRequest:
    """The request behind `FusionResult.resynthesize`."""
    check_answered(result)
    ruled = rulings if isinstance(rulings, str) else "\n".join(f"{at}: {said}" for at, said in (rulings or {}).items())
    refuse_keys(ruled)
    changes = _given(synthesizer=synthesizer)
    is_same = not (changes or settings or ruled)
    request = asked_again(result, {"fresh": "synthesis"} if is_same else changes, settings, namespace)
    notes = (*request.notes, f"The synthesizer was told to take as settled: {ruled}") if ruled else request.notes
    return replace(request, given=taken_over(result, letters_of(result), analysis=True, rulings=ruled), notes=notes)


def add(result: FusionResult, model: Model, namespace: Namespace = None, **settings: Any) -> FusionRequest:
    """The request behind `FusionResult.add`."""
    seats = panel_of(result).models
    if len(seats) >= len(LABELS):
        raise SettingsError(f"The panel has {len(seats)} seats, which is the most; drop one first.")
    request = asked_again(result, {"models": (*seats, model), "quorum": None}, settings, namespace, asks_seats=True)
    return replace(request, given=taken_over(result, letters_of(result)))


def drop(result: FusionResult, seat: str, namespace: Namespace = None, **settings: Any) -> FusionRequest:
    """The request behind `FusionResult.drop`."""
    dropped = _letter(result, seat)
    if not any(response.label != dropped for response in result.responses):
        raise SettingsError(f"No seat but {dropped} has an answer; add another one before you drop it.")
    left = tuple(other for other in panel_of(result).models if other.label != dropped)
    letters = {other.label: new for other, new in zip(left, LABELS, strict=False)}
    request = asked_again(result, {"models": left}, settings, namespace)
    return replace(request, given=taken_over(result, letters))


def retry_failed(result: FusionResult, namespace: Namespace = None, **settings: Any) -> FusionRequest:
    """The request behind `FusionResult.retry_failed`."""
    failed = {seat.label for seat in result.failed_models if not seat.skipped}
    again = failed or {seat.label for seat in result.failed_models}
    if not again:
        raise SettingsError("No seat failed; there is nothing to ask again.")
    request = asked_again(result, {"quorum": None}, settings, namespace, asks_seats=True)
    return replace(request, given=taken_over(result, letters_of(result, without=again)))


def resume(result: FusionResult, namespace: Namespace = None, **settings: Any) -> FusionRequest:
    """The request behind `FusionResult.resume`."""
    is_hosted = result.settings.get("engine") == "openrouter"
    if not result.responses if is_hosted else result.settings.get("strategy", SIMPLE[0]) not in SIMPLE:
        return _carry_on(result, namespace, settings)
    stopped = set(_stopped(result))
    was_judged = result.analysis is not None or result.status != "limited"
    if result.answer is not None and was_judged and not stopped:
        raise SettingsError(f"Run {result.id} is finished; rejudge() or resynthesize() make another answer of it.")
    if not stopped:
        check_answered(result)
    is_judged = not stopped and result.analysis is not None and not _given(**settings).keys() & {"judge", "rubric"}
    request = asked_again(result, {}, settings, namespace, asks_seats=bool(stopped))
    given = taken_over(result, letters_of(result, without=stopped), analysis=is_judged)
    return replace(request, given=given, any_age=True)


def _carry_on(result: FusionResult, namespace: Namespace, settings: dict[str, Any]) -> FusionRequest:
    """The same run once more: what has ended is in the store, round by round."""
    if result.status == "ok":
        raise SettingsError(f"Run {result.id} is finished; rejudge() or resynthesize() make another answer of it.")
    options = {name: result.settings[name] for name in ("engine", "strategy", *OPTIONS) if name in result.settings}
    request = asked_again(result, options, settings, namespace, asks_seats=True)
    lost = f"The strategy {request.settings.strategy} goes on from the store, which is turned off: all is asked anew."
    notes = request.notes if request.settings.store else (*request.notes, lost)
    return replace(request, notes=notes, any_age=True)


def ask(result: FusionResult, seat: str, question: str, namespace: Namespace = None, **settings: Any) -> FusionRequest:
    """The request behind `FusionResult.ask`."""
    label = _letter(result, seat)
    answer = next((response.content for response in result.responses if response.label == label), None)
    if answer is None:
        raise SettingsError(f"Seat {label} has not answered; retry_failed() asks it again.")
    refuse_keys(question)
    alone = Panel(models=tuple(other for other in panel_of(result).models if other.label == label))
    changes = {"panel": alone, "quorum": None, "thread": None}
    request = asked_again(result, changes, settings, namespace, asks_seats=True)
    return replace(request, prompt=question, turns=(Turn(result.prompt, answer),), given=Given(alone=True))


def panel_of(result: FusionResult) -> Panel:
    """The panel that a result had. Raises SettingsError if it does not say."""
    if "panel" not in result.settings:
        raise SettingsError(f"Result {result.id} does not say which panel it had.")
    panel = checked(Panel, result.settings["panel"], f"The panel of result {result.id}: ")
    sat = {seat.label: seat.model for seat in (*result.responses, *result.failed_models)}
    known = {seat.label: seat.model for seat in panel.models}
    theirs = result.settings.get("engine") == "openrouter" and sat.items() - known.items()
    if not theirs:
        return panel
    # Of a preset OpenRouter chose who sat.
    return Panel.model_validate({**panel.model_dump(), "models": [sat[label] for label in sorted(sat)]})


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def check_answered(result: FusionResult) -> None:
    if not result.responses:
        raise SettingsError("No seat has answered; retry_failed() asks them again.")


def _letter(result: FusionResult, seat: str) -> str:
    """The seat's letter. Raises SettingsError for one that the panel does not have."""
    seats = {other.label: other.model for other in panel_of(result).models}
    label = seat.strip().upper()
    if label not in seats:
        there = ", ".join(f"{letter} ({model})" for letter, model in seats.items())
        raise SettingsError(f'There is no seat "{seat}"; there are {there}.')
    return label


def letters_of(result: FusionResult, without: Collection[str] = ()) -> dict[str, str]:
    """The seats that have ended, each with its own letter."""
    seats = (*result.responses, *result.failed_models)
    return {seat.label: seat.label for seat in seats if seat.label not in without}


def _stopped(result: FusionResult) -> Iterator[str]:
    """The seats that a stop, a crash or a budget kept from answering; those that failed or were skipped are not.

    Once the judge was asked the panel was over, so only a budget can have left seats out. A hosted seat has no call of
    its own: what was told of its end says which it is.
    """
    if result.settings.get("engine") == "openrouter":
        yield from (seat.label for seat in result.failed_models if seat.error in (CUT_OFF, UNENDED))
        return
    if result.status != "limited" and any(call.stage in ("judge", "synthesis") for call in result.calls):
        return
    for seat in result.failed_models:
        last = next((call for call in reversed(result.calls) if call.label == seat.label), None)
        if not seat.skipped and (last is None or last.error in STOPPED or not last.attempts):
            yield seat.label


def asked_again(
    result: FusionResult,
    changes: Mapping[str, Any],
    chosen: dict[str, Any],
    namespace: Namespace,
    *,
    asks_seats: bool = False,
) -> FusionRequest:
    """The request that asks a result's prompt with its settings, changed by the verb and by what was chosen.

    Raises:
        SettingsError: a setting is not valid, or a value that seats need is not there any more.
    """
    if chosen.keys() & {"panel", "models"}:
        raise SettingsError("The seats stay as they are: add() and drop() change them, fuse() asks another panel.")
    panel, recorded = panel_of(result), {name: value for name, value in result.settings.items() if name != "panel"}
    if _given(**changes, **chosen).keys() & set(ASKED):
        panel = panel.model_copy(update={"name": panel.name.removesuffix(CHANGED)})
    schema = chosen.pop("schema", type(result.parsed) if isinstance(result.parsed, BaseModel) else None)
    material, names, lost = _material(recorded, chosen, namespace or {})
    fields = Settings.model_fields
    # Of that run alone; a verb works on the seats' last answers, with a judge and a synthesizer.
    once = {name: fields[name].default for name in ("fresh", "simulate", "engine", "strategy", *OPTIONS)}
    settings = build_settings({"panel": panel, **recorded, **once, **changes, **chosen, **names})
    refuse_keys(settings.system, settings.rubric)
    if lost and (asks_seats or settings.judge_tools):
        raise SettingsError(_ask_for(lost))
    turns, shortened = thread_so_far(settings, result.prompt)
    notes = (*shortened, *_notes(result, settings, turns, lost))
    return FusionRequest(
        result.prompt,
        settings,
        schema=schema,
        parent=result.id,
        notes=notes,
        material=material,
        turns=turns,
    )


def _notes(
    result: FusionResult, settings: Settings, turns: tuple[Turn, ...], lost: Mapping[str, list[str]]
) -> Iterator[str]:
    """What the new run is not told, while the earlier one was."""
    had_turns = any(TURNS_VERSION in call.prompt_version for call in result.calls)
    if settings.thread and had_turns and not turns:
        yield f"The earlier turns of the thread {settings.thread} are not in this store, and were not told."
    if "attach" in lost:
        yield "Judge and synthesizer were not told of the attachments again."


def _material(
    recorded: Mapping[str, Any], chosen: Mapping[str, Any], namespace: Mapping[str, Any]
) -> tuple[Material, dict[str, Any], dict[str, list[str]]]:
    """The values that a run is given, what they are called, and those of the earlier run that are not there.

    A result has only the names of functions, frames, collections and attachments. They are found in the namespace, or
    given again.
    """
    values, lost = _given(**{name: chosen.get(name) for name in NAMED}), dict[str, list[str]]()
    for kind in NAMED:
        own = [name for name in recorded.get(kind) or () if name not in BUILT_IN]
        if kind in values or not own:
            continue
        if all(name in namespace for name in own):
            values[kind] = tuple(recorded[kind])
        else:
            lost[kind] = own
    named, material = gather((values,), namespace)
    return material, {kind: getattr(named, kind) for kind in values}, lost


def _ask_for(lost: Mapping[str, list[str]]) -> str:
    """The sentence about values that only the earlier run had."""
    kind, names = next(iter(lost.items()))
    had = f"{', '.join(names)} in `{kind}`"
    return f"The run had {had}, which a result does not hold; give it again, {kind}=…, or go on without, {kind}=()."
