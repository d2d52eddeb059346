"""The runs that an audit makes of a result: what they ask, what they would cost, and carrying them out side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .._loop import loop_thread
from ..api import Running, estimate_for
from ..errors import FusionError, SettingsError
from ..pipeline.estimate import RunEstimate
from ..pipeline.given import taken_over
from ..pipeline.request import FusionRequest
from ..pipeline.spans import Span
from ..prices import roughly
from ..results import FusionResult, Stage
from ..settings import LABELS, Panel, Panelist
from ..verbs import asked_again, check_answered, drop, letters_of, panel_of

# What a run of an audit does not take over: other strategies would ask seats again, and failures are not to be acted.
PLAIN: dict[str, object] = {"thread": None, "engine": "kernel", "strategy": "fusion", "simulate": ()}
KEPT = ("judge", "synthesizer", "tools", "max_usd")  # of a panel, whoever sits on it
WHO: dict[Stage, str] = {
    "panel": "of the panel",
    "judge": "of the judge",
    "synthesis": "of the synthesizer",
    "hosted": "of OpenRouter",
}


@dataclass(frozen=True, slots=True)
class AuditPrice:
    """What an audit would ask: how many calls of each stage, and what they would cost; `str` says it in a line.

    Attributes:
        what: what is priced.
        calls: (stage, how many) of the calls that are not in the store, with one for each chair's first call.
        cost: US dollars, low, expected and high; a lower bound if a model is `unpriced`.
        unpriced: models without a known price.
    """

    what: str
    calls: tuple[tuple[Stage, int], ...]
    cost: Span
    unpriced: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.calls:
            return f"{self.what}: nobody is asked; all of it is at hand."
        calls = ", ".join(f"{number} {'call' if number == 1 else 'calls'} {WHO[stage]}" for stage, number in self.calls)
        return f"{self.what}: {calls}, {self._amount()}; what was answered is reused."

    def _amount(self) -> str:
        low, expected, high = map(roughly, self.cost)
        if self.unpriced:
            known = f"at least {expected}" if self.cost.expected else "cost not known"
            return f"{known}, as {', '.join(self.unpriced)} {'is' if len(self.unpriced) == 1 else 'are'} not priced"
        return f"about {expected} ({low} to {high})" if self.cost.high else "no cost"


Confirm = bool | Callable[[AuditPrice], object]


def price_of(what: str, requests: Iterable[FusionRequest]) -> AuditPrice:
    """What requests would cost together, net of what is at hand. Raises SettingsError as their runs would."""
    return priced(what, map(estimate_for, requests))


def priced(what: str, estimates: Iterable[RunEstimate]) -> AuditPrice:
    """Estimates added up."""
    rows = [row for estimate in estimates for row in estimate.planned if not row.reused]
    calls = Counter(row.stage for row in rows)
    return AuditPrice(
        what,
        tuple((stage, calls[stage]) for stage in WHO if calls[stage]),
        sum((row.cost for row in rows if row.cost), Span(0, 0, 0)),
        tuple(dict.fromkeys(row.model for row in rows if row.cost is None)),
    )


def confirm_price(price: AuditPrice, confirm: Confirm) -> None:
    """Print the price and, if `confirm` is set and anybody would be asked, go on only with a yes.

    Args:
        price: what is asked for.
        confirm: True asks with `input`; a function gets the price and says whether to go on.

    Raises:
        FusionError: the answer is no, or nobody can be asked here.
    """
    print(price)
    if confirm is False or not price.calls:
        return
    if not (_typed() if confirm is True else confirm(price)):
        raise FusionError("Nobody was asked, as the price was not confirmed.")


def _typed() -> bool:
    try:
        return input("Ask them? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, NotImplementedError) as exc:  # a program runs the notebook: IPython's error is the second
        raise FusionError("The price can't be confirmed here; nobody was asked. confirm=False goes on.") from exc


def carry_out(requests: Sequence[FusionRequest]) -> list[FusionResult]:
    """Run all of them at the same time. Raises as `fuse` for the first that fails; the others are then stopped."""
    running = [Running(request) for request in requests]
    try:
        return [each.wait() for each in running]
    finally:
        for each in running:
            each.cancel()


def refuse_loop_thread() -> None:
    """Raise FusionError in the thread of the runs, where waiting for one would never end."""
    if loop_thread().is_current:
        raise FusionError("An audit can't wait inside a run's own event loop; make it in another thread.")


# --- what is asked ------------------------------------------------------------------------------------


def judging(result: FusionResult, sample: int = 0, judge: str | Panelist | None = None) -> FusionRequest:
    """The judge alone, who reads the same responses in the order that belongs to `sample`; nobody writes an answer.

    Raises:
        SettingsError: no seat has answered, or the run's settings can't be used any more.
    """
    check_answered(result)
    request = _apart(asked_again(result, {} if judge is None else {"judge": judge}, {}, None))
    return replace(request, given=replace(taken_over(result, letters_of(result)), judged_only=True), sample=sample)


def without(result: FusionResult, label: str) -> FusionRequest:
    """Judge and synthesizer without one seat. Raises SettingsError if it is the only one that answered."""
    return _apart(drop(result, label))


def seated(result: FusionResult, seat: Panelist, count: int) -> FusionRequest:
    """`count` seats of one kind in the panel's place, with its judge and synthesizer; one seat is not judged.

    A seat of the panel that is the same and has answered is not asked again.

    Raises:
        SettingsError: tools, frames or attachments of the run are not at hand, or a setting can't be used.
    """
    old = panel_of(result)
    answered = [label for label in seats_like(result, seat) if any(seat.label == label for seat in result.responses)]
    letters = dict(zip(answered[:count], LABELS, strict=False))
    given = replace(taken_over(result, letters), alone=count == 1)
    panel = Panel(models=(_plain(seat),) * count, **{role: getattr(old, role) for role in KEPT})
    changes = {"panel": panel, "quorum": None}
    asks_seats = len(given.responses) < count
    return replace(_apart(asked_again(result, changes, {}, None, asks_seats=asks_seats)), given=given)


def seats_like(result: FusionResult, seat: Panelist) -> list[str]:
    """Letters of the panel's seats that are asked exactly as this one."""
    return [other.label for other in panel_of(result).models if _plain(other) == _plain(seat)]


def _plain(seat: Panelist) -> Panelist:
    return seat.model_copy(update={"label": ""})


def _apart(request: FusionRequest) -> FusionRequest:
    """The request as no turn of its thread, whose answer it must not replace, and with judge and synthesizer alone."""
    return replace(request, settings=request.settings.model_copy(update=PLAIN))


def told_anew(result: FusionResult, runs: Iterable[FusionResult]) -> tuple[str, ...]:
    """What the runs warn of and the result does not: a judge that failed, attachments that are not there any more."""
    told = dict.fromkeys(text for run in runs for text in run.warnings)
    return tuple(text for text in told if text not in result.warnings)


def needs_answer(result: FusionResult) -> None:
    """Raise SettingsError for a result without an answer, where there is nothing to compare with."""
    if not result.answer:
        raise SettingsError(f"Run {result.id} has no answer; resume() or rejudge() brings one.")
