"""Asking from a test: a panel on the loopback server, and runs with their whole log."""

from dataclasses import dataclass, field
from typing import Any

from fusion_magic.api import Running, request_for
from fusion_magic.errors import FusionError, PanelFailed
from fusion_magic.events import Event, RunStarted
from fusion_magic.results import FusionResult
from servers.openrouter import Reply, Request, Server, analysis_json


def judged(*labels: str, **more: Any) -> Reply:
    """A judge's good reply."""
    return Reply(analysis_json(labels or ("A", "B")), **more)


def at(server: Server, *names: str) -> tuple[str, ...]:
    """Models of the loopback server."""
    return tuple(f"{name}@{server.base_url}" for name in names)


def panel(server: Server, *names: str) -> Any:
    """Settings for a panel on the loopback server with a judge and a writer of its own, for `**`."""
    judge, writer = at(server, "judge", "writer")
    return {"models": at(server, *(names or ("a", "b"))), "judge": judge, "synthesizer": writer}


@dataclass
class Recorded:
    """A run with everything it said."""

    events: list[Event] = field(default_factory=list[Event])
    result: FusionResult | None = None
    error: FusionError | None = None

    @property
    def kept(self) -> FusionResult:
        assert self.result is not None, self.error
        return self.result

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def planned(self) -> list[str]:
        return [call.model for call in self.of(RunStarted)[0].plan]


def record(prompt: str = "Why?", **settings: Any) -> Recorded:
    """Run and keep the log; an expected error is kept too."""
    told = Recorded()
    running = Running(request_for(prompt, **settings), told.events.append)
    try:
        told.result = running.wait()
    except PanelFailed as exc:
        told.result, told.error = exc.result, exc
    except FusionError as exc:
        told.error = exc
    return told


def chats(server: Server, model: str | None = None) -> list[Request]:
    """The chat requests that came, of one model or of all."""
    asked = [request for request in server.requests if request.method == "POST"]
    return [request for request in asked if model in (None, request.model)]


def sent(server: Server, model: str) -> str:
    """All text of the last request to a model."""
    return "\n".join(message["content"] for message in chats(server, model)[-1].body["messages"])
