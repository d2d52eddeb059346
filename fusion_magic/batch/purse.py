"""The money of a batch: what was paid, what rows under way may still cost, and what is left for the next one."""

from __future__ import annotations

import asyncio

from ..results import dollars

# A row's own limit is at least this many times what a row costs: few are longer, and those are not cut.
AMPLE = 3.0
LEAST = 1e-9  # US dollars; a limit of a run is more than nothing


class Purse:
    """Lives in the event loop of the runs. Each row under way has a limit of its own, and together with what was paid
    these never pass the limit of the batch.

    Args:
        limit: US dollars of the batch, or None.
        per_row: US dollars of a row, or None.
        at_a_time: rows under way at most.

    Attributes:
        paid: US dollars so far.
        paid_rows: rows that were asked.
        is_partial: whether a call may have cost something that `paid` does not hold.
    """

    def __init__(self, limit: float | None, per_row: float | None, at_a_time: int) -> None:
        self.limit, self.per_row = limit, per_row
        self.paid, self.paid_rows, self.is_partial = 0.0, 0, False
        self._expected = 0.0
        self._at_a_time = at_a_time
        self._held = 0.0
        self._changed = asyncio.Event()

    def expect(self, cost: float) -> None:
        """What a row is expected to cost before any has been paid."""
        self._expected = cost

    @property
    def each(self) -> float:
        """US dollars that a row costs: the mean of those that were asked, else what was expected."""
        return self.paid / self.paid_rows if self.paid_rows else self._expected

    @property
    def why_empty(self) -> str:
        """Why no further row is asked."""
        left = max(0.0, (self.limit or 0.0) - self.paid)
        return (
            f"Of the batch's limit (max_usd={self.limit:g}) {dollars(left)} is left, and a row costs about "
            f"{dollars(self.each)}. Run the same call with a higher max_usd to go on."
        )

    async def draw(self) -> float | None:
        """The limit of the next row; waits for rows under way where only they stand in its way. None: no money left."""
        while self.limit is not None:
            free, alone = self.limit - self.paid - self._held, self._held <= LEAST
            # A row may cost less than it is expected to, but is refused with a limit below that.
            likely = max(self.each, self._expected)
            if free > 0 and free >= (self.each if alone else likely):
                own = max(LEAST, min(free, max(AMPLE * likely, free / self._at_a_time)))
                own = own if self.per_row is None else min(own, self.per_row)
                self._held += own
                return own
            if alone:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self.per_row

    def settle(self, drawn: float | None, cost: float | None, *, was_asked: bool, is_partial: bool) -> None:
        """Give back what a row had drawn, and book what it cost.

        Args:
            drawn: as `draw` gave it.
            cost: US dollars, None if not priced.
            was_asked: whether a call of it was asked; a row that the store answered says nothing of what one costs.
            is_partial: whether it may have cost more.
        """
        if self.limit is not None and drawn is not None:
            self._held = max(0.0, self._held - drawn)
        self.paid += cost or 0.0
        self.paid_rows += was_asked
        self.is_partial |= is_partial
        self._changed.set()
