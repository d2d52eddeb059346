"""`self`: one model asked several times, its samples compared like the seats of a panel."""

import pytest

from fusion_magic import Panelist, fuse, scripted
from fusion_magic.errors import SettingsError
from pipeline.asking import record
from servers.openrouter import analysis_json


def test_every_sample_is_asked_the_same_and_the_judge_reads_them_all():
    with scripted({"panel": ["One.", "Two.", "Three."], "judge": analysis_json("ABC"), "*": "Fused."}) as script:
        result = fuse("Why?", models=["v/m", "v/other"], judge="j", synthesizer="w", strategy="self", samples=3)

    asked = [request for request in script.requests if request.stage == "panel"]
    judge = next(request for request in script.requests if request.stage == "judge")
    assert [request.model for request in asked] == ["v/m"] * 3
    assert len({str(request.messages) for request in asked}) == 1
    assert all(text in judge.messages[-1]["content"] for text in ("One.", "Two.", "Three."))
    assert (result.answer, [seat.label for seat in result.responses]) == ("Fused.", ["A", "B", "C"])


def test_one_model_alone_judges_and_writes_too():
    with scripted({"judge": analysis_json("ABCD"), "*": "Text."}) as script:
        result = fuse("Why?", models=["v/m"], strategy="self")

    assert {request.model for request in script.requests} == {"v/m"}
    assert len(script.requests) == 6
    assert result.warnings == ()


def test_the_seat_s_persona_and_temperature_are_those_of_every_sample():
    seat = Panelist(model="v/m", system="Doubt.", temperature=0.3)

    with scripted({"judge": analysis_json("AB"), "*": "Text."}) as script:
        fuse("Why?", models=[seat], strategy="self", samples=2)

    asked = [request for request in script.requests if request.stage == "panel"]
    assert {(request.messages[0]["content"], request.temperature) for request in asked} == {("Doubt.", 0.3)}


def test_more_samples_than_a_panel_has_seats_are_refused():
    with scripted({"*": "Text."}), pytest.raises(SettingsError, match="more than 8 seats; lower --samples"):
        fuse("Why?", models=["a", "b", "c"], strategy="vote", samples=3)


def test_an_option_that_the_strategy_does_not_read_is_told():
    with scripted({"judge": analysis_json("AB"), "*": "Text."}):
        told = record(models=["a", "b"], judge="j", samples=3, rounds=3)

    assert told.kept.warnings == ("The strategy fusion does not use samples, rounds.",)
