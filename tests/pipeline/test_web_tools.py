"""The web for panelists: OpenRouter's server tools where they are, and what is kept and refused of them."""

import json
from typing import Any

import pytest

from fusion_magic import Panel, Panelist, fuse
from fusion_magic.errors import SettingsError
from fusion_magic.presets import panel_named
from fusion_magic.settings import Settings, build_settings
from pipeline.asking import at, chats, record
from pipeline.tooling import Recorder, calling, steps
from servers.openrouter import Reply, Server

FLASH, OPUS = "google/gemini-3-flash-preview", "anthropic/claude-opus-4.8"


def ask(**more: Any) -> Any:
    return fuse("Why?", **({"models": [FLASH], "judge": OPUS, "tools": "web"} | more))


def cited(url: str) -> dict[str, Any]:
    return {"url": url, "title": "Tides", "content": "The moon pulls.", "start_index": 0, "end_index": 5}


def test_on_openrouter_the_web_is_its_server_tools(openrouter: Server, schema: Any):
    ask()

    body = chats(openrouter, FLASH)[0].body
    assert body["tools"] == [{"type": "openrouter:web_search"}, {"type": "openrouter:web_fetch"}]
    assert body["stop_server_tools_when"] == [{"type": "step_count_is", "step_count": 4}]
    schema(body, "ChatRequest")


def test_a_conversation_that_will_go_on_is_cached_where_that_has_to_be_asked_for(openrouter: Server, schema: Any):
    ask(models=[FLASH, OPUS])

    bodies = {name: [request.body for request in chats(openrouter, name)] for name in (FLASH, OPUS)}
    seat, *judge_and_writer = bodies[OPUS]
    assert seat["cache_control"] == {"type": "ephemeral"}
    schema(seat, "ChatRequest")
    assert not any("cache_control" in body for body in (*bodies[FLASH], *judge_and_writer))


def test_the_limit_of_steps_is_the_servers_too(openrouter: Server):
    ask(max_tool_calls=9)

    assert chats(openrouter, FLASH)[0].body["stop_server_tools_when"][0]["step_count"] == 9


@pytest.mark.parametrize(
    ("given", "search", "fetch"),
    [
        (
            {"allow_domains": ["a.org", "b.org"]},
            {"allowed_domains": ["a.org", "b.org"]},
            {"allowed_domains": ["a.org", "b.org"]},
        ),
        ({"block_domains": ["c.org"]}, {"excluded_domains": ["c.org"]}, {"blocked_domains": ["c.org"]}),
        # It takes one of the lists; the other is held here.
        (
            {"allow_domains": ["a.org"], "block_domains": ["x.a.org"]},
            {"allowed_domains": ["a.org"]},
            {"allowed_domains": ["a.org"]},
        ),
    ],
)
def test_lists_of_sites_go_to_the_server(openrouter: Server, schema: Any, given: Any, search: Any, fetch: Any):
    ask(**given)

    body = chats(openrouter, FLASH)[0].body
    assert [tool["parameters"] for tool in body["tools"]] == [search, fetch]
    schema(body, "ChatRequest")


def test_one_of_the_two_can_be_asked_for_alone(openrouter: Server):
    ask(tools="web_fetch")

    assert chats(openrouter, FLASH)[0].body["tools"] == [{"type": "openrouter:web_fetch"}]


def test_functions_and_server_tools_go_together(openrouter: Server):
    look = Recorder()
    openrouter.reply(FLASH, steps(calling("x"), Reply("Done.")))

    ask(tools=["web", look.tool])

    kinds = [tool["type"] for tool in chats(openrouter, FLASH)[0].body["tools"]]
    assert kinds == ["openrouter:web_search", "openrouter:web_fetch", "function"]
    assert look.calls == [{"word": "x"}]


def test_citations_become_sources_with_what_they_quote(openrouter: Server):
    openrouter.reply(FLASH, Reply("The moon.", annotations=[cited("https://tides.example/a")]))

    source = ask().responses[0].sources[0]

    assert (source.url, source.title, source.labels, source.quotes) == (
        "https://tides.example/a",
        "Tides",
        ("A",),
        ("The moon pulls.",),
    )


def test_pages_of_sites_that_are_not_allowed_are_no_sources_whatever_the_server_did(openrouter: Server):
    pages = [cited(f"https://{host}/x") for host in ("good.org", "sub.good.org", "bad.good.org", "other.net")]
    openrouter.reply(FLASH, Reply("So.", annotations=pages))

    result = ask(allow_domains=["good.org"], block_domains=["bad.good.org"])

    assert [source.url for source in result.sources] == ["https://good.org/x", "https://sub.good.org/x"]
    assert any("2 pages of sites that are not allowed" in text for text in result.warnings)


