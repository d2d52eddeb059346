"""The tool reads pages in parts, keeps to addresses that were shown, and survives a hundred hostile pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest

from fusion_magic.characters import plain
from fusion_magic.errors import ToolError
from fusion_magic.tools import Output
from fusion_magic.tools.domains import Domains
from fusion_magic.tools.fetch import Fetcher
from fusion_magic.tools.seen import Seen
from fusion_magic.tools.web_fetch import PART, fetch_tool
from servers.hostile_pages import SMUGGLED, article, every
from servers.pages import Reply, Site, redirect

pytestmark = pytest.mark.thorough

pytest.importorskip("trafilatura")
pytest.importorskip("pypdf")

Use = Callable[[dict[str, Any]], Coroutine[Any, Any, Output]]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


def using(site: Site, seen: Seen, use: Callable[[Any], Coroutine[Any, Any, Any]], **more: Any) -> Any:
    async def run() -> Any:
        fetcher = Fetcher(Domains(), trusted=site.trusted, **more)
        try:
            return await use(fetch_tool(fetcher, seen).call)
        finally:
            await fetcher.aclose()

    return asyncio.run(run())


def fetch(site: Site, path: str, seen: Seen | None = None, **arguments: Any) -> Output:
    allowed = seen or Seen(unrestricted=True)
    return using(site, allowed, lambda call: call({"url": site.url(path), **arguments}))


def test_a_page_comes_with_its_title_its_address_and_itself_as_source(site):
    site.replies["/old"] = redirect("/tides")
    site.replies["/tides"] = Reply(article())

    output = fetch(site, "/old")

    assert output.text.startswith(f"Title: Tides\nAddress: {site.url('/tides')}\nCharacters: ")
    assert "moon pulls at the water" in output.text
    assert [(source.url, source.title) for source in output.sources] == [(site.url("/tides"), "Tides")]


def test_a_long_page_is_read_in_parts_that_join_and_is_fetched_once(site):
    text = "".join(f"{number:07d} " for number in range(8000)).strip()
    site.replies["/long"] = Reply(text.encode(), "text/plain")

    async def three(call: Use) -> list[str]:
        url = site.url("/long")
        return [(await call({"url": url, "offset": offset})).text for offset in (0, PART, 2 * PART)]

    parts = using(site, Seen(unrestricted=True), three)

    assert "".join(part.partition("\n\n")[2] for part in parts) == text
    assert "of 63999; the next offset is 25000" in parts[0]
    assert "this is the end" in parts[2]
    assert site.asked == ["/long"]


def test_an_offset_past_the_end_is_told_with_the_length(site):
    site.replies["/short"] = Reply(b"tides", "text/plain")

    with pytest.raises(ToolError, match="has 5 characters; an offset of 99"):
        fetch(site, "/short", offset=99)


def test_seats_that_ask_for_a_page_at_once_share_one_download(site):
    site.replies["/tides"] = Reply(b"tides", "text/plain", pause=0.05)

    async def many(call: Use) -> list[Output]:
        return await asyncio.gather(*(call({"url": site.url("/tides")}) for _ in range(8)))

    outputs = using(site, Seen(unrestricted=True), many)

    assert len(outputs) == 8
    assert site.asked == ["/tides"]


def test_an_address_that_was_not_shown_is_refused_and_never_asked_for(site):
    seen = Seen()
    seen.add(site.url("/tides?page=1"))
    site.replies["/tides?page=2"] = Reply(b"tides", "text/plain")

    with pytest.raises(ToolError, match="neither the question"):
        fetch(site, "/tides?page=2", seen)

    assert site.asked == []


def test_a_page_that_was_read_opens_its_links(site):
    seen = Seen()
    seen.add_text(f"Read {site.url('/one')}, please.")
    site.replies["/one"] = Reply(article('<p>It is <a href="/two?x=1">told further</a> elsewhere.</p>'))
    site.replies["/two?x=1"] = Reply(b"the second", "text/plain")

    async def both(call: Use) -> Output:
        await call({"url": site.url("/one")})
        return await call({"url": site.url("/two?x=1")})

    assert "the second" in using(site, seen, both).text


def test_a_seat_that_leaves_does_not_take_the_download_from_another(site):
    site.replies["/slow"] = Reply(lambda: iter([b"ti", b"des"]), "text/plain", pause=0.3)

    async def one_leaves(call: Use) -> Output:
        first, second = (asyncio.create_task(call({"url": site.url("/slow")})) for _ in range(2))
        await asyncio.to_thread(site.started.wait, 10)
        first.cancel()
        return await second

    assert "tides" in using(site, Seen(unrestricted=True), one_leaves).text


def test_arguments_that_do_not_fit_are_told_in_a_sentence(site):
    with pytest.raises(ToolError, match="offset"):
        fetch(site, "/", offset=-1)


def test_a_hundred_hostile_pages_stay_within_the_limits_and_nothing_else_is_asked_for(site):
    with Site() as canary:
        pages = every(canary.url(""))
        site.replies |= {path: reply for path, (_, reply) in pages.items()}

        async def attempt(call: Use, path: str) -> Output | ToolError:
            try:
                return await call({"url": site.url(path)})
            except ToolError as error:
                return error

        async def all_of(paths: set[str], call: Use) -> dict[str, Output | ToolError]:
            return dict(zip(paths, await asyncio.gather(*(attempt(call, path) for path in paths)), strict=True))

        found: dict[str, Output | ToolError] = {}
        slow = {path for path, (_, reply) in pages.items() if reply.pause}
        for paths, seconds in ((pages.keys() - slow, 20.0), (slow, 1.0)):
            found |= using(site, Seen(unrestricted=True), partial(all_of, paths), seconds=seconds)

    outcomes = {path: "refused" if isinstance(found[path], ToolError) else "read" for path in pages}
    assert len(pages) >= 100
    assert outcomes == {path: outcome for path, (outcome, _) in pages.items()}
    assert set(site.asked) == set(pages)
    assert canary.requests == []
    assert not any({"cookie", "authorization", "referer"} & request.headers.keys() for request in site.requests)
    items = [found[path] for path in pages]
    told = [item.text if isinstance(item, Output) else str(item) for item in items]
    assert max(map(len, told)) <= PART + 1000
    assert not any(SMUGGLED in text or "root:" in text or "lollol" in text for text in told)
    assert [text for text in told if text != plain(text)] == []
    assert sum("tides" in text for path, text in zip(pages, told, strict=True) if "/coded/" in path) >= 10
    assert all(len(str(item)) < 300 for item in items if isinstance(item, ToolError))
