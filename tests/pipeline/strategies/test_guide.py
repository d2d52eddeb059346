"""`guide`: the comparison is private guidance to a chat model, in a thread or without one."""

from fusion_magic import fold, fuse, scripted
from fusion_magic.errors import CallError
from pipeline.asking import chats, panel, record
from servers.openrouter import Server, analysis_json

SCRIPT = {"judge": analysis_json("AB"), "synthesis": "Dear you, fused.", "*": "Words of a seat."}


def test_the_chat_model_reads_the_comparison_and_no_response():
    with scripted(SCRIPT) as script:
        told = record("Why?", models=["a", "b"], judge="j", synthesizer="w", strategy="guide", system="Be kind.")

    system, user = script.requests[-1].messages
    assert system["content"].startswith("Be kind.\n\nFor this turn a panel")
    assert '"consensus"' in system["content"]
    assert user == {"role": "user", "content": "Why?"}
    assert "Words of a seat." not in str(script.requests[-1].messages)
    assert told.kept.answer == "Dear you, fused."
    assert fold(told.events) == told.kept


def test_in_a_thread_the_chat_model_has_the_conversation_and_new_guidance_each_turn(server: Server):
    settings = panel(server) | {"strategy": "guide", "thread": "talk"}
    fuse("Why is it blue?", **settings)

    fuse("And at dusk?", **settings)

    messages = chats(server, "writer")[-1].body["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in messages[1:]] == ["Why is it blue?", "The fused answer.", "And at dusk?"]
    assert "comparison" not in str(messages[1:])


def test_without_a_judge_it_answers_without_guidance_and_says_so():
    with scripted(SCRIPT | {"judge": CallError("Dead.")}) as script:
        result = fuse("Why?", models=["a", "b"], judge="j", synthesizer="w", strategy="guide")

    assert result.warnings == ("There is no analysis: Dead.", "w answered this turn without guidance.")
    assert [message["role"] for message in script.requests[-1].messages] == ["user"]
