"""The tree of errors is the one its docstring draws, and each error is one line that can be sent elsewhere."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import UTC, datetime

import pytest

from fusion_magic import errors
from fusion_magic.results import FusionResult

RESULT = FusionResult(id="r1", created=datetime(2026, 6, 1, tzinfo=UTC), prompt="Why?", settings={})
CLASSES = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and kind.__module__ == errors.__name__
}


def drawn() -> dict[str, str]:
    """Each class in the docstring's tree with the one above it."""
    above: list[str] = []
    parents: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"(?P<stem>[ │├└─]*)(?P<name>[A-Z]\w+)( |$)", line):
            depth = len(found["stem"]) // 4
            above[depth:] = [found["name"]]
            if depth and above[depth - 1 : depth]:
                parents[found["name"]] = above[depth - 1]
    return parents


def test_the_docstring_draws_every_class_under_its_parent():
    parents = {name: kind.__mro__[1].__name__ for name, kind in CLASSES.items() if name != "FusionError"}

    assert drawn() == parents


def test_an_expected_error_is_one_line_in_a_notebook():
    assert errors.UnknownPanel("No such panel.")._render_traceback_() == ["UnknownPanel: No such panel."]
    assert errors.FusionInterrupted("Stopped.", RESULT)._render_traceback_() == ["FusionInterrupted: Stopped."]


def test_an_interrupt_stops_what_any_interrupt_stops():
    assert not issubclass(errors.FusionInterrupted, Exception)
    assert issubclass(errors.FusionInterrupted, KeyboardInterrupt)


@pytest.mark.parametrize("remade", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_can_be_copied_and_sent_to_another_process(remade):
    failed = errors.RateLimited("Slow down.", status_code=429, retryable=True, retry_after=2.0, text="So far")
    lost, stopped = errors.PanelFailed("Nobody.", RESULT), errors.FusionInterrupted("Stopped.", RESULT)

    again = remade(failed)

    assert (type(again), str(again), vars(again)) == (errors.RateLimited, "Slow down.", vars(failed))
    assert (str(remade(lost)), remade(lost).result) == ("Nobody.", RESULT)
    assert (str(remade(stopped)), remade(stopped).result) == ("Stopped.", RESULT)
