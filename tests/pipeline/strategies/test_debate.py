"""`debate`: each seat reads the others, rebuts them, and says whether it changed its mind."""

import pytest

from fusion_magic import fold, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.pipeline.strategies.debate import change_in
from fusion_magic.results import Response
from pipeline.asking import record
from servers.openrouter import analysis_json

SCRIPT = {
    "a": ["It is red.", "Position: kept\nIt is red, as the light shows."],
    "b": ["It is blue.", "Position: changed, because the light shows it.\nIt is red."],
    "judge": analysis_json("AB"),
    "*": "Fused.",
}


def test_each_seat_reads_its_own_answer_as_its_own_and_the_other_s_as_material():
    with scripted(SCRIPT) as script:
        told = record(models=["a", "b"], judge="j", synthesizer="w", strategy="debate")

    again = script.requests[2]
    assert [message["role"] for message in again.messages] == ["system", "user", "assistant", "user"]
    assert again.messages[2]["content"] == "It is red."
    assert "It is blue.\n</B " in again.messages[3]["content"]
    assert "It is red." not in again.messages[3]["content"]
    judged = str(script.requests[4].messages)
    assert "as the light shows" in judged
    assert "It is blue." not in judged
    assert fold(told.events) == told.kept


def test_who_changed_their_mind_is_data():
    with scripted(SCRIPT):
        result = fuse("Which?", models=["a", "b"], judge="j", synthesizer="w", strategy="debate")

    assert [(each.label, each.round, each.changed, each.reason) for each in result.changes] == [
        ("A", 2, False, ""),
        ("B", 2, True, "the light shows it."),
    ]
    assert [each.content for each in result.earlier] == ["It is red.", "It is blue."]
    assert result.analysis is not None


def test_one_seat_that_is_left_has_nobody_to_answer():
    from fusion_magic.errors import CallError

    with scripted({"a": CallError("Dead."), "b": "Text.", "judge": analysis_json("B"), "*": "Fused."}) as script:
        result = fuse("Which?", models=["a", "b"], judge="j", synthesizer="w", strategy="debate", rounds=3)

    assert [request.model for request in script.requests] == ["a", "b", "j", "w"]
    assert result.changes == ()


def test_a_debate_with_oneself_is_refused():
    with scripted({"*": "Text."}), pytest.raises(SettingsError, match="debate needs 2 seats or more; the panel has 1"):
        fuse("Which?", models=["a"], judge="j", strategy="debate")


@pytest.mark.parametrize(
    ("text", "changed", "reason"),
    [
        ("Position: kept\nText.", False, ""),
        ("**Position:** changed, because of B’s source.\nText.", True, "of B’s source."),
        ("Position: unchanged. My view holds.\nText.", False, "My view holds."),
        ("Text without a position.", None, ""),
        ("x" * 1_000 + "\nPosition: changed", None, ""),
    ],
)
def test_a_position_is_read_where_it_belongs(text: str, changed: bool | None, reason: str):
    change = change_in(Response(label="A", model="m", content=text, round=2))

    assert (change.changed, change.reason) == (changed, reason)
