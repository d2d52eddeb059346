"""What a run takes over from an earlier result or an earlier turn: it is neither asked nor paid for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeVar

from ..results import Analysis, Call, FailedModel, FusionResult, Response, ToolUse

Labelled = TypeVar("Labelled", Response, FailedModel, Call, ToolUse)

TURNS_LIMIT = 24_000  # characters of earlier turns: some 6,000 tokens, which every panelist pays for in every turn
WORTH_KEEPING = 400  # characters; of a turn that has less room than this nothing is kept
CUT = "[shortened]"


class Turn(NamedTuple):
    """An earlier turn of a conversation."""

    prompt: str
    answer: str

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Given:
    """Parts of an earlier result, under the letters of the new run's seats.

    Attributes:
        responses: seats that are not asked again.
        failed: seats that are not asked again and stay without an answer.
        analysis: taken in place of a judge's, if set.
        calls: the calls these parts came from, as reused ones.
        tools: the calls of tools of these seats.
        rulings: what the reader decided where responses contradict each other, for the synthesizer.
        alone: the one seat's response is the answer: neither judge nor synthesizer is planned or asked.
        judged_only: the run ends with the judge's analysis: no synthesizer is planned or asked, and there is no answer.
    """

    responses: tuple[Response, ...] = ()
    failed: tuple[FailedModel, ...] = ()
    analysis: Analysis | None = None
    calls: tuple[Call, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    rulings: str = ""
    alone: bool = False
    judged_only: bool = False

    @property
    def labels(self) -> frozenset[str]:
        """The letters of the seats that are not asked."""
        return frozenset(seat.label for seat in (*self.responses, *self.failed))


NOTHING = Given()


def taken_over(result: FusionResult, letters: Mapping[str, str], *, analysis: bool = False, rulings: str = "") -> Given:
    """What a new run takes over from a result: these seats, and the analysis if it still fits.

    Args:
        result: the earlier result.
        letters: the seats that are taken over, each with its letter in the new run.
        analysis: whether the judge's part is taken over too; it names seats, so their letters must not change.
        rulings: what the reader decided.
    """
    responses = tuple(_moved(seat, letters) for seat in result.responses if seat.label in letters)
    answered = {label for label in letters if any(seat.label == label for seat in result.responses)}
    kept = [call for call in result.calls if _is_of(call, answered, analysis) and call.error is None]
    used = [use for use in result.tools if _is_of(use, answered, analysis)]
    return Given(
        responses,
        tuple(_relabelled(seat, letters) for seat in result.failed_models if seat.label in letters),
        result.analysis if analysis else None,
        tuple(_relabelled(as_reused(call, result), letters) for call in kept),
        tuple(_relabelled(use, letters) for use in used),
        rulings,
    )


def as_reused(call: Call, result: FusionResult) -> Call:
    """A call of an earlier result as the new one has it: it costs nothing now, and says what it had cost and when."""
    if call.reused:
        return call
    made = result.created + timedelta(seconds=call.started + call.duration)
    return call.model_copy(update={"reused": True, "cost": 0.0, "saved": call.cost, "made": made, "unreported": 0})


def _is_of(what: Call | ToolUse, labels: set[str], analysis: bool) -> bool:
    if what.stage == "hosted":  # the one call that all of it came from
        return bool(labels)
    return what.label in labels if what.stage == "panel" else analysis and what.stage == "judge"


def _relabelled(what: Labelled, letters: Mapping[str, str]) -> Labelled:
    return what.model_copy(update={"label": letters.get(what.label, what.label)})


def _moved(seat: Response, letters: Mapping[str, str]) -> Response:
    """A response under its new letter, for which nothing is paid now."""
    label = letters[seat.label]
    sources = tuple(source.model_copy(update={"labels": (label,)}) for source in seat.sources)
    return seat.model_copy(update={"label": label, "sources": sources, "cost": 0.0})


def bounded(turns: Sequence[Turn], thread: str, limit: int = TURNS_LIMIT) -> tuple[tuple[Turn, ...], str]:
    """The latest turns that fit into `limit` characters, and a sentence about what was left out, or "".

    The oldest turn that has some room left is shortened, so that even one long turn leaves its beginning.
    """
    kept: list[Turn] = []
    room = limit
    for turn in reversed(turns):
        if room < min(turn.size, WORTH_KEEPING):
            break
        kept.insert(0, turn if turn.size <= room else _shortened(turn, room))
        room -= turn.size
    return tuple(kept), _note(thread, len(turns) - len(kept), cut=room < 0)


def _shortened(turn: Turn, room: int) -> Turn:
    """The turn's beginning: at least half of the room for the answer, all that is left of it for the prompt."""
    prompt = _cut(turn.prompt, max(room // 2, room - len(turn.answer)))
    return Turn(prompt, _cut(turn.answer, room - len(prompt)))


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - len(CUT) - 1]} {CUT}"


def _note(thread: str, dropped: int, *, cut: bool) -> str:
    """What was left out, in one sentence."""
    if not dropped and not cut:
        return ""
    first = "the first turn was" if dropped == 1 else f"the first {dropped} turns were"
    parts = [f"{first} left out"] if dropped else []
    parts += ["the oldest one that is left was shortened" if dropped else "the first turn was shortened"] if cut else []
    return f"Thread {thread}: {' and '.join(parts)}."
