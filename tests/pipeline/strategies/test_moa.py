"""`moa`: layers, each reading the one before."""

from fusion_magic import fold, fuse, scripted
from fusion_magic.errors import CallError
from fusion_magic.providers import ChatRequest
from pipeline.asking import record


def layered(request: ChatRequest) -> str:
    """The first layer's answer, or a later one's that says which layer it read."""
    read = str(request.messages)
    if request.stage == "synthesis":
        return "Fused."
    number = next((n for n in (3, 2, 1) if f"layer {n} of" in read), 0) + 1
    return f"layer {number} of {request.model}"


def test_each_layer_reads_the_one_before_and_the_synthesizer_the_last():
    with scripted({"*": layered}) as script:
        told = record(models=["a", "b"], judge="j", synthesizer="w", strategy="moa", rounds=3)

    read = [str(request.messages) for request in script.requests]
    assert all("layer" not in text for text in read[:2])
    assert all("layer 1 of a" in text and "layer 1 of b" in text and "layer 2" not in text for text in read[2:4])
    assert all("layer 2 of a" in text and "layer 2 of b" in text and "layer 1" not in text for text in read[4:6])
    assert "layer 3 of a" in read[6] and "layer 2" not in read[6]  # noqa: PT018
    result = told.kept
    assert [(each.label, each.round, each.content) for each in result.earlier] == [
        ("A", 1, "layer 1 of a"),
        ("B", 1, "layer 1 of b"),
        ("A", 2, "layer 2 of a"),
        ("B", 2, "layer 2 of b"),
    ]
    assert [(each.round, each.content) for each in result.responses] == [(3, "layer 3 of a"), (3, "layer 3 of b")]
    assert (result.answer, result.analysis) == ("Fused.", None)
    assert fold(told.events) == result


def test_there_is_no_judge_and_the_plan_says_so():
    with scripted({"*": layered}):
        told = record(models=["a", "b"], judge="j", synthesizer="w", strategy="moa")

    assert told.planned == ["a", "b", "a", "b", "w"]


def test_a_seat_that_fails_in_a_later_layer_keeps_its_answer():
    with scripted({"a": ["First of a.", CallError("Dead.")], "b": "Text of b.", "*": "Fused."}) as script:
        result = fuse("Why?", models=["a", "b"], judge="j", synthesizer="w", strategy="moa")

    assert [(each.label, each.round) for each in result.responses] == [("A", 1), ("B", 2)]
    assert result.warnings == ("A did not answer in round 2, so its answer of round 1 stands: Dead.",)
    assert "First of a." in str(script.requests[-1].messages)
    assert result.failed_models == ()


def test_a_seat_that_fails_in_the_first_layer_is_asked_no_more():
    with scripted({"a": CallError("Dead."), "b": "Text of b.", "*": "Fused."}) as script:
        result = fuse("Why?", models=["a", "b"], judge="j", synthesizer="w", strategy="moa", rounds=3)

    assert [request.model for request in script.requests] == ["a", "b", "b", "b", "w"]
    assert [lost.label for lost in result.failed_models] == ["A"]


def test_personas_stay_in_later_layers():
    from fusion_magic import Panelist

    with scripted({"*": layered}) as script:
        fuse("Why?", models=[Panelist(model="a", system="Doubt all.")], judge="j", strategy="moa", system="In French.")

    assert "Doubt all.\n\nIn French." in str(script.requests[1].messages[-1]["content"])


def test_the_same_model_twice_is_asked_twice_in_each_layer():
    with scripted({"panel": "Same.", "*": "Fused."}) as script:
        fuse("Why?", models=["a", "a"], judge="j", strategy="moa")

    assert len(script.requests) == 5
