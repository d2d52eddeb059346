"""A page as the live view sees it, which folds messages as live/widget.js does and draws nothing; and a run to show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from fusion_magic.events import CallStarted, Event, PlannedCall, RunStarted
from fusion_magic.jupyter.live import LiveView
from fusion_magic.jupyter.live.card import REASONING_AT_MOST

comm = pytest.importorskip("comm", reason="comms of their own came with ipywidgets 8")

PLAN = (
    PlannedCall("panel", "A", "a/one", 1e-6, 2e-6),
    PlannedCall("panel", "A", "spare/x", 0.0, 0.0, fallback=True),
    PlannedCall("panel", "B", "b/two", None, None),
    PlannedCall("judge", "", "j/udge", None, None),
    PlannedCall("synthesis", "", "s/ynth", None, None),
)
SETTINGS = {"panel": {"name": "budget"}}
STARTED = RunStarted("id", datetime(2026, 1, 1, tzinfo=UTC), "\nWhy is it blue?\nReally.", SETTINGS, PLAN)
ASKED = (STARTED, CallStarted("panel", "A", "a/one"), CallStarted("panel", "B", "b/two"))


class RecordingComm(comm.base_comm.BaseComm):
    """The kernel's end of a widget's wire, without a wire: what is published is kept."""

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        self.__dict__.setdefault("published", []).append((msg_type, json.loads(json.dumps(data))))


@dataclass
class Page:
    """A view and its page; `clicks` is what reached Python."""

    view: LiveView
    clicks: list[str] = field(default_factory=list[str])
    folded: int = 0
    number: int = 0
    run: dict[str, Any] = field(default_factory=dict[str, Any])
    cards: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    html: str | None = None

    @property
    def published(self) -> list[tuple[str, dict[str, Any]]]:
        return self.wire.published

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [data["content"] for kind, data in self.published if kind == "comm_msg"]

    def says(self, content: Any) -> None:
        self.wire.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def sees(self, *events: Event) -> dict[str, dict[str, Any]]:
        """Apply events, flush, and fold what arrived."""
        for event in events:
            self.view.apply(event)
        self.view.flush()
        self.catch_up()
        return self.cards

    def catch_up(self) -> None:
        for message in self.messages[self.folded :]:
            self.fold(message)
        self.folded = len(self.messages)

    def fold(self, message: dict[str, Any]) -> None:
        whole = "whole" in message
        if message["number"] <= self.number or not (whole or message["number"] == self.number + 1 or "html" in message):
            return
        self.number = message["number"]
        self.html = message.get("html")
        self.run |= message.get("run", {})
        for key, news in message.get("cards", {}).items():
            card = self.cards.setdefault(key, {"blocks": [], "rest": "", "thought": "", "tools": {}})
            if whole or news.get("attempt", card.get("attempt")) != card.get("attempt"):
                card |= {"blocks": [], "rest": "", "thought": ""}
            card["blocks"] = card["blocks"] + news.get("blocks", [])
            card["rest"] = news.get("rest", card["rest"] + news.get("more", ""))
            card["thought"] = (card["thought"] + news.get("thought", ""))[-REASONING_AT_MOST:]
            card["tools"] = card["tools"] | news.get("tools", {})
            folded = ("blocks", "rest", "more", "thought", "tools")
            card |= {name: value for name, value in news.items() if name not in folded}

    def __post_init__(self) -> None:
        self.wire: Any = self.view.comm  # closing takes it from the view


def opened(monkeypatch: pytest.MonkeyPatch, *, can_click: bool = True) -> Page:
    """A view wired to a page instead of a kernel."""
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    clicks: list[str] = []
    return Page(LiveView(can_click=can_click, on_stop=lambda: clicks.append("stop"), on_skip=clicks.append), clicks)
