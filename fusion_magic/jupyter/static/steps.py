"""What a strategy counted, in words: votes, ballots, changes of mind, and whether the panel was asked."""

from __future__ import annotations

from collections.abc import Iterator

from ...results import FusionResult, Response
from ...votes import Change, standing, tally
from .words import Row


def steps_title(result: FusionResult) -> str:
    """What stands above; nothing where the strategy left nothing but responses and an analysis."""
    return f"Strategy {result.settings.get('strategy', 'fusion')}" if result.earlier or list(steps(result)) else ""


def steps(result: FusionResult) -> Iterator[tuple[str, list[Row]]]:
    """What was counted as (kind, rows), in the order in which it came; empty kinds are left out."""
    kinds = (
        ("Decision", [Row("", result.decision.reason)] if result.decision else []),
        ("Conclusions" if result.decision else "Votes", list(_votes(result))),
        ("Ballots", [Row(ballot.label, " > ".join(ballot.ranking)) for ballot in result.ballots]),
        ("Mean places", [Row(label, f"{place:.2f}") for label, place in standing(result.ballots).items()]),
        ("Who changed their mind", [Row(change.label, _change(change)) for change in result.changes]),
    )
    yield from ((kind, rows) for kind, rows in kinds if rows)


def _votes(result: FusionResult) -> Iterator[Row]:
    """Choices with who gave them, the heaviest first; then who gave none."""
    for choice, weight in tally(result.votes).items():
        seats = ", ".join(vote.label for vote in result.votes if vote.choice == choice)
        yield Row(seats, choice if result.decision else f"{choice} ({weight:.3g})")
    if silent := ", ".join(vote.label for vote in result.votes if vote.choice is None):
        yield Row(silent, "none that could be read")


def _change(change: Change) -> str:
    said = {True: "changed", False: "kept", None: "not said"}[change.changed]
    return f"round {change.round}: {said}{f', {change.reason}' if change.reason else ''}"


def earlier_line(response: Response) -> str:
    """Who wrote an earlier response, and when."""
    return f"{response.label} · round {response.round} · {response.model}"
