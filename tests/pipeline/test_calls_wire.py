"""What the settings of a run and of a seat become in the body of a call."""

from fusion_magic import Panelist, fuse, scripted
from pipeline.asking import at, chats, panel
from servers.openrouter import Server

OPUS = "anthropic/claude-opus-4.8"


def test_the_run_s_settings_reach_the_panel(server: Server):
    fuse("Why?", **panel(server), temperature=0.7, effort="low", max_tokens=321, system="Answer in Latin.")

    body = chats(server, "a")[0].body
    assert (body["temperature"], body["reasoning_effort"], body["max_tokens"]) == (0.7, "low", 321)
    assert body["messages"] == [
        {"role": "system", "content": "Answer in Latin."},
        {"role": "user", "content": "Why?"},
    ]


def test_a_seat_s_own_settings_go_before_the_run_s(server: Server):
    own = {"system": "You are a critic.", "temperature": 0.1, "effort": "high", "max_tokens": 99, "seed": 7}
    seat = Panelist(model=at(server, "a")[0], **own)
    asked = panel(server) | {"models": [seat, *at(server, "b")]}

    fuse("Why?", **asked, temperature=0.9, effort="low", max_tokens=500, system="Be brief.")

    body, other = chats(server, "a")[0].body, chats(server, "b")[0].body
    assert (body["temperature"], body["reasoning_effort"], body["max_tokens"], body["seed"]) == (0.1, "high", 99, 7)
    assert body["messages"][0]["content"] == "You are a critic.\n\nBe brief."
    assert (other["temperature"], other["reasoning_effort"], other["max_tokens"]) == (0.9, "low", 500)
    assert "seed" not in other


def test_an_unset_setting_is_not_sent(server: Server):
    fuse("Why?", **panel(server))

    body = chats(server, "a")[0].body
    assert not {"temperature", "seed", "reasoning_effort", "response_format"} & set(body)
    assert body["max_tokens"] == 16_000
    assert body["messages"] == [{"role": "user", "content": "Why?"}]


def test_effort_and_tokens_reach_openrouter_under_its_names(openrouter: Server):
    fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS, effort="high", max_tokens=123)

    for request in chats(openrouter):
        assert request.body["reasoning"] == {"effort": "high"}
        assert request.body["max_completion_tokens"] == 123


def test_all_calls_of_a_run_share_a_session(openrouter: Server):
    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    assert {request.body["session_id"] for request in chats(openrouter)} == {result.id}


def test_the_time_to_connect_is_handed_to_the_client():
    with scripted({"*": "Text."}) as script:
        fuse("Why?", models=["a"], judge="j", connect_timeout=3.5)

    assert {request.connect_timeout for request in script.requests} == {3.5}
