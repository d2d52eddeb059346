"""Plots: each is drawn for any run, shows itself once, keeps its texts inside, and is readable in grey and on dark."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from matplotlib import style
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from nbclient import NotebookClient

from examine.eight_seats import bare, crowded, recorded, without
from fusion_magic.examine.drawing import PAPER, STAGES, folded, name
from fusion_magic.examine.plots import Plots, spending
from fusion_magic.results import Analysis, Call, FailedModel, FusionResult, PartialCoverage, Response, Usage
from fusion_magic.store import open_store
from store.keeping import HERE, kept

pytestmark = pytest.mark.thorough

METHODS = ("timeline", "agreement", "coverage", "claims", "cost")
FULL = crowded()
ONE = bare(responses=(Response(label="A", model="a/b", content="So."),), calls=(Call(stage="panel", model="a/b"),))
# Numbers and names that leave little room: nothing, millions, no seat that says a thing, very long.
ODD = bare(
    responses=tuple(Response(label=label, model="x/" + "WIDE" * 30, content="So.") for label in "ABCDEFGH"),
    analysis=Analysis(partial_coverage=(PartialCoverage(labels=(), models=(), point="word" * 90),)),
    answer="The committee met in 1999.",
    calls=(
        Call(stage="panel", label="A", model="a/b", cost=0.0, usage=Usage(prompt_tokens=5, cached_tokens=9)),
        Call(stage="synthesis", model="a/b", cost=12_345.0, usage=Usage(prompt_tokens=5_000_000), reused=False),
    ),
)


def drawn(method: str, run: FusionResult = FULL) -> Any:
    return getattr(Plots(run), method)()


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def _shown(figure: Any) -> list[Text]:
    """The texts that are on the picture; ticks outside the axes are made, but not drawn."""
    figure.draw_without_rendering()
    ticks = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in ticks]


# --- for any run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("run", [FULL, ODD], ids=["full", "odd"])
def test_every_text_stays_inside_the_picture(method: str, run: FusionResult):
    figure = drawn(method, run)

    shown, canvas = _shown(figure), figure.bbox

    for text in shown:
        box = text.get_window_extent()
        assert box.x0 >= canvas.x0 - 1, text
        assert box.x1 <= canvas.x1 + 1, text
        assert box.y0 >= canvas.y0 - 1, text
        assert box.y1 <= canvas.y1 + 1, text


@pytest.mark.parametrize("text", ["会議は開かれた。" * 40, "WWW " * 80, "word" * 90, "🦊 " * 90])
def test_points_of_wide_letters_leave_room_for_the_seats(text: str):
    point = PartialCoverage(labels=("A",), models=(), point=text)
    figure = drawn("coverage", FULL.model_copy(update={"analysis": Analysis(partial_coverage=(point,))}))

    figure._repr_png_()

    assert figure.axes[0].get_window_extent().width > 150


@pytest.mark.parametrize("method", ["timeline", "agreement", "coverage"])
def test_the_names_of_rows_do_not_overlap(method: str):
    figure = drawn(method)
    figure.draw_without_rendering()

    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]

    assert len(boxes) >= 6
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("timeline", "Run bare has no calls."),
        ("agreement", "No seat answered; agreement needs two."),
        ("coverage", "Run bare has no analysis."),
        ("claims", "Run bare has no answer with a claim in it."),
        ("cost", "Run bare has no calls."),
    ],
)
def test_where_there_is_nothing_to_draw_a_sentence_says_why(method: str, sentence: str):
    figure = drawn(method, bare(failed_models=(FailedModel(label="A", model="a/b", error="Gone."),)))

    assert sentence in texts(figure)
    assert figure.axes  # IPython shows no figure without


@pytest.mark.parametrize("method", ["timeline", "agreement", "cost"])
def test_recorded_runs_are_drawn(method: str, shared: Path):
    for run in recorded(shared):
        figure = drawn(method, run)
        assert figure.axes


def test_a_recorded_answers_claims_are_drawn(shared: Path):
    run = min(recorded(shared), key=lambda run: sum(len(seat.content) for seat in run.responses))

    assert any("sentences by origin" in text for text in texts(drawn("claims", run)))


# --- how it is shown --------------------------------------------------------------------------------


def test_a_figure_is_a_png_with_the_size_it_is_shown_at():
    png, size = drawn("cost")._repr_png_()

    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 1.5 * size["width"] == 1200
    assert b"matplotlib" not in png.lower()
    assert len(png) < 300_000


def test_a_cell_shows_a_figure_once_with_and_without_matplotlib_inline(tmp_path: Path):
    FULL.save(tmp_path / "run.json")
    head = (
        "from fusion_magic import FusionResult\nfrom fusion_magic.examine.plots import Plots\n"
        f"plots = Plots(FusionResult.open({str(tmp_path / 'run.json')!r}))"
    )
    cells = [
        head,
        "plots.cost()",
        "'matplotlib.pyplot' in __import__('sys').modules",
        "%matplotlib inline\nplots.cost()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])

    NotebookClient(notebook, timeout=180, kernel_name="python3").execute()

    plain, knows_pyplot, inline = (cell["outputs"] for cell in notebook.cells[1:])
    assert knows_pyplot[0]["data"]["text/plain"] == "False"
    for outputs in (plain, inline):
        assert [output["data"]["image/png"][:5] for output in outputs] == ["iVBOR"]


def test_a_notebooks_own_style_changes_nothing():
    usual = drawn("timeline")._repr_png_()[0]
    with style.context("dark_background"):
        dark = drawn("timeline")._repr_png_()[0]

    assert usual == dark


def test_a_figure_has_a_background_of_its_own_and_survives_pickling():
    figure = pickle.loads(pickle.dumps(drawn("cost")))

    assert figure.get_facecolor() == to_rgba(PAPER)
    assert figure._repr_png_()[0].startswith(b"\x89PNG")


def test_stages_differ_in_lightness_so_that_grey_keeps_them_apart():
    greys = [
        sum(part * share for part, share in zip(to_rgba(c), (0.299, 0.587, 0.114), strict=False))
        for c in STAGES.values()
    ]

    assert min(abs(one - other) for one, other in combinations(greys, 2)) > 0.15


def test_dollars_in_a_models_words_are_no_mathematics():
    point = PartialCoverage(labels=("A",), models=(), point="It costs $5_a to $6^b\x1b[31m and \\frac")
    run = ONE.model_copy(update={"analysis": Analysis(partial_coverage=(point,))})

    figure = drawn("coverage", run)

    assert "It costs $5_a to $6^b and \\frac" in texts(figure)
    assert not any(text.get_parse_math() for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("a " * 30, ["a a a a a", "a a a a a …"]),
        ("東" * 30, ["東" * 5, "東" * 5 + " …"]),
    ],
)
def test_a_long_point_is_folded_and_cut(text: str, lines: list[str]):
    assert folded(text, 10).split("\n") == lines


def test_a_long_name_is_cut():
    assert name("vendor/" + "long-" * 20) == "long-" * 5 + "…"
    assert name("llama3.2@ollama") == "llama3.2"
    assert name("vendor/" + "模" * 20) == "模" * 12 + "…"


def test_without_matplotlib_a_sentence_names_the_extra():
    done = without("matplotlib", "from fusion_magic.examine.plots import Plots; Plots(run).timeline()")

    assert 'SettingsError: Plots need matplotlib; run `pip install "fusion-magic[data]"`.' in done.stderr


# --- what is on it ----------------------------------------------------------------------------------


def test_the_timeline_counts_calls_tools_retries_and_reused_answers():
    shown = texts(drawn("timeline"))

    assert "Timeline, 83.0 s: 10 calls, 60 calls of tools, 2 retries, 1 reused" in shown
    assert " ×3" in shown
    assert {"failed", "tool failed", "reused", "sent ×n, waits included"} <= set(shown)


def test_the_legend_names_only_what_is_drawn():
    shown = texts(drawn("timeline", bare(calls=(Call(stage="panel", label="A", model="a/b", ttft=1, duration=2),))))

    assert {"no text yet", "writing, panel"} <= set(shown)
    assert not {"failed", "tool", "reused", "writing, judge"} & set(shown)


def test_a_long_run_is_told_in_minutes():
    calls = (Call(stage="panel", label="A", model="a/b", duration=900),)

    assert "minutes after the run's beginning" in texts(drawn("timeline", bare(calls=calls)))


def test_agreement_says_what_it_rests_on_and_how_many_votes_it_makes():
    by_points, by_words = texts(Plots(FULL).agreement()), texts(Plots(FULL).agreement(by="words"))

    assert "Agreement by points of the analysis: 2.2 effective votes of 6 seats" in by_points
    assert any(text.startswith("Agreement by words of the responses: ") for text in by_words)


def test_too_many_points_are_cut_and_the_frame_has_the_rest():
    shown = texts(drawn("coverage", crowded(points=90)))

    assert "Coverage: 88 points of some seats, 2 of one; 50 more are in frames.coverage" in shown


def test_an_unknown_cost_is_at_least_and_never_zero():
    shown = texts(drawn("cost"))
    unpriced = texts(drawn("cost", ONE))

    assert "  at least $0.1020" in shown
    assert "  $0.1400" in shown
    assert "  not priced" in unpriced


def test_spending_is_drawn_by_day_and_says_at_least_where_a_cost_is_unknown():
    store, now = open_store(), datetime.now(UTC)
    for days, cost in ((0, 0.25), (1, None), (40, 1.5)):
        store.keep(kept(f"key {days}", made=now - timedelta(days), cost=cost), HERE, reusable=True).result(30)

    figure: Any = spending()

    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [1.5, 0.0, 0.25]
    assert "Spending, at least $1.75 for 3 calls" in texts(figure)
    assert "?" in texts(figure)


def test_an_empty_store_is_said_to_be_empty():
    assert "The store has no calls yet." in texts(spending())
