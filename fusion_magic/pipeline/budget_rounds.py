"""The limit of a run whose chairs are asked in more rounds than one."""

from __future__ import annotations

from ..events import CallEnded, Event, SeatAnswered, SeatFailed
from ..results import Stage
from .budget import Budget, Limit, Place
from .estimate import CallEstimate, RunEstimate, step_of


class RoundsBudget(Budget):
    """What such a run may still spend.

    What all later steps are expected to cost is kept back; those that are asked at one time share the rest in
    proportion to what they are expected to cost. What readers pay for a response that is longer than expected is
    not kept back beforehand, so a late call may find too little: then it is not sent, and the run says so.

    Args:
        limit: None lets everything pass.
        estimate: of this run, with its rounds in their order.
    """

    def __init__(self, limit: Limit | None, estimate: RunEstimate) -> None:
        super().__init__(limit, estimate)
        self._steps = list(dict.fromkeys(step_of(row) for row in estimate.planned))
        self._left: dict[Place, list[CallEstimate]] = {}
        for row in estimate.planned:
            self._left.setdefault((row.stage, row.label), []).append(row)
        self._rows = {place: rows[0] for place, rows in self._left.items()}

    def take(self, event: Event) -> None:
        """Book what the event says, and go on to the next round of whom it is about."""
        super().take(event)
        match event:
            case SeatAnswered(response):
                self._go_on(("panel", response.label), after=response.round)
            case SeatFailed(failed):
                self._left["panel", failed.label] = []
            case CallEnded(call) if call.stage != "panel" and call.error is None:
                self._go_on((call.stage, call.label))
            case _:
                pass

    def _go_on(self, place: Place, after: int | None = None) -> None:
        left = self._left.get(place, [])
        gone = 1 if after is None else sum(row.round <= after for row in left)
        # The judge may be asked twice for its JSON: the last row stays.
        self._left[place] = left[gone:] if len(left) > gone or place[0] == "panel" else left
        if self._left[place]:
            self._rows[place] = self._left[place][0]

    def _share(self, place: Place) -> float:
        assert self.limit is not None
        held = sum(sum(attempt) for attempts in self._held.values() for attempt in attempts)
        row = self._rows.get(place)
        if row is None:
            return self.limit.dollars - self.spent - held
        now = self._steps.index(step_of(row))
        waiting = [other for rows in self._left.values() for other in rows if not other.reused]
        later = sum(_cost(other) for other in waiting if self._steps.index(step_of(other)) > now)
        left = self.limit.dollars - self.spent - held - later
        beside = [
            other
            for other in waiting
            if step_of(other) == step_of(row)
            and ((other.stage, other.label) == place or not self._held.get((other.stage, other.label)))
        ]
        whole = sum(map(_cost, beside))
        return left * _cost(row) / whole if whole and row in beside else left

    def _reading(self, stage: Stage) -> float:
        return 0.0


def _cost(row: CallEstimate) -> float:
    return row.cost.expected if row.cost else 0.0
