"""A cell's run and its picture: what is kept when the reader stops it twice, or when it can't be drawn."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import FusionInterrupted, FusionResult, Line, scripted
from fusion_magic.api import request_for
from fusion_magic.jupyter import flags
from fusion_magic.jupyter.cell import Cell
from fusion_magic.jupyter.show import Show

from .conftest import Cells


class Watched(Show):
    """A picture during which something happens."""

    happens: Any = None

    def redraw(self) -> None:
        super().redraw()
        if self.happens:
            self.happens()


def begun(cell: Cells) -> tuple[Cell, Watched, list[FusionResult]]:
    kept: list[FusionResult] = []
    show = Watched(cell.shell, flags.parse("--static"), clicks=False)
    return Cell(request_for("What?", models=["a/one"]), show, kept.append), show, kept


def test_an_interrupt_behind_the_stop_button_still_ends_what_runs_on(cell: Cells) -> None:
    with scripted({"*": Line("Never.", first_token=600)}):
        run, show, kept = begun(cell)

        def stop_then_interrupt() -> None:
            if show.happens and run._running.state.started:
                show.happens = None
                run.stop()
                raise KeyboardInterrupt

        show.happens = stop_then_interrupt
        with pytest.raises(FusionInterrupted):
            run.wait()

    assert [result.status for result in kept] == ["cancelled"]


def test_stopping_alone_returns_what_there_is(cell: Cells) -> None:
    with scripted({"*": Line("Never.", first_token=600)}):
        run, show, kept = begun(cell)
        show.happens = lambda: run.stop() if run._running.state.started else None

        result = run.wait()

    assert result.status == "cancelled"
    assert kept == [result]


def test_a_result_that_can_not_be_drawn_is_kept_and_named(cell: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    class Undrawable(flags.Line):
        @property
        def record(self) -> bool:  # type: ignore[override]
            raise ZeroDivisionError

    parsed = flags.parse("--static")
    asked = object.__new__(Undrawable)
    for name in ("settings", "into", "static", "raw", "quiet", "background", "teach"):
        object.__setattr__(asked, name, getattr(parsed, name))
    kept: list[FusionResult] = []
    with scripted({"*": "Paris."}):
        run = Cell(request_for("What?", models=["a/one"]), Show(cell.shell, asked, clicks=False), kept.append)

        result = run.wait()

    assert result.answer == "Paris."
    assert len(kept) == 1
    assert "can't be drawn (ZeroDivisionError()); it is kept in _fusion" in capsys.readouterr().out
