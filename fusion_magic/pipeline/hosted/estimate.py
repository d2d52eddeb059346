"""What a hosted fusion would cost: one call, billed for all that goes on inside."""

from __future__ import annotations

from ..estimate import ONCE, CallEstimate, RunEstimate
from ..plan import Chair
from ..spans import NONE


def together(chair: Chair, inner: list[CallEstimate]) -> CallEstimate:
    """The row of the one call, from those of the models inside it; without any nothing is known of its price."""
    whole = RunEstimate(tuple(inner))
    read, written = sum((row.input_tokens for row in inner), NONE), sum((row.output_tokens for row in inner), NONE)
    cost = None if whole.unpriced or not inner else whole.cost
    return CallEstimate("hosted", "", chair.model, chair.price, ONCE, read, written, cost, whole.seconds)
