"""What a notebook shows of a batch, while it runs and when it has ended."""

from __future__ import annotations

from typing import Any

from IPython.utils.capture import capture_output

from fusion_magic import scripted
from fusion_magic.batch import Progress
from fusion_magic.jupyter.batch_bar import Bar, bar_bundle
from servers.openrouter import analysis_json

SCRIPT: Any = {"judge": analysis_json("A"), "*": "Text."}


def test_a_batch_in_a_cell_ends_with_one_line_of_numbers(cell: Any):
    with scripted(SCRIPT):
        ran = cell("from fusion_magic.batch import map\nout = map(['x', 'y'], '{t}', models=['a'], judge='j')")

    assert ran.error is None
    assert [row.status for row in cell["out"]] == ["ok", "ok"]
    assert "2\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}2\N{NO-BREAK SPACE}rows" in ran.everything


def test_while_it_runs_there_is_a_bar_and_at_the_end_there_is_none():
    half = bar_bundle(Progress(total=10, done=5))
    ended = bar_bundle(Progress(total=10, done=5, stopped="The <key> is refused.", has_ended=True))

    assert 'value="0.5000"' in half["text/html"]
    assert "<progress" not in ended["text/html"]
    assert "The &lt;key&gt; is refused." in ended["text/html"]
    assert ended["text/plain"].splitlines()[1] == "The <key> is refused."


def test_many_rows_are_few_pictures_and_the_last_is_the_end():
    bar = Bar()

    with capture_output() as captured:
        for done in range(200):
            bar.show(Progress(total=200, done=done))
        bar.show(Progress(total=200, done=200, has_ended=True))

    assert len(captured.outputs) < 20
    assert "200\N{NO-BREAK SPACE}of" in captured.outputs[-1].data["text/plain"]


def test_an_unloaded_extension_shows_no_bars(cell: Any):
    cell.shell.run_line_magic("unload_ext", "fusion_magic")

    with scripted(SCRIPT), capture_output() as captured:
        cell.shell.run_cell("from fusion_magic.batch import map; map(['x'], '{t}', models=['a'], judge='j')")

    cell.shell.run_line_magic("load_ext", "fusion_magic")
    assert not captured.outputs
    assert "rows" in captured.stderr
