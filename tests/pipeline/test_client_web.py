"""The web from this machine in a whole run: a real search server, the policy of addresses, and no way to the inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fusion_magic import fuse
from pipeline.asking import chats, panel
from pipeline.tooling import results, steps
from servers.openrouter import Reply, Server
from servers.pages import Site
from servers.search import Page, SearchServer

pytest.importorskip("trafilatura")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchServer]:
    with SearchServer() as running:
        monkeypatch.setenv("FUSION_SEARCH", "searxng")
        monkeypatch.setenv("SEARXNG_URL", running.base_url("searxng"))
        yield running


def using(*calls: tuple[str, dict[str, Any]]) -> Reply:
    return Reply("", tool_calls=[(f"id{n}", name, json.dumps(given)) for n, (name, given) in enumerate(calls)])


def test_a_seat_searches_and_what_it_names_is_a_source(server: Server, engine: SearchServer):
    engine.pages = (
        Page("Tides", "https://tides.example/moon", "The moon pulls."),
        Page("B", "https://b.example/", "No."),
    )
    server.reply("a", steps(using(("web_search", {"query": "tides"})), Reply("See https://tides.example/moon.")))

    result = fuse("Why tides?", **panel(server, "a"), tools="web_search")

    assert "The moon pulls." in results(chats(server, "a")[1])[0]
    assert [(source.url, source.title) for source in result.sources] == [("https://tides.example/moon", "Tides")]


def test_blocked_sites_are_neither_found_nor_named(server: Server, engine: SearchServer):
    engine.pages = (Page("Bad", "https://www.bad.example/x", "b"), Page("Good", "https://good.example/y", "g"))
    server.reply("a", steps(using(("web_search", {"query": "blocked"})), Reply("Done.")))

    fuse("Why?", **panel(server, "a"), tools="web", block_domains="bad.example")

    read = results(chats(server, "a")[1])[0]
    assert "good.example" in read
    assert "bad.example" not in read


def test_an_address_that_nothing_named_is_not_fetched(server: Server, engine: SearchServer):
    with Site() as inside:
        url = inside.url("/?stolen=secret")
        server.reply("a", steps(using(("web_fetch", {"url": url})), Reply("Done.")))

        result = fuse("Why?", **panel(server, "a"), tools="web")

        assert inside.asked == []
        assert "only such addresses are fetched" in str(result.tools[0].error)


@pytest.mark.parametrize("policy", ["seen", "any"])
def test_an_address_of_this_machine_is_never_fetched_even_if_the_prompt_names_it(
    server: Server, engine: SearchServer, policy: Any
):
    with Site() as inside:
        url = inside.url("/")
        server.reply("a", steps(using(("web_fetch", {"url": url})), Reply("Done.")))

        result = fuse(f"What says {url}?", **panel(server, "a"), tools="web", url_policy=policy)

        assert inside.asked == []
        assert "public" in str(result.tools[0].error)


def test_what_one_seat_found_another_may_not_fetch(server: Server, engine: SearchServer):
    engine.pages = (Page("F", "http://127.0.0.1:9999/found", "f"),)
    fetch = using(("web_fetch", {"url": "http://127.0.0.1:9999/found"}))
    server.reply("a", steps(using(("web_search", {"query": "found"})), fetch, Reply("Done.")))
    server.reply("b", steps(fetch, Reply("Done.")))

    result = fuse("Why?", **panel(server, "a", "b"), tools="web")

    errors = {use.label: str(use.error) for use in result.tools if use.tool == "web_fetch"}
    assert "public" in errors["A"]  # allowed by the policy, and stopped by the address
    assert "public" not in errors["B"]
