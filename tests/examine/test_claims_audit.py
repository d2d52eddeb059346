"""A judge reads each sentence against the responses: what it is asked, what becomes of its reply, and what it costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from again import New
from examine.auditing import FACTS, stating
from fusion_magic import FusionResult, fuse
from fusion_magic.errors import FusionError, SettingsError
from fusion_magic.examine.claims_audit import AT_ONCE
from pipeline.asking import at, chats, panel
from servers.openrouter import Reply, Request, Server

INVENTED = "A toll of two dollars is collected from every southbound car."


@pytest.fixture
def server() -> Iterator[Server]:
    with stating() as running:
        running.reply("auditor", auditing({"1": {"all": ["A"]}, "2": {"part": ["B"]}, "4": {}}))
        yield running


def auditing(says: dict[str, Any]) -> Callable[[Request], Reply]:
    return lambda request: Reply(json.dumps(says))


def ran(server: Server, **more: Any) -> FusionResult:
    server.reply("writer", Reply("\n\n".join((*FACTS.values(), INVENTED))))
    return fuse("How large is it?", **panel(server, "a", "b", "c"), **more)


def test_each_sentence_has_what_the_judge_says_beside_what_words_say(server: Server):
    result = ran(server)
    new = New(server)

    audit = result.audit_claims(*at(server, "auditor"))

    assert new.models == ["auditor"]
    assert [each.origin for each in audit.checked] == ["one", "partly", None, "added"]
    assert [each.sentence.text for each in audit.added] == [INVENTED]
    rows = audit.frame.to_dict("records")
    assert [(row["by_words"], row["says"], row["part"]) for row in rows[:2]] == [("one", "A", ""), ("one", "", "B")]
    assert "The reply left out 1 of 4 sentences." in str(audit)
    assert [each.is_as_words_have_it for each in audit.checked if each.is_told] == [True, False, True]


def test_it_reads_responses_and_sentences_and_nothing_that_the_panel_had(server: Server):
    result = ran(server, system="Speak French.", rubric="Weigh costs.")
    new = New(server)

    result.audit_claims(*at(server, "auditor"))

    assert new.models == ["auditor"]
    body = chats(server, "auditor")[0].body
    text = json.dumps(body["messages"])
    assert all(fact in text for fact in FACTS.values())
    assert f"4. {INVENTED}" in text
    assert "French" not in text
    assert "Weigh costs" not in text
    assert (body["temperature"], "tools" in body) == (0.0, False)


def test_the_price_is_said_first_and_may_be_refused(server: Server, capsys: pytest.CaptureFixture[str]):
    result = ran(server)
    new = New(server)

    with pytest.raises(FusionError, match="not confirmed"):
        result.audit_claims(*at(server, "auditor"), confirm=lambda price: False)

    assert new.models == []
    assert "Audit of the claims: 1 call" in capsys.readouterr().out


def test_the_same_again_asks_nobody(server: Server):
    result = ran(server)
    result.audit_claims(*at(server, "auditor"))
    new = New(server)

    result.audit_claims(*at(server, "auditor"))

    assert new.models == []


@pytest.mark.parametrize("reply", ["It is all fine.", '{"note": 1}', '{"1": '])
def test_a_reply_that_can_not_be_read_is_one_sentence(server: Server, reply: str):
    result = ran(server)
    server.reply("auditor", Reply(reply))

    with pytest.raises(FusionError, match="ask another judge"):
        result.audit_claims(*at(server, "auditor"))


def test_letters_of_nobody_and_lists_of_another_shape_are_left_out(server: Server):
    result = ran(server)
    server.reply("auditor", auditing({"1": {"all": "A", "otherwise": ["Z", 3, "[b]"]}, "2": ["A"], "3": {}, "4": None}))

    audit = result.audit_claims(*at(server, "auditor"))

    assert (audit.checked[0].says, audit.checked[0].otherwise) == (("A",), ("B",))
    assert [each.is_told for each in audit.checked] == [True, False, True, False]


def test_a_long_answer_takes_more_calls(server: Server):
    many = [f"The pylon number {n} weighs {n + 1000} tonnes in all." for n in range(AT_ONCE + 5)]
    server.reply("writer", Reply("\n\n".join(many)))
    server.reply("auditor", lambda request: Reply(_all_to_a(json.dumps(request.body["messages"]))))
    result = fuse("How heavy?", **panel(server, "a", "b", "c"))
    new = New(server)

    audit = result.audit_claims(*at(server, "auditor"))

    assert len(new.models) == 2
    assert [each.says for each in audit.checked] == [("A",)] * len(many)
    assert [each.number for each in audit.checked] == list(range(1, len(many) + 1))


def _all_to_a(text: str) -> str:
    return json.dumps({number: {"all": ["A"]} for number in re.findall(r"(\d+)\. The pylon", text)})


def test_the_embedded_model_and_a_run_without_an_answer_are_refused(server: Server):
    result = ran(server)

    with pytest.raises(SettingsError, match="too small"):
        result.audit_claims("smollm2@local")
    with pytest.raises(SettingsError, match="has no answer"):
        result.model_copy(update={"answer": None}).audit_claims(*at(server, "auditor"))
