"""What strategies counted stands in the saved output, in HTML, Markdown and text."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import fuse, scripted
from fusion_magic.jupyter.live.cards import Board
from fusion_magic.jupyter.progress import Progress
from fusion_magic.jupyter.static import bundle
from pipeline.asking import record
from servers.openrouter import analysis_json

MODELS: Any = {"models": ["v/a", "v/b", "v/c"], "judge": "j", "synthesizer": "w"}
SEATS: Any = {
    "v/a": ["First of a.", "Position: changed, because of <b>light</b>.\nRanking: B > C"],
    "v/b": ["First of b.", "Position: kept\nRanking: C > A"],
    "v/c": ["First of c.", "Position: kept\nRanking: B > A"],
    "judge": analysis_json("ABC"),
    "*": "Fused.",
}
SCOUTS: Any = SEATS | {"v/a": "In short: the sky is blue", "v/b": "In short: the sea is red"}
VOTES: Any = {"v/a": "Answer: red", "v/b": "Answer: *blue*", "v/c": "Answer: Red"}
SHOWN = {
    "vote": ("Votes", "red (2)"),
    "rank": ("Mean places", "1.00"),
    "debate": ("Who changed their mind", "round 2: changed"),
    "moa": ("A · round 1 · v/a", "First of a."),
    "scout": ("Decision", "The panel was asked: A and B disagree (agreement 0.00, below 0.6)."),
    "auto": ("Decision", "w answered alone"),
}


@pytest.mark.parametrize("strategy", SHOWN)
def test_it_is_in_every_form_of_the_saved_output(strategy: str):
    with scripted({"vote": VOTES, "scout": SCOUTS}.get(strategy, SEATS)):
        forms = bundle(fuse("Why?", **MODELS, strategy=strategy))

    for words in SHOWN[strategy]:
        assert all(words in forms[kind] for kind in ("text/html", "text/markdown", "text/plain")), words
    assert f"Strategy {strategy}" in forms["text/plain"]


def test_what_a_seat_wrote_of_its_mind_is_escaped():
    with scripted(SEATS):
        forms = bundle(fuse("Why?", **MODELS, strategy="debate"))

    assert "<b>light</b>" not in forms["text/html"] + forms["text/markdown"]


def test_a_plain_fusion_shows_nothing_of_it():
    with scripted(SEATS):
        forms = bundle(fuse("Why?", **MODELS))

    assert "Strategy" not in forms["text/html"] + forms["text/plain"]


@pytest.mark.parametrize("strategy", ["fusion", "self", "guide", *SHOWN])
def test_the_live_view_and_the_terminal_take_every_event_of_it(strategy: str):
    script = VOTES if strategy == "vote" else SEATS
    with scripted(script | {"*": "Fused."}):
        told = record("Why?", **MODELS, strategy=strategy)
    board, progress = Board(), Progress()

    for event in told.events:
        board.apply(event)
        progress.apply(event)
        board.news()

    assert board.whole()["cards"]
    assert list(progress.news())
    assert not any(card.is_going for card in board.cards.values())
    if strategy == "rank":
        assert board.cards["judge A"].name == "A's ballot"
        assert "Ranking" not in str(board.cards["A"].text)
    if strategy == "scout":
        assert told.kept.decision is not None
    if strategy == "auto":
        assert board.cards["A"].state == "skipped"
