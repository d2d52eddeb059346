"""Plots of scores: drawn for real, every text inside, hollow where nothing is told apart, a sentence for no picture."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from matplotlib.text import Text

from evals.systems import METHODS, SCORES, drawn, mixed, rows, texts
from fusion_magic.errors import SettingsError
from fusion_magic.evals.plots import pareto
from fusion_magic.evals.report import Report
from fusion_magic.evals.scores import MixedGraders, Scores

pytestmark = pytest.mark.thorough


WIDE = Scores.of({**row, "config": "WIDE " * 30 + row["config"]} for row in rows(12))
FIGURES = {
    **{method: partial(drawn, method) for method in METHODS},
    "wide gains": Report(WIDE, baseline=WIDE.configs[0]).forest,
    "wide pairs": lambda: Report(WIDE).forest((WIDE.configs[0], WIDE.configs[1])),
    "wide dumbbells": lambda: Report(WIDE).dumbbells(*WIDE.configs[:2]),
    "wide steps": lambda: Report(WIDE).waterfall(*WIDE.configs[:3]),
    "wide sections": Report(WIDE).axes,
    "wide costs": Report(WIDE).score_cost,
}


@pytest.mark.parametrize("picture", FIGURES)
def test_every_text_stays_inside_the_picture(picture: str):
    figure: Any = FIGURES[picture]()
    figure.draw_without_rendering()

    for text in (each for each in figure.findobj(Text) if each.get_visible() and each.get_text()):
        box = text.get_window_extent()
        if box.width and _is_drawn(text, figure):
            assert box.x0 >= figure.bbox.x0 - 1, text
            assert box.x1 <= figure.bbox.x1 + 1, text
            assert box.y0 >= figure.bbox.y0 - 1, text
            assert box.y1 <= figure.bbox.y1 + 1, text


def _is_drawn(text: Text, figure: Any) -> bool:
    """Ticks outside the axes are made, but not drawn."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if text in (tick.label1, tick.label2):
                    return min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    return True


def test_the_names_of_both_stand_clear_of_what_is_said_below():
    with pytest.warns(MixedGraders):
        figure = drawn("dumbbells", mixed())
    figure.draw_without_rendering()

    note = next(text for text in figure.findobj(Text) if "not on one scale" in text.get_text())

    assert not figure.axes[0].get_legend().get_window_extent().overlaps(note.get_window_extent())


@pytest.mark.parametrize("method", METHODS)
def test_a_plot_shows_itself_on_paper_of_its_own(method: str):
    picture, size = drawn(method)._repr_png_()

    assert picture.startswith(b"\x89PNG")
    assert size["width"] == 800
    assert drawn(method).get_facecolor() == (1, 1, 1, 1)


def test_names_in_score_and_cost_do_not_overlap():
    figure = drawn("score_cost")
    figure.draw_without_rendering()
    names = [text.get_window_extent() for text in figure.axes[0].texts]

    assert len(names) == 4
    assert not any(one.overlaps(other) for place, one in enumerate(names) for other in names[:place])


def test_the_line_joins_what_none_does_better_for_less():
    assert pareto([(1, 50), (2, 40), (2, 60), (3, 60), (4, 61)]) == [0, 2, 4]
    assert pareto([]) == []


def test_the_forest_is_hollow_where_nothing_is_told_apart():
    figure = Report(SCORES).forest(("self-fusion", "solo"), ("solo", "solo"))
    first, second = (line for line in figure.axes[0].lines if line.get_marker() == "o")

    assert first.get_markerfacecolor() == first.get_markeredgecolor()
    assert second.get_markerfacecolor() != second.get_markeredgecolor()


def test_a_forest_without_a_baseline_says_what_to_give():
    with pytest.raises(SettingsError, match=r'forest\(\("a", "b"\)\)'):
        Report(SCORES).forest()


def test_dumbbells_count_what_was_won():
    title = texts(drawn("dumbbells"))

    won = sum(SCORES.by_task("panel of three")[task] > score for task, score in SCORES.by_task("solo").items())
    assert any(f"{won} of 24 tasks won" in text for text in title)


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("score_cost", "No configuration has both a score and a known cost."),
        ("forest", "No two configurations have two tasks in common."),
        ("axes", "These scores have no sections."),
        ("dumbbells", "They have no task in common."),
    ],
)
def test_where_there_is_nothing_to_draw_a_sentence_says_why(method: str, sentence: str):
    none = [{"config": name, "task": name, "score": 1.0} for name in ("solo", "panel of three")]

    assert sentence in texts(drawn(method, Scores.of(none)))
