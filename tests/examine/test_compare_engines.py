"""`compare(engines=["kernel", "openrouter"])`: the same panel on this machine and on OpenRouter, side by side."""

from __future__ import annotations

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.examine.compare import compare
from pipeline.asking import judged
from pipeline.hosting import JUDGE, ONE, TWO, hosting, posts
from servers.openrouter import Reply, Request
from servers.responses import Fusion, ResponsesServer, analysis_json

BOTH = ["kernel", "openrouter"]


def answering(server: ResponsesServer) -> None:
    def judge_or_write(request: Request) -> Reply:
        return judged("A", "B") if "response_format" in request.body else Reply("Written here.", cost=0.02)

    server.reply("*", Reply("An answer.", cost=0.01))
    server.reply(JUDGE, judge_or_write)


def test_both_engines_are_asked_the_same_and_stand_in_rows_of_their_own():
    with hosting(Fusion(analysis=analysis_json(ONE, TWO))) as server:
        answering(server)
        found = compare(["Why?", "How?"], panels=[[ONE, TWO]], judges=[JUDGE], engines=BOTH)

    frame = found.frame
    assert list(frame["engine"]) == ["kernel", "openrouter"] * 2
    assert [run.result.answer for run in found.runs] == ["Written here.", "The panel says so."] * 2
    assert list(frame["cost"][frame["engine"] == "openrouter"]) == [0.4321, 0.4321]
    assert list(frame["seats"]) == [2] * 4
    assert len(posts(server)) == 2
    assert {configuration[3] for configuration in found.by_configuration} == set(BOTH)
    assert "openrouter" in str(found)


def test_the_engine_may_be_a_setting_like_any_other():
    with hosting() as server:
        found = compare("Why?", panels=[[ONE, TWO]], judges=[JUDGE], engine="openrouter")

    assert list(found.frame["engine"]) == ["openrouter"]
    assert len(posts(server)) == 1


def test_each_judge_of_a_hosted_fusion_is_a_fusion_of_its_own():
    with hosting() as server:
        compare("Why?", panels=[[ONE, TWO]], judges=[JUDGE, "openai/gpt-5.5"], engines=["openrouter"])

    assert [request.body["plugins"][0]["model"] for request in posts(server)] == [JUDGE, "openai/gpt-5.5"]


def test_a_seed_for_openrouter_is_an_error_before_anybody_is_asked():
    with hosting() as server:
        with pytest.raises(SettingsError, match="seed of its own"):
            compare("Why?", panels=[[ONE, TWO]], judges=[JUDGE], seeds=[1], engines=BOTH)

        assert all(request.method == "GET" for request in server.requests)
