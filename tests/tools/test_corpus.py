"""A corpus finds what was written, cites where, and is brought up to date when files change."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion_magic.errors import SettingsError
from fusion_magic.folders import cache_dir
from fusion_magic.tools.corpus import Corpus, as_corpus
from tools.documents import code, markdown, notebook

TEXTS = {
    "solar.md": "# Solar cells\n\nSilicon turns light into current with an efficiency of 27 percent.",
    "wind.md": "# Wind turbines\n\nA turbine turns wind into current. Nobody speaks of silicon here.",
    "sub/water.txt": "Hydropower turns falling water into current.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "sub").mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def places(corpus: Corpus, query: str, count: int = 5) -> list[str]:
    return [passage.place for passage in corpus.search(query, count)]


def index_file() -> Path:
    (path,) = (cache_dir() / "corpora").glob("*.sqlite")
    return path


def test_the_passage_with_every_word_comes_first_then_those_with_some(folder):
    corpus = Corpus.from_folder(folder)

    assert places(corpus, "silicon efficiency current") == [
        "corpus:papers/solar.md#part=1",
        "corpus:papers/wind.md#part=1",
        "corpus:papers/sub/water.txt#part=1",
    ]


def test_a_word_in_the_title_weighs_more_than_one_in_the_text():
    corpus = Corpus.from_texts({"a": "silicon " + "other words " * 5, "silicon": "words " * 12})

    assert places(corpus, "silicon") == ["corpus:texts/silicon#part=1", "corpus:texts/a#part=1"]


@pytest.mark.parametrize("query", ["TURBINES", "turbine's", "“turbine”", "turbine?", "what is a turbine", "türbine"])
def test_forms_of_a_word_are_found(folder, query):
    assert places(Corpus.from_folder(folder), query)[0] == "corpus:papers/wind.md#part=1"


def test_words_inside_longer_ones_are_found_if_nothing_else_is():
    corpus = Corpus.from_texts({"ja": "太陽電池の効率は二七パーセントである", "en": "photovoltaics"})

    assert places(corpus, "電池") == ["corpus:texts/ja#part=1"]
    assert places(corpus, "voltaic") == ["corpus:texts/en#part=1"]


def test_a_snippet_shows_the_words_that_were_looked_for():
    corpus = Corpus.from_texts({"a": "filler " * 150 + "the needle is here " + "filler " * 50})

    (passage,) = corpus.search("needle")

    assert "needle" in passage.snippet
    assert len(passage.snippet) < 350


def test_a_place_leads_back_to_the_passage_and_to_the_whole_document():
    corpus = Corpus.from_texts({"long": "\n\n".join(f"Paragraph {number}. " + "x" * 900 for number in range(4))})
    (found,) = corpus.search('"paragraph 2"', 1)

    passage, document = corpus.read(found.place), corpus.read(found.place.partition("#")[0])

    assert found.place == "corpus:texts/long#part=3"
    assert [each.text for each in passage] == [found.text]
    assert [each.place.partition("#")[2] for each in document] == ["part=1", "part=2", "part=3", "part=4"]


@pytest.mark.parametrize("name", ["a b.md", "50%.md", "c#1.md", "größe 日本.md", "q?x=1&y.md", "[x](y).md", "%41.md"])
def test_any_name_of_a_file_makes_a_place_that_can_be_read(tmp_path, name):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / name).write_text("needle")
    corpus = Corpus.from_folder(tmp_path / "x")

    (place,) = places(corpus, "needle")

    assert not set(place) & set(' ()[]<>"\n')
    assert corpus.read(place)[0].text == "needle"


def test_a_cell_longer_than_a_passage_is_one_place(tmp_path):
    long = code("\n".join(f"value_{number} = {number}" for number in range(400)))
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "a.ipynb").write_text(notebook(markdown("# Values"), long))
    corpus = Corpus.from_folder(tmp_path / "n")

    found = places(corpus, "350")

    assert found == ["corpus:n/a.ipynb#cell=2"]
    assert "\n\n".join(passage.text for passage in corpus.read(found[0])).count("value_") == 400


@pytest.mark.parametrize("place", ["", "corpus:texts/", "corpus:other/a#part=1", "texts/b", "corpus:texts/a#part=9"])
def test_a_place_that_is_none_has_no_passages(place):
    assert Corpus.from_texts({"a": "words"}).read(place) == []


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.one_of(st.text(), st.text(alphabet=st.sampled_from("\"'*^():{}+-.~|&[]\\%_ NEAR AND OR NOT a,é\0\ud800")))
)
def test_no_query_is_an_error(query):
    found = HAYSTACK.search(query, 3)

    assert len(found) <= 3


HAYSTACK = Corpus.from_texts({"a": "a near and or not 100% _x_ [b] \\ é", "title": "body"}, name="hay")


@pytest.mark.parametrize(
    "query", ['current" OR "x', "NEAR(current)", "title:current", "current*", "^current", "(current", "-current"]
)
def test_the_words_in_a_query_with_syntax_are_still_looked_for(folder, query):
    assert len(places(Corpus.from_folder(folder), query)) == 3


def test_a_query_of_ten_thousand_words_is_answered(folder):
    query = " ".join(f"word{number}" for number in range(10_000))

    assert places(Corpus.from_folder(folder), "current " + query)


def test_only_files_that_have_changed_are_read_again(folder):
    Corpus.from_folder(folder)
    before = dict(sqlite3.connect(index_file()).execute("SELECT path, id FROM documents"))
    (folder / "wind.md").write_text("# Wind\n\nBlades of carbon fibre.")
    (folder / "solar.md").unlink()
    (folder / "new.md").write_text("Geothermal heat.")

    corpus = Corpus.from_folder(folder)

    after = dict(sqlite3.connect(index_file()).execute("SELECT path, id FROM documents"))
    assert after.keys() == {"wind.md", "new.md", "sub/water.txt"}
    assert after["sub/water.txt"] == before["sub/water.txt"]
    assert places(corpus, "carbon") == ["corpus:papers/wind.md#part=1"]
    assert places(corpus, "efficiency") == places(corpus, "nobody") == []


def test_a_damaged_index_is_made_anew(folder):
    Corpus.from_folder(folder).index.close()
    index_file().write_bytes(b"no database at all" * 1_000)

    assert len(places(Corpus.from_folder(folder), "current")) == 3


def test_an_index_of_another_version_is_made_anew(folder):
    Corpus.from_folder(folder).index.close()
    with sqlite3.connect(index_file()) as other:
        other.execute("PRAGMA user_version = 999")
        other.execute("DROP TABLE passages")

    assert len(places(Corpus.from_folder(folder), "current")) == 3


def test_where_nothing_can_be_kept_the_index_is_in_memory(folder, monkeypatch):
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("FUSION_HOME", str(folder.parent / "file"))

    assert len(places(Corpus.from_folder(folder), "current")) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes of folders")
def test_the_kept_text_can_be_read_by_its_user_alone(folder):
    Corpus.from_folder(folder)

    assert index_file().parent.stat().st_mode & 0o077 == 0


def test_kernels_may_index_the_same_folder_at_once(folder):
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"Text {number} on current affairs. " * 50)
    script = (
        "import sys; from fusion_magic.tools.corpus import Corpus; print('ready', flush=True); input();"
        "print(Corpus.from_folder(sys.argv[1]))"
    )
    pipe, command = subprocess.PIPE, [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()

        other.stdin.write("now\n")
        other.stdin.flush()
        told = {repr(Corpus.from_folder(folder)), other.communicate(timeout=60)[0].strip()}

    assert told == {"<Corpus 'papers': 63 documents, 63 passages>"}


def test_a_repr_says_how_much_there_is_and_what_was_left_out(folder):
    (folder / ".env").write_text("x")
    (folder / "a.bin").write_bytes(b"\0\1")

    corpus = Corpus.from_folder(folder)

    assert repr(corpus) == "<Corpus 'papers': 3 documents, 3 passages, 2 skipped>"
    assert corpus.skipped == {".env": "hidden", "a.bin": "not text"}


def test_a_glob_picks_files_and_has_an_index_of_its_own(folder):
    notes, everything = Corpus.from_folder(folder, glob="*.md"), Corpus.from_folder(folder)

    assert (notes.documents, everything.documents) == (2, 3)


@pytest.mark.parametrize("path", ["missing", "papers/solar.md"])
def test_what_is_no_folder_is_told(folder, path):
    with pytest.raises(SettingsError, match="is not a folder"):
        Corpus.from_folder(path)


def test_a_folder_without_text_says_what_it_holds_instead(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.bin").write_bytes(b"\0")

    with pytest.raises(SettingsError, match=r"no document that can be read \(1 × not text\)"):
        Corpus.from_folder(tmp_path / "empty")


def test_a_path_of_a_folder_or_a_file_is_a_corpus(folder):
    whole, alone = as_corpus(str(folder)), as_corpus(folder / "wind.md")

    assert (whole.name, whole.documents) == ("papers", 3)
    assert (alone.name, places(alone, "current")) == ("wind", ["corpus:wind/wind.md#part=1"])
    assert as_corpus(whole) is whole
    assert as_corpus({"a": "text"}).documents == 1


@pytest.mark.parametrize("value", [5, None, [], b"x", object()])
def test_what_is_no_corpus_is_told(value):
    with pytest.raises(SettingsError, match="no corpus"):
        as_corpus(value)


def test_the_recorded_reports_are_found_by_their_own_words(shared):
    import gzip
    import json

    path = shared / "data" / "recorded-panels.jsonl.gz"
    if not path.is_file():
        pytest.skip("no recorded panels")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    problems = {task["task_id"]: task["problem"] for task in tasks}

    corpus = Corpus.from_texts(problems, name="draco")

    best = {key: corpus.search(problem[:300], 1)[0].place for key, problem in problems.items()}
    assert all(place.startswith(f"corpus:draco/{key}#") for key, place in best.items())
