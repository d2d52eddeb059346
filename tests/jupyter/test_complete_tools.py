"""What Tab offers behind the flags for tools, data, collections, attachments and MCP servers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Corpus, tool
from fusion_magic.folders import config_dir
from fusion_magic.jupyter.complete import offered
from fusion_magic.settings import BUILT_IN


def lookup(city: str) -> str:
    """Say what is known of a city."""
    return city


def undocumented(city: str) -> str:
    return city


def at_end(line: str, **namespace: Any) -> list[str]:
    """What is offered at the end of a `%%fusion` line."""
    return list(offered(f"%%fusion {line}\nWhy?", 0, len(f"%%fusion {line}"), namespace).texts)


def taken(line: str, **namespace: Any) -> list[str]:
    """The line after each of what is offered was taken."""
    text = f"%%fusion {line}"
    found = offered(f"{text}\nWhy?", 0, len(text), namespace)
    return [line[: len(line) - len(found.typed)] + one for one in found.texts]


def files(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


# --- tools ------------------------------------------------------------------------------------------


def test_tools_are_the_built_in_ones_and_functions_that_say_what_they_do() -> None:
    namespace = {"lookup": lookup, "decorated": tool(lookup), "undocumented": undocumented, "Kind": dict, "n": 1}

    assert at_end("--tools ", **namespace) == [*BUILT_IN, "none", "lookup", "decorated"]


@pytest.mark.parametrize("line", ["--tools web,lo", "--tools=web,lo", "--tools 'web,lo", "-p budget --tools web,lo"])
def test_after_a_comma_the_next_name_is_completed(line: str) -> None:
    assert taken(line, lookup=lookup) == [f"{line}okup"]


def test_a_name_that_stands_there_is_not_offered_again_nor_is_none() -> None:
    offers = at_end("--tools web,lookup,", lookup=lookup)

    assert "bash" in offers
    assert not {"web", "lookup", "none"} & set(offers)


@pytest.mark.parametrize(("line", "choice"), [("--web cl", "client"), ("--url-policy a", "any")])
def test_flags_with_choices_offer_them(line: str, choice: str) -> None:
    assert at_end(line) == [choice]


# --- data and MCP servers ---------------------------------------------------------------------------


def test_data_offers_frames_and_goes_on_after_a_comma() -> None:
    pandas = pytest.importorskip("pandas")
    namespace = {"sales": pandas.DataFrame({"a": [1]}), "stock": pandas.DataFrame(), "rows": [1], "text": "x"}

    assert at_end("--data ", **namespace) == ["sales", "stock"]
    assert taken("--data sales,s", **namespace) == ["--data sales,stock"]


def test_frames_of_polars_are_offered_too() -> None:
    polars = pytest.importorskip("polars")

    assert at_end("--data ", table=polars.DataFrame({"a": [1]}), lazy=polars.LazyFrame()) == ["table"]


def test_configured_servers_are_offered() -> None:
    path = config_dir() / "fusion.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[mcp.files]\ncommand = "x"\n[mcp.wiki]\nurl = "http://x"\n', encoding="utf-8")

    assert at_end("--mcp ") == ["files", "wiki"]
    assert taken("--mcp files,w") == ["--mcp files,wiki"]


# --- collections ------------------------------------------------------------------------------------


def test_a_corpus_is_a_variable_or_a_folder_and_no_file() -> None:
    files("papers/a.pdf", "plans/b.md", "page.txt", ".hidden/c.md")
    papers = Corpus.from_texts({"a": "text"})

    assert at_end("--corpus p", papers_read=papers, plain=1) == ["papers_read", "papers/", "plans/"]


def test_a_folder_leads_to_the_folders_in_it() -> None:
    files("papers/old/a.pdf", "papers/new/b.pdf", "papers/c.pdf")

    assert taken("--corpus papers/") == ["--corpus papers/new/", "--corpus papers/old/"]
    assert taken("--corpus=papers/o") == ["--corpus=papers/old/"]


# --- attachments ------------------------------------------------------------------------------------


def test_files_and_folders_can_be_attached() -> None:
    files("plot.png", "pages/one.pdf", ".secret")

    assert taken("--attach p") == ["--attach pages/", "--attach plot.png"]
    assert taken("--attach pages/") == ["--attach pages/one.pdf"]
    assert taken("--attach .s") == ["--attach .secret"]


def test_frames_columns_figures_and_images_can_be_attached_and_nothing_is_drawn() -> None:
    pandas = pytest.importorskip("pandas")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    drawn: list[str] = []

    class Image:
        def _repr_png_(self) -> bytes:
            drawn.append("png")
            return b""

    frame = pandas.DataFrame({"a": [1]})
    namespace = {"frame": frame, "column": frame["a"], "figure": figure, "axes": figure.subplots(), "image": Image()}

    assert at_end("--attach ", **namespace, Image=Image, n=1) == list(namespace)
    assert drawn == []


def test_a_name_with_a_space_is_written_so_that_the_line_reads_it() -> None:
    files("my plot.png")

    assert taken("--attach my") == ["--attach my\\ plot.png"]
    assert taken("--attach my\\ p") == ["--attach my\\ plot.png"]
    assert taken("--attach 'my p") == ["--attach 'my plot.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such file names")
@pytest.mark.parametrize("name", ["{x}", "$HOME", "-x", "it's", 'say"', "a\nb", "a\u202eb", "a\\b"])
def test_a_file_whose_name_a_line_would_carry_out_is_not_offered(name: str) -> None:
    files(name, "plain.txt")

    assert at_end("--attach ") == ["plain.txt"]


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    files(str(home / "notes.md"))

    assert taken("--attach ~/no") == ["--attach ~/notes.md"]


@pytest.mark.parametrize("place", ["nowhere/a", "a.txt/b", "~nobody-here/a"])
def test_a_place_that_does_not_exist_offers_nothing_and_raises_nothing(place: str) -> None:
    files("a.txt")

    assert at_end(f"--attach {place}") == []
