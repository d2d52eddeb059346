"""What Tab offers behind `%fusion` for earlier runs, costs and the store, and for the flags about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core import completer

from fusion_magic.folders import data_dir
from fusion_magic.jupyter.complete import offered

from .stored import run

if not hasattr(completer, "context_matcher"):
    pytest.skip("IPython before 8.6 has nothing to attach completion to", allow_module_level=True)


def tab(line: str) -> list[str]:
    """What is offered at the end of a line."""
    return list(offered(line, 0, len(line), {}).texts)


@pytest.mark.parametrize("line", ["show", "resume", "rejudge", "store forget"])
def test_runs_are_offered_newest_first(line: str) -> None:
    run("aaaaaaaaaaaa")
    run("bbbbbbbbbbbb")

    assert tab(f"%fusion {line} ") == ["bbbbbbbbbbbb", "aaaaaaaaaaaa"]
    assert tab(f"%fusion {line} b") == ["bbbbbbbbbbbb"]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("costs ", ["--by"]),
        ("costs --by ", ["model", "day", "notebook", "preset"]),
        ("costs --by da", ["day"]),
        ("costs --by day ", []),
        ("store ", ["prune", "export", "forget"]),
        ("store prune ", ["--older"]),
        ("rejudge abc --ju", ["--judge", "--judge-tools"]),
        ("rejudge --ju", ["--judge", "--judge-tools"]),
        ("resume abc --max-usd", ["--max-usd", "--max-usd-day", "--max-usd-notebook"]),
        ("rejudge abc --judge smol", ["smollm2@local"]),
    ],
)
def test_each_word_offers_what_it_takes(line: str, texts: list[str]) -> None:
    assert tab(f"%fusion {line}") == texts


def test_a_place_to_export_to_is_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()

    assert tab("%fusion store export ke") == ["kept/"]


def test_tab_makes_no_store() -> None:
    (data_dir() / "store.sqlite3").unlink()

    assert tab("%fusion show ") == []
    assert list(data_dir().iterdir()) == []


def test_threads_of_earlier_runs_are_offered() -> None:
    for id, thread in (("aaaaaaaaaaaa", "tides"), ("bbbbbbbbbbbb", "tides"), ("cccccccccccc", None)):
        run(id, settings={"thread": thread})

    assert tab("%%fusion --thread ") == ["tides"]


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("--fresh ", "judge"),
        ("--fresh --re", "--reuse"),
        ("--fresh -", "--panel"),
        ("--fresh --effort ", "low"),
        ("--reuse ", "only"),
        ("--no-st", "--no-store"),
    ],
)
def test_a_flag_that_may_stand_alone_goes_on_with_its_value_or_the_next_flag(line: str, some: str) -> None:
    assert some in tab(f"%%fusion {line}")
