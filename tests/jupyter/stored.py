"""Runs and calls in the store, as earlier cells would have left them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fusion_magic import fuse, scripted
from fusion_magic.errors import RequestRefused
from fusion_magic.results import Call, FusionResult
from fusion_magic.store import KeptCall, Place, Store, open_store

from .flag_cases import ANSWERS
from .samples import result

MODELS = ["a/one", "b/two"]
REFUSED = RequestRefused("c/three answered 500.", status_code=500)


def settled() -> Store:
    """The store once all that was written is on the disk."""
    open_store().settled().result()
    return open_store()


def run(id: str, prompt: str = "What?", notebook: str = "", preset: str = "", **more: Any) -> FusionResult:
    """A run that has ended, with its calls."""
    made = result().model_copy(update={"id": id, "prompt": prompt, "settings": {"panel": {"name": preset}}} | more)
    place = Place(notebook, preset)
    for number, call in enumerate(made.calls):
        book(call, f"{id} {number}", place, id)
    open_store().end(made, place)
    settled()
    return made


def book(call: Call, key: str, place: Place, run: str = "") -> None:
    """A call that was asked and paid."""
    open_store().keep(KeptCall(key, call, {}, {}, datetime.now(UTC), run), place, reusable=True)


def answered(prompt: str = "What?", **more: Any) -> FusionResult:
    """A run by script that has its answer, put into the store."""
    with scripted(ANSWERS):
        made = fuse(prompt, models=MODELS, judge="j/x", synthesizer="s/x", **more)
    open_store().end(made, Place())
    settled()
    return made


def without_answer() -> FusionResult:
    """A run by script whose synthesizer failed, put into the store."""
    with scripted({**ANSWERS, "synthesis": REFUSED}):
        made = fuse("What?", models=MODELS, judge="j/x", synthesizer="s/x", retries=0)
    open_store().end(made, Place())
    settled()
    return made
