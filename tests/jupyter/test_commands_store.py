"""`%fusion costs` and `%fusion store`: what was paid, what is kept, and that what is deleted is gone."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fusion_magic.results import FusionResult, Usage
from fusion_magic.store import Place, open_store

from .conftest import Cells, Ran
from .hostile import HOSTILE
from .pages import STYLE, UNSEEN, Page
from .samples import call
from .stored import book, run, settled

SHORT = [evil.encode("utf-8", "replace").decode() for evil in HOSTILE.values() if len(evil) < 10_000]


def rows(ran: Ran) -> list[str]:
    return ran.shown[0]["text/plain"].splitlines()


def spent() -> None:
    """Three models in two notebooks: one dear, one cheap, one without a price, and a call that was not reported."""
    tides, sky = Place("/n/tides.ipynb", "budget"), Place("/n/sky.ipynb", "")
    book(call(model="d/ear", cost=0.3), "1", tides)
    book(call(model="d/ear", cost=0.1), "2", sky)
    book(call(model="c/heap", cost=0.1), "3", sky)
    book(call(model="u/npriced", cost=None), "4", sky)
    book(call(model="c/heap", cost=None, usage=None), "5", sky)
    settled()


# --- costs ------------------------------------------------------------------------------------------


def test_costs_by_model_are_a_table_with_bars_and_the_sum(cell: Cells) -> None:
    spent()

    told = rows(cell("%fusion costs"))

    named = {line.split()[0]: line for line in told}
    assert all(word in named["d/ear"] for word in ("2", "2,468", "$0.4000"))
    assert named["d/ear"].count("█") == 20
    assert named["c/heap"].count("█") == 5
    assert "at least $0.1000" in named["c/heap"]
    assert "1 not reported" in named["c/heap"]
    assert "not priced" in named["u/npriced"]
    assert "█" not in named["u/npriced"]
    assert told[-1] == "In all at least $0.5000 for 5 calls, 1 not priced, 1 not reported"


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", ["d/ear", "c/heap", "u/npriced"]),
        ("day", [f"{datetime.now().astimezone():%Y-%m-%d}"]),
        ("notebook", ["/n/tides.ipynb", "/n/sky.ipynb"]),
        ("preset", ["budget", "–"]),
    ],
)
def test_costs_are_told_by_what_one_asks_for(cell: Cells, by: str, names: list[str]) -> None:
    spent()

    told = rows(cell(f"%fusion costs --by {by}"))

    assert told[0].split()[0] == by
    assert [line.split()[0] for line in told[1:-1]] == names


def test_a_bar_is_as_long_as_its_share_in_html_too(cell: Cells) -> None:
    spent()

    html = cell("%fusion costs").shown[0]["text/html"]

    assert html.count('class="fm-bar"') == 2
    assert "width:14.0em" in html
    assert "width:3.5em" in html


@pytest.mark.parametrize("half", [0, 1])
def test_hostile_names_stay_text_on_one_line_of_the_costs(cell: Cells, half: int) -> None:
    for number, evil in enumerate(SHORT[half::2]):
        book(call(model=f"{number} {evil}"), str(number), Place())
    settled()

    (shown,) = cell("%fusion costs").shown

    assert Page(STYLE.sub("", shown["text/html"], count=1)).forbidden == []
    assert len(shown["text/plain"].splitlines()) == 1 + len(SHORT[half::2]) + 1
    assert not UNSEEN.search(shown["text/plain"].replace("\n", ""))


def test_costs_of_nothing_are_a_sentence(cell: Cells) -> None:
    assert "No call is booked yet." in cell("%fusion costs").text


# --- store ------------------------------------------------------------------------------------------


def test_store_says_where_it_is_and_how_much_is_in_it(cell: Cells) -> None:
    run("aaaaaaaaaaaa", created=datetime(2026, 3, 1, 12, tzinfo=UTC))

    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in rows(cell("%fusion store"))[:-1]}

    assert told["file"] == str(Path(os.environ["FUSION_HOME"], "store.sqlite3"))
    assert (told["runs"], told["calls"], told["since"]) == ("1", "4", "2026-03-01")
    assert told["size"].endswith("kB")


def test_prune_deletes_what_is_older_and_leaves_what_it_cost(cell: Cells) -> None:
    now = datetime.now(UTC)
    run("aaaaaaaaaaaa", created=now - timedelta(days=100))
    run("bbbbbbbbbbbb", created=now - timedelta(days=10))

    ran = cell("%fusion store prune --older 90d")

    assert "1 run older than 90d deleted" in ran.text
    assert [line.id for line in open_store().history()] == ["bbbbbbbbbbbb"]
    assert "8 calls" in rows(cell("%fusion costs"))[-1]


def test_prune_of_what_no_calendar_holds_deletes_nothing(cell: Cells) -> None:
    run("aaaaaaaaaaaa")

    assert "0 runs older than 999999999999w deleted" in cell("%fusion store prune --older 999999999999w").text


def test_export_writes_every_run_as_a_line_of_json(cell: Cells, tmp_path: Path) -> None:
    made = run("aaaaaaaaaaaa")

    ran = cell('%fusion store export "all runs.jsonl"')

    lines = (tmp_path / "all runs.jsonl").read_text().splitlines()
    assert [FusionResult.model_validate(json.loads(line)) for line in lines] == [made]
    assert "1 run written to" in ran.text


def test_export_does_not_write_over_a_file(cell: Cells, tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text("mine")

    ran = cell("%fusion store export runs.jsonl")

    assert "is there already" in ran.text
    assert (tmp_path / "runs.jsonl").read_text() == "mine"


def test_forget_deletes_a_run_with_its_calls(cell: Cells) -> None:
    run("aaaaaaaaaaaa")

    ran = cell("%fusion store forget aaaa")

    assert "deleted with 4 calls" in ran.text
    assert "no run" in cell("%fusion show aaaa").text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("costs --by week", ["--by", "model"]),
        ("costs week", ["--by", "notebook"]),
        ("store prnue", ['"prune"']),
        ("store prune", ["--older 90d"]),
        ("store prune --older soon", ['"soon" is no age']),
        ("store prune --older", ["--older 90d"]),
        ("store export", ["one file"]),
        ("store forget", ["one ID"]),
        ("store forget abc def", ["one ID"]),
        ("store forget abc", ['no run "abc"']),
    ],
)
def test_a_line_that_cant_be_carried_out_is_one_sentence(cell: Cells, line: str, words: list[str]) -> None:
    ran = cell(f"%fusion {line}")

    assert len(ran.lines) == 1
    assert all(word in ran.lines[0] for word in words), ran.text


def test_tokens_that_were_not_reported_count_as_none(cell: Cells) -> None:
    book(call(model="l/ocal", cost=0.0, usage=None), "1", Place())
    book(call(model="l/ocal", cost=0.0, usage=Usage(prompt_tokens=3, completion_tokens=4)), "2", Place())
    settled()

    told = rows(cell("%fusion costs"))

    assert told[1].split() == ["l/ocal", "2", "7", "$0"]
    assert told[-1] == "In all $0 for 2 calls"
