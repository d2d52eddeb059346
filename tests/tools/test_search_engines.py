"""Each engine's adapter speaks to the real shape of its service, and tells no key, whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.tools.search_engines import (
    Brave,
    Ddgs,
    Exa,
    Hit,
    Pace,
    SearchEngine,
    SearXNG,
    Serper,
    Sites,
    Tavily,
    engines_from_environment,
)
from servers.search import KEY, Page, SearchServer

KEYED = {"tavily": Tavily, "exa": Exa, "brave": Brave, "serper": Serper}
NAMES = (*KEYED, "searxng")
EVERYWHERE = Sites()


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


def engine(server: SearchServer, name: str, key: str = KEY) -> SearchEngine:
    base_url = server.base_url(name)
    return KEYED[name](SecretStr(key), base_url) if name in KEYED else SearXNG(base_url)


def find(asked: SearchEngine, query: str = "ångström", count: int = 5, sites: Sites = EVERYWHERE) -> tuple[Hit, ...]:
    return asyncio.run(asked.search(query, count, sites))


def refusal(asked: SearchEngine) -> str:
    with pytest.raises(ToolError) as caught:
        find(asked)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_finds_title_address_snippet_and_date(server, name):
    (hit,) = find(engine(server, name))

    assert (hit.title, hit.url, hit.snippet) == (Page.title, Page.url, Page.text)
    assert hit.published.startswith("May 1, 2024" if name == "serper" else "2024-05-01")


@pytest.mark.parametrize("name", NAMES)
def test_a_query_travels_whole_whatever_is_in_it(server, name):
    query = 'é & "quoted" #1 + 50% <b> ? = 日本'

    find(engine(server, name), query)

    fields = server.requests[0].fields
    assert fields["q" if "q" in fields else "query"] == query


@pytest.mark.parametrize(("name", "field"), [("tavily", "max_results"), ("exa", "numResults"), ("brave", "count")])
def test_no_more_results_are_asked_for_than_wanted(server, name, field):
    find(engine(server, name), count=3)

    assert int(server.requests[0].fields[field]) == 3


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("tavily", {"include_domains": ["a.org", "b.org"], "exclude_domains": ["c.org"]}),
        ("exa", {"includeDomains": ["a.org", "b.org"], "excludeDomains": ["c.org"]}),
        ("brave", {"q": "x (site:a.org OR site:b.org) -site:c.org"}),
        ("serper", {"q": "x (site:a.org OR site:b.org) -site:c.org"}),
        ("searxng", {"q": "x (site:a.org OR site:b.org) -site:c.org"}),
    ],
)
def test_domains_are_sent_in_the_engine_s_own_words(server, name, fields):
    find(engine(server, name), "x", sites=Sites(("a.org", "b.org"), ("c.org",)))

    assert fields.items() <= server.requests[0].fields.items()


def test_brave_gets_no_longer_query_than_it_takes(server):
    find(engine(server, "brave"), "word " * 90, sites=Sites(block=tuple(f"site{n}.org" for n in range(60))))

    assert len(server.requests[0].fields["q"].split()) == 50


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [400, 401, 402, 403, 422, 429, 432, 500, 302, "html", "huge", "gzip"])
def test_a_refusal_is_told_without_the_key_or_the_server_s_words(server, name, fault, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults[name] = fault

    told = refusal(engine(server, name))

    assert KEY not in told + caplog.text
    assert 5 < len(told) < 80


@pytest.mark.parametrize("name", KEYED)
def test_a_wrong_key_is_told_as_such(server, name):
    told = refusal(engine(server, name, key="wrong"))

    assert "refused the key" in told
    assert "wrong" not in told


def test_a_redirect_does_not_carry_the_key_along(server):
    server.faults["exa"] = 302

    refusal(engine(server, "exa"))

    assert [asked.engine for asked in server.requests] == ["exa"]


def test_an_engine_that_is_away_is_told_in_a_clause():
    with SearchServer() as server:
        away = engine(server, "tavily")

    assert refusal(away) == "can't be reached (ConnectError)"


@pytest.mark.parametrize("name", NAMES)
def test_entries_of_a_wrong_shape_are_left_out(server, name):
    server.faults[name] = "odd"

    assert find(engine(server, name)) == ()


def test_searxng_whose_engines_are_all_silent_has_failed(server):
    server.faults["searxng"] = "silent engines"

    assert "engines behind it" in refusal(engine(server, "searxng"))


def test_searxng_without_json_says_what_to_set(server):
    server.faults["searxng"] = 403

    assert "search.formats" in refusal(engine(server, "searxng"))


def test_a_proxy_of_the_environment_is_not_asked_for_a_server_on_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert find(engine(server, "searxng"))


def test_a_cancelled_search_closes_its_connection(server):
    server.faults["brave"] = "hang"

    async def cancelled() -> None:
        search = asyncio.create_task(engine(server, "brave").search("x", 5, EVERYWHERE))
        await asyncio.to_thread(server.asked.wait, 10)
        search.cancel()
        await asyncio.wait([search])

    asyncio.run(cancelled())

    assert server.client_gone.wait(10)


def test_a_key_is_in_no_repr(server):
    assert all(KEY not in repr(engine(server, name)) + repr(vars(engine(server, name))) for name in KEYED)


def library(query: str, count: int) -> list[dict[str, str]]:
    """What ddgs 9 returns: its TextResult as dictionaries."""
    return [{"title": "A page", "href": "https://example.org/a", "body": f"{query}, {count}"}]


def test_ddgs_finds_what_the_library_finds():
    (hit,) = find(Ddgs(library, Pace(0)), "x", 3, Sites(block=("b.org",)))

    assert hit == Hit("A page", "https://example.org/a", "x -site:b.org, 3")


def test_the_real_ddgs_without_a_way_out_fails_in_a_clause(monkeypatch):
    pytest.importorskip("ddgs", reason="the extra `web` is not installed")
    monkeypatch.setenv("DDGS_PROXY", "http://127.0.0.1:9")

    told = refusal(Ddgs(pace=Pace(0)))

    assert "http" not in told
    assert len(told) < 80


def test_ddgs_that_is_rate_limited_says_so():
    class RatelimitException(Exception):
        pass

    def limited(query: str, count: int) -> list[dict[str, str]]:
        raise RatelimitException("https://html.duckduckgo.com/html 202 Ratelimit")

    assert refusal(Ddgs(limited, Pace(0))) == "has had too many requests"


def test_turns_come_one_second_apart_and_none_is_saved_up():
    now = [100.0]
    pace = Pace(1.0, clock=lambda: now[0])

    burst = [pace.reserve() for _ in range(3)]
    now[0] = 200.0
    later = [pace.reserve() for _ in range(2)]

    assert burst == [0.0, 1.0, 2.0]
    assert later == [0.0, 1.0]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in ("BRAVE_SEARCH_API_KEY", "SEARXNG_URL", "SERPER_API_KEY", "EXA_API_KEY", "TAVILY_API_KEY"):
        monkeypatch.setenv(variable, "http://localhost:8888" if variable == "SEARXNG_URL" else KEY)
    return monkeypatch


def names() -> list[str]:
    return [each.name for each in engines_from_environment()]


def test_engines_are_asked_in_the_documented_order(keys):
    pytest.importorskip("ddgs", reason="the extra `web` is not installed")

    assert names() == ["tavily", "exa", "brave", "serper", "searxng", "ddgs"]


def test_fusion_search_picks_and_orders(keys):
    keys.setenv("FUSION_SEARCH", " Searxng,brave, searxng,")

    assert names() == ["searxng", "brave"]


def test_either_name_of_brave_s_key_will_do(keys):
    keys.delenv("BRAVE_SEARCH_API_KEY")
    keys.setenv("BRAVE_API_KEY", KEY)

    assert "brave" in names()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("FUSION_SEARCH", "braev", 'did you mean "brave"'),
        ("FUSION_SEARCH", "exa,google", '"google", which is no search engine'),
        ("TAVILY_API_KEY", "tvly-\u2026secret", "TAVILY_API_KEY holds a space"),
        ("SEARXNG_URL", "localhost:8888", "SEARXNG_URL is not an address"),
    ],
)
def test_what_can_t_be_used_is_told_in_a_sentence(keys, variable, value, told):
    keys.setenv(variable, value)

    with pytest.raises(SettingsError) as caught:
        engines_from_environment()

    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_engine_that_is_named_but_has_no_key_says_which(monkeypatch):
    monkeypatch.setenv("FUSION_SEARCH", "serper")

    with pytest.raises(SettingsError, match="set SERPER_API_KEY"):
        engines_from_environment()


def test_without_keys_and_without_ddgs_there_is_no_engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "ddgs", None)

    assert engines_from_environment() == ()
