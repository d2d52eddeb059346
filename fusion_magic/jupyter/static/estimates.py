"""What a run would cost, as a MIME bundle: a table with every call of the plan, and the same as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..markup import escape, plain
from .page import framed, table

if TYPE_CHECKING:
    from ...pipeline.estimate import RunEstimate


def estimate_bundle(estimate: RunEstimate) -> dict[str, str]:
    """The estimate for a notebook's page and for a terminal."""
    from ...pipeline.estimate_text import HEAD, notes, rows

    below = "".join(f"<p>{escape(note)}</p>" for note in notes(estimate))
    return {"text/html": framed(table(HEAD, rows(estimate)) + below), "text/plain": plain(str(estimate))}