def test_what_the_server_ran_is_kept_as_calls_of_tools(openrouter: Server):
    record = {
        "type": "reasoning.server_tool_call",
        "tool_name": "openrouter:web_search",
        "arguments": '{"query":"tides"}',
        "result": '{"results":[]}',
        "index": 0,
    }
    openrouter.reply(FLASH, Reply("So.", details=[record]))

    (use,) = ask().tools

    assert (use.label, use.tool, use.arguments) == ("A", "openrouter:web_search", '{"query":"tides"}')
    assert (use.output, use.size, use.duration) == ('{"results":[]}', 14, None)


def test_signed_reasoning_goes_back_unchanged_with_the_results(openrouter: Server):
    signed = [
        {
            "type": "reasoning.text",
            "text": "Let me look.",
            "signature": "c2ln",
            "index": 0,
            "format": "anthropic-claude-v1",
        },
        {"type": "reasoning.encrypted", "data": "b3BhcXVl", "id": "r1", "index": 1},
    ]
    openrouter.reply(FLASH, steps(Reply("", details=signed, tool_calls=calling("x").tool_calls), Reply("Done.")))

    ask(tools=[Recorder().tool])

    said = next(m for m in chats(openrouter, FLASH)[1].body["messages"] if m["role"] == "assistant")
    assert said["reasoning_details"] == signed


def test_a_model_that_the_catalogue_says_takes_no_tools_is_not_offered_any(openrouter: Server):
    entry = next(entry for entry in openrouter.models if entry["id"] == FLASH)
    entry["supported_parameters"] = ["temperature"]

    result = ask()

    assert "tools" not in chats(openrouter, FLASH)[0].body
    assert f"{FLASH} does not take tools; it answers without." in result.warnings


def test_published_panels_have_the_web_and_none_takes_it_away(openrouter: Server):
    openrouter.reply("*", Reply("An answer."))

    fuse("Why?", panel="budget")
    fuse("Why?", panel="budget", tools="none")

    asked = chats(openrouter, FLASH)
    assert ["tools" in request.body for request in asked] == [True, False]


def test_panels_of_ones_own_and_the_free_and_local_ones_have_no_tools_of_themselves():
    assert Settings().tools is None
    assert Panel(models=["a/b"]).tools is None  # type: ignore[list-item]
    assert panel_named("free").tools is None
    assert panel_named("local").tools is None


def test_a_private_run_has_the_web_only_where_it_is_asked_for(openrouter: Server):
    quiet = fuse("Why?", panel="budget", private=True)
    told = fuse("Why?", panel="budget", private=True, tools="web")

    assert ["tools" in request.body for request in chats(openrouter, FLASH)] == [False, True]
    assert any("would not be private" in text for text in quiet.warnings)
    assert any("whom `private` does not bind" in text for text in told.warnings)


def test_a_panel_may_not_have_a_shell():
    with pytest.raises(SettingsError, match='not "bash"'):
        build_settings({"panel": {"models": ["a/b"], "tools": ["bash"]}})


def test_a_tool_that_does_not_exist_is_an_error_with_the_nearest():
    with pytest.raises(SettingsError, match='no tool "web_serch"; did you mean "web_search"'):
        fuse("Why?", models=["a/b"], tools="web_serch")


def test_with_web_server_a_seat_elsewhere_goes_without_and_that_is_told(openrouter: Server):
    (elsewhere,) = at(openrouter, "a")

    result = ask(models=[FLASH, elsewhere], web="server")

    assert ["tools" in chats(openrouter, name)[0].body for name in (FLASH, "a")] == [True, False]
    assert any("is not on OpenRouter and has no web tools" in text for text in result.warnings)


def test_the_same_page_cited_by_two_seats_is_one_source(openrouter: Server):
    openrouter.reply(FLASH, Reply("So.", annotations=[cited("https://www.tides.example/a#top")]))
    openrouter.reply("moonshotai/kimi-k2.6", Reply("So.", annotations=[cited("http://tides.example/a")]))

    result = ask(models=[FLASH, Panelist(model="moonshotai/kimi-k2.6")])

    assert [(source.url, source.labels) for source in result.sources] == [
        ("https://www.tides.example/a#top", ("A", "B"))
    ]


def test_the_record_of_a_run_with_tools_can_be_read_again(openrouter: Server):
    openrouter.reply(FLASH, steps(calling("x"), Reply("Done.")))

    told = record(models=[FLASH], judge=OPUS, tools=[Recorder().tool])

    kept = told.kept
    assert type(kept).from_record(kept.to_record()) == kept
    assert json.loads(kept.model_dump_json())["settings"]["tools"] == ["look"]
