"""What judge and synthesizer read: blind, fenced, shuffled, the same bytes for the same inputs."""

import json
import re

from fusion_magic import Panelist, fuse
from fusion_magic.prompts import run_digest, shuffled
from fusion_magic.results import Analysis
from pipeline.asking import at, chats, judged, panel, sent
from servers.openrouter import (
    Reply,
    Server,
)

FIVE = set(Analysis.model_fields)


def test_the_judge_runs_at_temperature_zero_with_a_strict_schema_of_the_seats(server: Server):
    fuse("Why?", **panel(server), temperature=0.9)

    body = chats(server, "judge")[0].body
    schema = body["response_format"]["json_schema"]
    assert body["temperature"] == 0
    assert schema["strict"] is True
    assert set(schema["schema"]["required"]) == FIVE
    assert '"enum": ["A", "B"]' in json.dumps(schema)


def test_a_judge_s_own_temperature_is_not_used_and_that_is_said(server: Server):
    judge = Panelist(model=at(server, "judge")[0], temperature=0.5, effort="high", max_tokens=55)

    result = fuse("Why?", **panel(server) | {"judge": judge})

    body = chats(server, "judge")[0].body
    assert (body["temperature"], body["reasoning_effort"], body["max_tokens"]) == (0, "high", 55)
    assert "The judge's own temperature is not used; the judge is always at 0." in result.warnings


def test_the_judge_and_the_synthesizer_never_read_model_names(server: Server):
    server.reply("alpha-one", Reply("First."))
    server.reply("beta-two", Reply("Second."))

    fuse("Why?", **panel(server, "alpha-one", "beta-two"))

    for reader in ("judge", "writer"):
        assert "alpha-one" not in sent(server, reader)
        assert "beta-two" not in sent(server, reader)
        assert "127.0.0.1" not in sent(server, reader)


def test_the_same_inputs_give_the_same_bytes(server: Server):
    for letter in "abc":
        server.reply(letter, Reply(f"Answer of {letter}."))
    server.reply("judge", judged(*"ABC"))

    fuse("Why?", **panel(server, *"abc"), reuse="never")
    fuse("Why?", **panel(server, *"abc"), reuse="never")

    first, second = (request.body for request in chats(server, "judge"))
    assert first == second


def test_other_answers_give_another_nonce(server: Server):
    server.reply("a", [Reply("One."), Reply("Two.")])

    fuse("Why?", **panel(server), reuse="never")
    first = sent(server, "judge")
    fuse("Why?", **panel(server), reuse="never")

    def nonce(text: str) -> str:
        return text.split("<A ")[1].split(">")[0]

    assert nonce(first) != nonce(sent(server, "judge"))


def test_only_the_order_is_shuffled_and_every_letter_stays_with_its_seat(server: Server):
    texts = {letter.upper(): f"Answer of {letter}." for letter in "abcdefgh"}
    for letter in "abcdefgh":
        server.reply(letter, Reply(texts[letter.upper()]))
    server.reply("judge", judged(*texts))

    fuse("Why?", **panel(server, *"abcdefgh"))

    read = sent(server, "judge")
    blocks = re.findall(r"^<([A-H]) \w+>\n(.*?)\n</\1 \w+>$", read, re.MULTILINE | re.DOTALL)
    order = [label for label, _ in blocks]
    assert dict(blocks) == texts
    assert order == shuffled(list(texts), run_digest("Why?", texts))
    assert order != sorted(order)


def test_judge_and_synthesizer_share_their_beginning_byte_for_byte(server: Server):
    server.reply("a", Reply("A long answer. " * 50))

    fuse("Why?", **panel(server), rubric="Prefer sources.")

    judge, writer = (chats(server, model)[0].body["messages"] for model in ("judge", "writer"))
    assert judge[0] == writer[0]
    shared = judge[1]["content"].split("\n\nCompare")[0]
    assert len(re.findall("^</[AB] ", shared, re.MULTILINE)) == 2
    assert writer[1]["content"].startswith(shared)
    assert judge[1]["content"].endswith("\nQuestion:\nWhy?")
    assert judge[1]["content"].index("Why?") > len(shared)


def test_the_rubric_reaches_the_judge_alone(server: Server):
    fuse("Why?", **panel(server), rubric="Prefer primary sources.")

    assert "Weigh above all: Prefer primary sources." in sent(server, "judge")
    assert "primary sources" not in sent(server, "writer")
    assert "primary sources" not in sent(server, "a")


def test_letters_come_back_with_their_models(server: Server):
    result = fuse("Why?", **panel(server))

    assert result.analysis is not None
    stances = result.analysis.contradictions[0].stances
    assert [(stance.label, stance.model) for stance in stances] == list(zip("AB", at(server, "a", "b"), strict=True))
    assert result.analysis.partial_coverage[0].models == at(server, "a", "b")
