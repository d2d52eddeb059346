"""The synthesizer: reads every answer and the analysis, writes the answer or a schema's JSON."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, field_validator

from fusion_magic import Panelist, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.events import AnswerReady, Delta
from pipeline.asking import at, chats, panel, record, sent
from servers.openrouter import Broken, Fault, RefuseParameter, Reply, Server


class City(BaseModel):
    """What the schema tests ask for."""

    name: str
    people: int = 0


GOOD = Reply('{"name": "Paris", "people": 2100000}')
PARIS = City(name="Paris", people=2_100_000)


def test_the_synthesizer_reads_every_answer_and_the_analysis_with_the_question_last(server: Server):
    server.reply("a", Reply("First answer."))
    server.reply("b", Reply("Second answer."))

    fuse("Why is that so?", **panel(server))

    read = sent(server, "writer")
    assert read.index("First answer.") < read.index('"blind_spots":') < read.index("Why is that so?")
    assert "Second answer." in read
    assert "tools" not in chats(server, "writer")[0].body


def test_the_answer_streams(server: Server):
    told = record(**panel(server))

    pieces = [event.text for event in told.of(Delta) if event.stage == "synthesis"]
    assert "".join(pieces) == told.kept.answer == "The fused answer."


def test_system_text_reaches_the_synthesizer_and_not_the_judge(server: Server):
    writer = Panelist(model=at(server, "writer")[0], system="Write tersely.", temperature=0.4)

    fuse("Why?", **panel(server) | {"synthesizer": writer}, system="Use French.", temperature=0.9)

    assert "Write tersely.\n\nUse French." in sent(server, "writer")
    assert chats(server, "writer")[0].body["temperature"] == 0.4
    assert "French" not in sent(server, "judge")


@pytest.mark.parametrize("fault", [Fault(503, retry_after=0), Fault(402), Broken(Reply("one two three four"), 1)])
def test_a_failing_synthesizer_keeps_the_panel_and_the_analysis(server: Server, fault: Any):
    server.reply("writer", fault)

    result = fuse("Why?", **panel(server), retries=0)

    assert result.status == "error"
    assert result.answer is None
    assert len(result.responses) == 2
    assert result.analysis is not None
    assert result.error is not None
    assert result.error.startswith("There is no fused answer: writer@")


def test_what_a_broken_synthesizer_had_written_is_kept_as_unfinished(server: Server):
    server.reply("writer", Broken(Reply("one two three four five"), 1, "truncate"))

    result = fuse("Why?", **panel(server), retries=0)

    assert (result.answer, result.unfinished) == (None, "one two three")


def test_of_a_synthesizer_s_attempts_the_longest_text_is_kept_as_unfinished(server: Server):
    server.reply("writer", [Broken(Reply("one two three four five"), 1, "truncate"), Fault(402)])

    result = fuse("Why?", **panel(server))

    assert (result.answer, result.unfinished) == (None, "one two three")


def test_a_synthesizer_whose_fallback_fails_too_has_both_reasons(server: Server):
    server.reply("writer", Broken(Reply("one two three four five"), 1, "truncate"))
    server.reply("spare", Fault(402))
    writer = Panelist(model=at(server, "writer")[0], fallback=at(server, "spare")[0])

    result = fuse("Why?", **panel(server) | {"synthesizer": writer}, retries=0)

    assert result.error is not None
    assert "ended before the answer did" in result.error
    assert " Its fallback: spare@" in result.error
    assert result.unfinished == "one two three"


def test_a_synthesizer_s_fallback_writes_in_its_place(server: Server):
    server.reply("writer", Fault(402))
    server.reply("spare", Reply("From the spare."))
    writer = Panelist(model=at(server, "writer")[0], fallback=at(server, "spare")[0])

    told = record(**panel(server) | {"synthesizer": writer})

    assert (told.kept.status, told.kept.answer) == ("ok", "From the spare.")
    assert at(server, "spare")[0] in told.planned


# --- schema=


def test_an_answer_of_a_schema_is_parsed(server: Server):
    server.reply("writer", GOOD)

    result = fuse("Which?", **panel(server), schema=City)

    wanted = chats(server, "writer")[0].body["response_format"]["json_schema"]
    assert result.parsed == PARIS
    assert result.answer == GOOD.text
    assert wanted["schema"]["required"] == ["name", "people"]
    assert wanted["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("body", [None, b'{"error": "bad request"}'])
def test_a_server_without_response_format_is_told_in_words(server: Server, body: bytes | None):
    server.reply("writer", RefuseParameter("response_format", GOOD, body=body))

    result = fuse("Which?", **panel(server), schema=City)

    told = chats(server, "writer")[-1].body
    assert result.parsed == PARIS
    assert "response_format" not in told
    schema = told["messages"][-1]["content"].split("nothing else: ")[1]
    assert json.loads(schema) == City.model_json_schema()


def test_an_answer_that_does_not_fit_is_repaired_once(server: Server):
    server.reply("writer", [Reply('{"people": 3}'), GOOD])

    result = fuse("Which?", **panel(server), schema=City)

    last = chats(server, "writer")[-1].body["messages"]
    assert result.parsed == PARIS
    assert result.answer == GOOD.text
    assert "name: Field required" in last[-1]["content"]
    assert result.warnings == ()


def test_an_answer_that_never_fits_is_given_up_with_a_warning_and_its_text(server: Server):
    server.reply("writer", Reply("Paris, of course."))

    result = fuse("Which?", **panel(server), schema=City)

    assert (result.status, result.parsed, result.answer) == ("ok", None, "Paris, of course.")
    assert len(chats(server, "writer")) == 2
    assert result.warnings[0].startswith("The answer does not fit City: there is no whole JSON object")


def test_a_repair_that_fails_leaves_the_first_answer(server: Server):
    server.reply("writer", [Reply("Paris."), Fault(402)])

    result = fuse("Which?", **panel(server), schema=City)

    assert (result.status, result.parsed, result.answer) == ("ok", None, "Paris.")


def test_the_first_answer_is_kept_before_its_repair_is_asked(server: Server):
    server.reply("writer", [Reply("Paris."), GOOD])

    told = record("Which?", **panel(server), schema=City)

    assert [(event.answer, event.parsed) for event in told.of(AnswerReady)] == [("Paris.", None), (GOOD.text, PARIS)]


def test_json_in_a_fence_is_found(server: Server):
    server.reply("writer", Reply(f"Here:\n```json\n{GOOD.text}\n```"))

    assert fuse("Which?", **panel(server), schema=City).parsed == PARIS


def test_a_validator_that_raises_anything_does_not_lose_the_answer(server: Server):
    class Picky(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _check(cls, value: str) -> str:
            raise KeyError(value)

    server.reply("writer", GOOD)

    result = fuse("Which?", **panel(server), schema=Picky)

    assert (result.parsed, result.answer) == (None, GOOD.text)
    assert "KeyError" in result.warnings[0]


def test_nested_objects_are_closed_too(server: Server):
    class Land(BaseModel):
        cities: list[City]

    server.reply("writer", Reply('{"cities": [{"name": "Paris", "people": 2100000}]}'))

    result = fuse("Which?", **panel(server), schema=Land)

    schema = chats(server, "writer")[0].body["response_format"]["json_schema"]["schema"]
    assert schema["$defs"]["City"]["additionalProperties"] is False
    assert result.parsed == Land(cities=[PARIS])


class Numbers(RootModel[list[int]]):
    """Not an object."""


class Odd(BaseModel, arbitrary_types_allowed=True):
    """Has no JSON schema."""

    server: Server


@pytest.mark.parametrize("schema", [Numbers, Odd, dict, City(name="x")])
def test_what_can_t_be_asked_for_is_refused_before_anything_is_called(server: Server, schema: Any):
    with pytest.raises(SettingsError, match="schema"):
        fuse("Which?", **panel(server), schema=schema)

    assert server.requests == []


def test_json_alone_is_no_reason_to_lose_the_space_around():
    with scripted({"synthesis": f" {GOOD.text}\n", "*": "x"}):
        result = fuse("Which?", models=["a"], judge="j", schema=City)

    assert (result.answer, result.parsed) == (GOOD.text, PARIS)
