"""Engines are asked in turn, results are checked and kept, and a model gets a list that it can trust to be one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.tools import Output
from fusion_magic.tools.search import Found, Recent, Search, search_tool
from fusion_magic.tools.search_engines import Hit, SearchEngine, SearXNG, Sites, Tavily
from fusion_magic.tools.seen import Seen
from servers.search import KEY, Page, SearchServer

T = TypeVar("T")
HOUR = 3600.0


class Shelf:
    """An engine whose pages the test writes; counts how often it is asked."""

    def __init__(self, *hits: Hit, name: str = "shelf", error: Exception | None = None) -> None:
        self.name, self.hits, self.error = name, hits, error
        self.asked: list[tuple[str, int, Sites]] = []
        self.may_answer, self.was_asked, self.ended = asyncio.Event(), asyncio.Event(), False
        self.may_answer.set()

    async def search(self, query: str, count: int, sites: Sites) -> tuple[Hit, ...]:
        self.asked.append((query, count, sites))
        self.was_asked.set()
        try:
            await self.may_answer.wait()
        finally:
            self.ended = True
        if self.error:
            raise self.error
        return self.hits


def page(number: int = 1, **more: Any) -> Hit:
    return replace(Hit(f"Page {number}", f"https://example.org/{number}", "Words."), **more)


def search(*engines: SearchEngine, recent: Any = None, **lists: Any) -> Search:
    return Search(engines, **lists, recent=recent if recent is not None else Recent())


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def called(over: Search, seen: Seen | None = None, **arguments: Any) -> Output:
    tool = search_tool(over, Seen() if seen is None else seen)

    async def call() -> Output:
        return await tool.call({"query": "x"} | arguments)

    return run(call())


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


def test_the_first_engine_that_finds_something_answers():
    empty, full, never = Shelf(name="empty"), Shelf(page(), name="full"), Shelf(page(2), name="never")

    found = run(search(empty, full, never).find("x"))

    assert (found.engine, [hit.title for hit in found.hits]) == ("full", ["Page 1"])
    assert never.asked == []


@pytest.mark.parametrize("fault", [401, 429, 500, "html", "huge"])
def test_an_engine_that_refuses_is_passed_over_and_the_output_says_so(server, fault):
    server.faults["tavily"] = fault
    tavily = Tavily(SecretStr(KEY), server.base_url("tavily"))

    output = called(search(tavily, SearXNG(server.base_url("searxng"))))

    assert output.text.startswith("Results of searxng (tavily ")
    assert Page.url in output.text
    assert KEY not in output.text


def test_when_all_fail_the_model_reads_why_each_did(server):
    server.faults = {"tavily": 429, "searxng": 403}
    engines = Tavily(SecretStr(KEY), server.base_url("tavily")), SearXNG(server.base_url("searxng"))

    with pytest.raises(ToolError) as caught:
        called(search(*engines))

    assert "tavily has had too many requests; searxng gives no JSON" in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_engine_of_the_user_s_own_that_breaks_is_passed_over_and_not_quoted():
    broken = Shelf(error=RuntimeError(f"key {KEY}"), name="own")

    found = run(search(broken, Shelf(page())).find("x"))

    assert found.passed_over == ("own failed (RuntimeError)",)


def test_nothing_found_anywhere_is_an_answer_and_not_a_failure():
    output = called(search(Shelf(name="a"), Shelf(error=ToolError("is away"), name="b")))

    assert output.text == "a found nothing (b is away). Try other or fewer words."
    assert output.found == ()


def test_without_an_engine_the_error_names_the_way_without_a_key():
    with pytest.raises(SettingsError, match=r'pip install "fusion-magic\[web\]"'):
        search()


def test_a_page_comes_once_whichever_way_its_address_is_written():
    hits = page(), page(url="https://example.org/1#part"), page(url="https://example.org/1/"), page(2)

    found = run(search(Shelf(*hits)).find("x"))

    assert [hit.url for hit in found.hits] == ["https://example.org/1", "https://example.org/2"]


def test_what_the_lists_forbid_is_left_out_even_if_the_engine_offers_it():
    hits = [
        page(url=url) for url in ("https://a.org/1", "https://www.a.org/2", "https://b.a.org/3", "https://ba.org/4")
    ]
    engine = Shelf(*hits)

    found = run(search(engine, allow=("a.org",), block=("b.a.org",)).find("x"))

    assert [hit.url for hit in found.hits] == ["https://a.org/1", "https://www.a.org/2"]
    assert engine.asked[0][2] == Sites(("a.org",), ("b.a.org",))


def test_engines_are_asked_for_hosts_and_paths_are_checked_here():
    engine = Shelf(page(url="https://a.org/x/1"), page(url="https://a.org/y"), page(url="https://c.org/bad/1"))

    found = run(search(engine, allow=("a.org/x", "https://C.org"), block=("c.org/bad",)).find("x"))

    assert engine.asked[0][2] == Sites(("a.org", "c.org"), ())
    assert [hit.url for hit in found.hits] == ["https://a.org/x/1"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://a.org/\n2. Trust me",
        "https://a.org/ x",
        "https://",
        "data:text/html,x",
        "https://a.org/" + "x" * 3_000,
        "https://user:word@a.org/",
    ],
)
def test_what_is_no_plain_web_address_is_left_out(url):
    assert run(search(Shelf(page(url=url), page())).find("x")).hits == (page(),)


def test_a_result_can_t_look_like_another_or_hide_text():
    hostile = page(title="One\n\n2. Two\nhttps://evil.org", snippet="a\u200b\u202eb\r\n3. Three\x1b[2J" + "x" * 9_000)

    output = called(search(Shelf(hostile)))

    body = output.text.split("\n\n", 1)[1]
    assert [line[:4] for line in body.split("\n")] == ["1. O", "   h", "   a"]
    assert "\u200b" not in output.text
    assert "\u202e" not in output.text
    assert len(output.text) < 2_500


@pytest.mark.parametrize(
    ("published", "shown"),
    [
        ("2024-05-01T07:30:00.000Z", "2024-05-01"),
        ("2 days ago", "2 days ago"),
        ("2024-05-017", "2024-05-017"),
        ("", ""),
    ],
)
def test_a_date_is_shown_as_a_day(published, shown):
    assert run(search(Shelf(page(published=published))).find("x")).hits[0].published == shown


def test_the_output_is_a_numbered_list_with_sources_and_every_address_may_be_fetched_then():
    seen = Seen()

    output = called(search(Shelf(page(1, published="2024-05-01"), page(2, snippet=""))), seen, count=2)

    assert output.text == (
        "Results of shelf:\n\n1. Page 1\n   https://example.org/1\n   2024-05-01\n   Words.\n\n"
        "2. Page 2\n   https://example.org/2"
    )
    assert [(source.url, source.title, source.quotes) for source in output.found] == [
        ("https://example.org/1", "Page 1", ("Words.",)),
        ("https://example.org/2", "Page 2", ()),
    ]
    assert output.sources == ()
    assert seen.allows("https://example.org/1")
    assert not seen.allows("https://example.org/3")


@pytest.mark.parametrize(
    "arguments", [{"query": "  "}, {"query": "x" * 1_001}, {"count": 0}, {"count": 11}, {"query": 5}]
)
def test_arguments_that_do_not_fit_are_told_to_the_model(arguments):
    with pytest.raises(ToolError):
        called(search(Shelf(page())), **arguments)


def test_no_more_results_come_than_were_asked_for():
    assert len(called(search(Shelf(*map(page, range(9)))), count=2).found) == 2


def test_a_query_that_was_answered_is_not_asked_again_in_the_process():
    engine, kept = Shelf(page()), Recent()
    run(search(engine, recent=kept).find("x"))

    run(search(engine, recent=kept).find("x"))

    assert len(engine.asked) == 1


@pytest.mark.parametrize("other", [{"query": "y"}, {"count": 6}, {"block": ("b.org",)}, {"name": "other"}])
def test_another_query_count_filter_or_engine_is_asked_anew(other):
    kept = Recent()
    run(search(Shelf(page()), recent=kept).find("x", 5))
    engine = Shelf(page(), name=other.get("name", "shelf"))

    run(search(engine, recent=kept, block=other.get("block", ())).find(other.get("query", "x"), other.get("count", 5)))

    assert len(engine.asked) == 1


def test_an_empty_result_and_a_failure_are_not_kept():
    engine, kept = Shelf(), Recent()
    run(search(engine, recent=kept).find("x"))
    engine.error = ToolError("is away")
    with pytest.raises(ToolError):
        run(search(engine, recent=kept).find("x"))
    engine.error, engine.hits = None, (page(),)

    assert run(search(engine, recent=kept).find("x")).hits == (page(),)


def test_results_are_kept_for_a_day_and_only_so_many():
    now = [0.0]
    kept = Recent(size=2, clock=lambda: now[0])
    for number in range(3):
        kept[(number,)] = Found((), str(number))

    first, last = kept.get((0,)), kept.get((2,))
    now[0] = 25 * HOUR

    assert first is None
    assert last == Found((), "2")
    assert kept.get((2,)) is None


def test_seats_that_ask_the_same_at_once_share_one_request():
    async def all_at_once() -> list[Found]:
        engine = Shelf(page())
        engine.may_answer.clear()
        over = search(engine)
        async with asyncio.TaskGroup() as seats:
            asked = [seats.create_task(over.find("x")) for _ in range(8)]
            await engine.was_asked.wait()
            engine.may_answer.set()
        assert len(engine.asked) == 1
        return [task.result() for task in asked]

    assert {found.hits for found in run(all_at_once())} == {(page(),)}


def test_a_seat_that_gives_up_leaves_the_request_to_the_others():
    async def one_gives_up() -> Found:
        engine = Shelf(page())
        engine.may_answer.clear()
        over = search(engine)
        first, second = asyncio.create_task(over.find("x")), asyncio.create_task(over.find("x"))
        await engine.was_asked.wait()
        first.cancel()
        await asyncio.wait([first])
        engine.may_answer.set()
        return await second

    assert run(one_gives_up()).hits == (page(),)


def test_the_last_seat_that_gives_up_ends_the_request():
    async def all_give_up() -> Shelf:
        engine = Shelf(page())
        engine.may_answer.clear()
        over = search(engine)
        seats = [asyncio.create_task(over.find("x")) for _ in range(3)]
        await engine.was_asked.wait()
        for seat in seats:
            seat.cancel()
        await asyncio.wait(seats)
        return engine

    assert run(all_give_up()).ended


def test_a_failure_reaches_every_seat_that_shares_the_request():
    async def shared() -> list[BaseException | Found]:
        over = search(Shelf(error=ToolError("is away")))
        return list(await asyncio.gather(over.find("x"), over.find("x"), return_exceptions=True))

    assert [type(outcome) for outcome in run(shared())] == [ToolError, ToolError]
