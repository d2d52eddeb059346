"""A panelist searches the user's documents and reads them by their places; a cancellation ends its query."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Sequence

import pytest

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.tools import MAX_OUTPUT, Output, Tool
from fusion_magic.tools.corpus import Corpus
from fusion_magic.tools.corpus_index import Index, off_loop
from fusion_magic.tools.corpus_tools import corpus_tools
from tools.documents import code, markdown, notebook

FOREVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def corpora() -> list[Corpus]:
    energy = {"solar": "Silicon turns light into current.", "wind": "A turbine turns wind into current."}
    return [Corpus.from_texts(energy, "energy"), Corpus.from_texts({"a": "An electric current in water."}, "physics")]


def called(tool: Tool, arguments: dict[str, object]) -> Output:
    async def call() -> Output:
        return await tool.call(arguments)

    return asyncio.run(call())


def search(corpora: Sequence[Corpus], **arguments: object) -> Output:
    return called(corpus_tools(corpora)[0], arguments)


def read(corpora: Sequence[Corpus], place: str, **arguments: object) -> Output:
    return called(corpus_tools(corpora)[1], {"place": place} | arguments)


def test_the_tools_say_what_there_is(corpora):
    first, second = corpus_tools(corpora)

    assert (first.name, second.name) == ("corpus_search", "corpus_read")
    assert "energy (2 documents); physics (1 documents)" in first.description
    assert set(first.parameters["properties"]) == {"query", "count"}
    assert set(second.parameters["properties"]) == {"place", "offset"}


def test_a_search_gives_passages_with_their_places(corpora):
    output = search(corpora, query="silicon")

    assert output.text == "1. solar\ncorpus:energy/solar#part=1\nSilicon turns light into current."
    assert [(found.url, found.title, found.quotes) for found in output.found] == [
        ("corpus:energy/solar#part=1", "solar", ("Silicon turns light into current.",))
    ]
    assert output.sources == ()


def test_collections_take_turns(corpora):
    output = search(corpora, query="current", count=2)

    assert [found.url.partition("/")[0] for found in output.found] == ["corpus:energy", "corpus:physics"]


def test_nothing_found_says_so(corpora):
    output = search(corpora, query="zeppelin")

    assert (output.text, output.found) == ("Nothing was found. Try other or fewer words.", ())


def test_a_reading_is_a_source_with_its_place(corpora):
    output = read(corpora, "corpus:energy/wind#part=1")

    assert output.text == "wind\ncorpus:energy/wind#part=1 (34 characters)\n\nA turbine turns wind into current."
    assert [(source.url, source.title) for source in output.sources] == [("corpus:energy/wind#part=1", "wind")]
    assert output.found == ()


def test_a_place_without_its_first_word_is_understood(corpora):
    assert read(corpora, "energy/wind#part=1") == read(corpora, "corpus:energy/wind#part=1")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_the_name_of_a_file_can_t_look_like_another_result(tmp_path):
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "a\n\n2. b\ncorpus:n\u202e.txt").write_text("needle")

    output = search([Corpus.from_folder(tmp_path / "n")], query="needle")

    assert output.text == "1. a 2. b corpus:n\ncorpus:n/a%0A%0A2.%20b%0Acorpus:n%E2%80%AE.txt#part=1\nneedle"


def test_a_whole_document_is_read_with_marks_to_cite_from(tmp_path):
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "a.ipynb").write_text(notebook(markdown("# Yields"), code("fit()")))

    output = read([Corpus.from_folder(tmp_path / "n")], "corpus:n/a.ipynb")

    assert output.text.endswith("[cell=1]\n# Yields\n\n[cell=2]\nfit()")
    assert output.sources[0].url == "corpus:n/a.ipynb"


def test_a_long_document_is_read_page_after_page():
    text = "\n\n".join(f"{number} " + "word " * 200 for number in range(60))
    corpus = Corpus.from_texts({"long": text})
    pages, offset = list[str](), 0

    while offset is not None:
        output = read([corpus], "corpus:texts/long", offset=offset).text
        head, _, page = output.partition("\n\n")
        pages.append(page)
        assert len(output) <= MAX_OUTPUT
        offset = int(head.rpartition("offset ")[2].rstrip(")")) if "offset" in head else None

    assert len(pages) == 3
    assert [word for word in "".join(pages).split() if word.isdigit()] == [str(number) for number in range(60)]


@pytest.mark.parametrize(
    "place", ["corpus:other/a", "corpus:energy/../solar", "solar", "https://example.org", "corpus:energy/solar#part=2"]
)
def test_a_place_that_is_none_is_told_to_the_model(corpora, place):
    with pytest.raises(ToolError, match="corpus_search"):
        read(corpora, place)


@pytest.mark.parametrize("offset", [-1, 100, 10**12])
def test_an_offset_beyond_the_text_is_told_to_the_model(corpora, offset):
    with pytest.raises(ToolError, match="offset"):
        read(corpora, "corpus:energy/wind", offset=offset)


def test_two_collections_of_one_name_are_refused(corpora):
    with pytest.raises(SettingsError, match="same name"):
        corpus_tools([corpora[0], corpora[0]])


def test_without_a_collection_there_are_no_tools():
    assert corpus_tools(()) == ()


def test_seats_ask_at_once(corpora):
    tool = corpus_tools(corpora)[0]

    async def all_at_once() -> list[Output]:
        return await asyncio.gather(*(tool.call({"query": word}) for word in ("silicon", "turbine", "water") * 8))

    assert [len(output.found) for output in asyncio.run(all_at_once())] == [1] * 24


def test_a_cancelled_query_ends_and_the_next_is_answered():
    index = Corpus.from_texts({"a": "current"}).index
    begun, ended = threading.Event(), threading.Event()

    def endless() -> None:
        begun.set()
        try:
            index.rows(FOREVER)
        except sqlite3.OperationalError:
            ended.set()
            raise

    async def cancelled() -> int:
        query = asyncio.create_task(off_loop(index, endless))
        await asyncio.to_thread(begun.wait, 30)
        query.cancel()
        await asyncio.wait([query])
        return len(await off_loop(index, lambda: index.search("current", 5)))

    assert asyncio.run(cancelled()) == 1
    assert ended.is_set()


def test_a_query_cancelled_while_it_waits_leaves_the_one_that_runs():
    index = Corpus.from_texts({"a": "current"}).index
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        may_end.wait(30)
        return len(index.search("current", 5))

    async def cancelled() -> int:
        running = asyncio.create_task(off_loop(index, slow))
        await asyncio.to_thread(begun.wait, 30)
        waiting = asyncio.create_task(off_loop(index, lambda: index.rows(FOREVER)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        may_end.set()
        return await running

    assert asyncio.run(cancelled()) == 1


def test_the_loop_goes_on_while_a_query_runs():
    index = Index()
    ticks = 0

    async def both() -> None:
        nonlocal ticks
        query = asyncio.create_task(off_loop(index, lambda: index.rows(FOREVER)))
        for _ in range(50):
            await asyncio.sleep(0.001)
            ticks += 1
        query.cancel()
        await asyncio.wait([query])

    asyncio.run(both())

    assert ticks == 50


def test_an_index_that_can_t_be_read_is_told_to_the_model(corpora):
    corpora[0].index.close()

    with pytest.raises(ToolError, match="index of energy"):
        search(corpora, query="silicon")
