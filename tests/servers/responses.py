"""The loopback server as OpenRouter's Responses API: a fusion with its events, from a script a test gives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from .chunks import cut
from .openrouter import Fault, Request, Server
from .plans import Piece, Plan, fault
from .scripts import Json

FUSION = "openrouter:fusion"
EVENTS = "response.fusion_call."
# What each event is called in OpenRouter's OpenAPI document.
SCHEMAS = {
    "response.created": "OpenResponsesCreatedEvent",
    "response.output_item.added": "StreamEventsResponseOutputItemAdded",
    "response.output_item.done": "StreamEventsResponseOutputItemDone",
    "response.output_text.delta": "TextDeltaEvent",
    "response.output_text.done": "TextDoneEvent",
    "response.reasoning_text.delta": "ReasoningDeltaEvent",
    "response.completed": "StreamEventsResponseCompleted",
    "response.incomplete": "StreamEventsResponseIncomplete",
    "response.failed": "StreamEventsResponseFailed",
    "error": "ErrorEvent",
    f"{EVENTS}in_progress": "FusionCallInProgressEvent",
    f"{EVENTS}panel.added": "FusionCallPanelAddedEvent",
    f"{EVENTS}panel.delta": "FusionCallPanelDeltaEvent",
    f"{EVENTS}panel.reasoning.delta": "FusionCallPanelReasoningDeltaEvent",
    f"{EVENTS}panel.completed": "FusionCallPanelCompletedEvent",
    f"{EVENTS}panel.failed": "FusionCallPanelFailedEvent",
    f"{EVENTS}analysis.in_progress": "FusionCallAnalysisInProgressEvent",
    f"{EVENTS}analysis.completed": "FusionCallAnalysisCompletedEvent",
    f"{EVENTS}completed": "FusionCallCompletedEvent",
}
QUALITY = ("~anthropic/claude-opus-latest", "~openai/gpt-latest", "~google/gemini-pro-latest")
Validate = Callable[[Any, str], None]


def analysis_json(one: str = "a/one", other: str = "b/two") -> Json:
    """An analysis in which two models contradict each other."""
    return {
        "consensus": ["It is so."],
        "contradictions": [
            {"topic": "why", "stances": [{"model": one, "stance": "By law."}, {"model": other, "stance": "By use."}]}
        ],
        "partial_coverage": [{"models": [one, other], "point": "Since when."}],
        "unique_insights": [{"model": other, "insight": "Not on islands."}],
        "blind_spots": ["The cost."],
    }


@dataclass(frozen=True)
class Panelist:
    """What becomes of one seat: an answer, or an error; `asked_as` is its model's name when it is asked, if another."""

    model: str
    text: str = ""
    reasoning: str = ""
    error: str = ""
    status_code: int | None = None
    asked_as: str = ""


@dataclass(frozen=True)
class Fusion:
    """A response. Without `panel` every model that the request names answers "<model> says so.".

    Attributes:
        answer: what the outer model writes in the end; `preamble` what it writes before.
        fuses: whether the outer model calls the fusion.
        analysis: the analyst's; None if it fails.
        together: the seats' pieces come in turn, not one seat after the other.
        as_item: what panel and analyst brought comes with the item only, without events.
        failure: (error, failure_reason) of a fusion that failed.
        cut: the stream ends after this many events; `how` says how.
        status, why: of the response, and `incomplete_details.reason`.
        error: the event that stands in the place of the end.
        stall: seconds of silence before the end, or before event `cut` if that is given.
        pace: seconds between two events.
        whole: the body comes as one JSON object, although a stream was asked for.
        calls: how often the fusion is called; a second call in one turn is refused.
    """

    panel: Sequence[Panelist] | None = None
    answer: str = "The panel says so."
    preamble: str = ""
    fuses: bool = True
    analysis: Json | None = field(default_factory=analysis_json)
    together: bool = False
    as_item: bool = False
    failure: tuple[str, str] | None = None
    sources: Sequence[tuple[str, str]] = ()
    served: str = "anthropic/claude-opus-4.8"
    cost: float | None = 0.4321
    cut: int | None = None
    how: Literal["truncate", "reset"] = "truncate"
    status: Literal["completed", "incomplete", "failed"] = "completed"
    why: str = ""
    error: Json | None = None
    stall: float = 0.0
    pace: float = 0.0
    whole: bool = False
    calls: int = 1


class ResponsesServer(Server):
    """`fusions` answers POST /responses, one after the other, the last again and again; all else as in `Server`.

    Args:
        fusions: what to answer.
        validate: checks each part of a request and each event against OpenRouter's document; its errors are raised
            at the end of the block.
        key: as in `Server`.
    """

    def __init__(self, *fusions: Fusion | Fault, validate: Validate | None = None, key: str | None = None) -> None:
        super().__init__(key)
        self.fusions: list[Fusion | Fault] = list(fusions) or [Fusion()]
        self._validate: Validate = validate or (lambda value, name: None)
        self._turns = count()

    def _plan(self, request: Request) -> Plan:
        if not request.path.endswith("/responses"):
            return super()._plan(request)
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return fault(Fault(401), self._asked(request))
        answer = self.fusions[min(next(self._turns), len(self.fusions) - 1)]
        try:
            check_request(request, self._validate)
            if isinstance(answer, Fault):
                return fault(answer, self._asked(request))
            if "x-openrouter-fusion-depth" in request.headers:
                answer = Fusion(fuses=False)  # as a panelist's call, which can't fuse again
            return plan(answer, request, self._validate)
        except Exception as exc:
            self.script_errors.append(exc)
            return fault(Fault(500, f"the request or its script is wrong: {exc!r}"), self._asked(request))


def check_request(request: Request, validate: Validate) -> None:
    """Raise for a request that OpenRouter's documents do not allow."""
    body = request.body
    known = {"model", "input", "instructions", "max_output_tokens", "temperature", "reasoning", "tools", "plugins"}
    known |= {"tool_choice", "stream", "store", "session_id"}
    assert not body.keys() - known, body.keys() - known
    assert body["stream"] is True
    assert body["store"] is False
    # The schema's tool_choice for responses names no server tool.
    assert body.get("tool_choice") in (None, "required"), body["tool_choice"]
    for plugin in body.get("plugins", ()):
        validate(plugin, "FusionPlugin")
        assert not plugin.keys() - {"id", "enabled", "preset", "analysis_models", "model", "max_tool_calls", "tools"}
    for tool in body.get("tools", ()):
        validate(tool, "FusionServerTool_OpenRouter")
        allowed = {"analysis_models", "model", "max_tool_calls", "max_completion_tokens", "reasoning", "temperature"}
        assert not tool["parameters"].keys() - allowed - {"tools"}
    assert bool(body.get("plugins")) != bool(body.get("tools")), "one form, not two"
    validate(body, "ResponsesRequest")


def plan(fusion: Fusion, request: Request, validate: Validate) -> Plan:
    """The bytes of a response."""
    told = list(_numbered(events(fusion, request), validate))
    usage = told[-1]["response"]["usage"] if "response" in told[-1] else None
    if fusion.whole:
        body = json.dumps(told[-1]["response"], ensure_ascii=False).encode()
        return Plan(200, {"Content-Type": "application/json"}, [Piece(0, body, token=True)], usage=usage)
    at = len(told) - 1 if fusion.cut is None else fusion.cut
    pieces = [Piece(0, b": OPENROUTER PROCESSING\n\n")]
    pieces += [
        Piece(fusion.stall if n >= at else n * fusion.pace, _sse(event), token=True) for n, event in enumerate(told)
    ]
    headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", "X-Generation-Id": request.id}
    if fusion.cut is not None and not fusion.stall:
        return Plan(200, headers, pieces[: fusion.cut + 1], True, end=fusion.how, finished=False)
    return Plan(200, headers, [*pieces, Piece(pieces[-1].at, b"data: [DONE]\n\n")], True, usage=usage)


def _sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def _numbered(told: Iterator[Json], validate: Validate) -> Iterator[Json]:
    for number, event in enumerate(told):
        event |= {"sequence_number": number}
        check_event(event, validate)
        yield event


def check_event(event: Json, validate: Validate) -> None:
    """Raise for an event that the documents do not know; their lists of items lack OpenRouter's own kinds."""
    response = event.get("response", {})
    items = [*response.get("output", ()), *([event["item"]] if "item" in event else [])]
    for item in items:
        if item["type"] == FUSION:
            validate(item, "OutputFusionServerToolItem")
    if event.get("item", {}).get("type") == FUSION:
        return
    plain = [item for item in response.get("output", ()) if item["type"] != FUSION]
    validate(event | ({"response": response | {"output": plain}} if response else {}), SCHEMAS[event["type"]])


def events(fusion: Fusion, request: Request) -> Iterator[Json]:
    """The events of a response without their numbers, in the order in which they were seen to come."""
    output: list[Json] = []
    yield {"type": "response.created", "response": _response(fusion, request, [], "in_progress")}
    if fusion.preamble:
        yield from _message(fusion.preamble, output)
    if fusion.fuses:
        for number in range(fusion.calls):
            yield from _fusion(fusion, request, output, refused=number > 0)
    if fusion.error is not None:
        yield {"type": "error", "param": None, **fusion.error}
        return
    if fusion.answer and fusion.status != "failed":
        yield from _message(fusion.answer, output)
    yield {"type": f"response.{fusion.status}", "response": _response(fusion, request, output, fusion.status)}


def _response(fusion: Fusion, request: Request, output: list[Json], status: str) -> Json:
    nothing = ("completed_at", "error", "incomplete_details", "temperature", "top_p", "presence_penalty")
    made: Json = dict.fromkeys((*nothing, "frequency_penalty", "instructions", "metadata", "max_output_tokens"))
    made |= {"id": request.id, "object": "response", "created_at": 1_790_000_000, "model": fusion.served}
    made |= {"status": status, "output": list(output), "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    if status == "incomplete":
        made["incomplete_details"] = {"reason": fusion.why}
    if status == "failed":
        made["error"] = {"code": "server_error", "message": "The model stopped working."}
    if status != "in_progress":
        tokens = {"input_tokens": 9_000, "output_tokens": 1_200, "total_tokens": 10_200}
        details = {"upstream_inference_input_cost": 0.1, "upstream_inference_output_cost": 0.3}
        made["usage"] = tokens | {
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens_details": {"reasoning_tokens": 300},
            "cost": fusion.cost,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": None, **details},
            "server_tool_use_details": {"web_search_requests": 3},
        }
    return made


def _message(text: str, output: list[Json]) -> Iterator[Json]:
    place = {"output_index": len(output)}
    item: Json = {"type": "message", "id": f"msg_{len(output)}", "role": "assistant", "content": []}
    yield {"type": "response.output_item.added", **place, "item": item | {"status": "in_progress"}}
    at = place | {"item_id": item["id"], "content_index": 0}
    for piece in cut(text, None):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": text, "logprobs": []}
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    output.append(item | {"status": "completed", "content": content})
    yield {"type": "response.output_item.done", **place, "item": output[-1]}


def _fusion(fusion: Fusion, request: Request, output: list[Json], *, refused: bool) -> Iterator[Json]:
    place = {"output_index": len(output)}
    item: Json = {"type": FUSION, "id": f"st_tmp_{len(output)}"}
    yield {"type": "response.output_item.added", **place, "item": item | {"status": "in_progress"}}
    seats = _seats(fusion, request)
    done: Json = {"status": "completed"}
    if refused:
        done = {"status": "incomplete", "error": "once a turn", "failure_reason": "fusion_invocation_capped"}
    else:
        if not fusion.as_item:
            yield from (event | place | {"item_id": item["id"]} for event in _inside(fusion, request, seats))
        done |= _result(fusion, seats)
    output.append(item | done)
    yield {"type": "response.output_item.done", **place, "item": output[-1]}


def _result(fusion: Fusion, seats: list[Panelist]) -> Json:
    made: Json = {"responses": [{"model": seat.model, "content": seat.text} for seat in seats if not seat.error]}
    if failed := [seat for seat in seats if seat.error]:
        made["failed_models"] = [_failed(seat) for seat in failed]
    if fusion.analysis is not None and made["responses"]:
        made["analysis"] = fusion.analysis
    if fusion.sources:
        made["sources"] = [{"url": url, "title": title} for url, title in fusion.sources]
    if fusion.failure:
        made |= {"error": fusion.failure[0], "failure_reason": fusion.failure[1], "status": "incomplete"}
    return made


def _failed(seat: Panelist) -> Json:
    status = {} if seat.status_code is None else {"status_code": seat.status_code}
    return {"model": seat.model, "error": seat.error, **status}


def config_of(body: Json) -> Json:
    """What a request says of its fusion."""
    plugin = next(iter(body.get("plugins", ())), None)
    return plugin or next(tool["parameters"] for tool in body["tools"] if tool["type"] == FUSION)


def _seats(fusion: Fusion, request: Request) -> list[Panelist]:
    if fusion.panel is not None:
        return list(fusion.panel)
    models = config_of(request.body).get("analysis_models") or QUALITY
    return [Panelist(model, f"{model} says so.") for model in models]


def _inside(fusion: Fusion, request: Request, seats: list[Panelist]) -> Iterator[Json]:
    yield {"type": f"{EVENTS}in_progress"}
    yield from ({"type": f"{EVENTS}panel.added", "model": seat.asked_as or seat.model} for seat in seats)
    tracks = [list(_track(seat)) for seat in seats]
    if fusion.together:
        longest = max(map(len, tracks))
        yield from (track[turn] for turn in range(longest) for track in tracks if turn < len(track))
    else:
        yield from (event for track in tracks for event in track)
    if not any(seat.error == "" for seat in seats):
        return
    analyst = config_of(request.body).get("model") or QUALITY[0]
    yield {"type": f"{EVENTS}analysis.in_progress", "analyst_model": analyst, "judge_model": analyst}
    if fusion.analysis is not None:
        yield {"type": f"{EVENTS}analysis.completed", "analysis": fusion.analysis}
    yield {"type": f"{EVENTS}completed"}


def _track(seat: Panelist) -> Iterator[Json]:
    """One seat's events."""
    named = {"model": seat.model}
    for piece in cut(seat.reasoning, None):
        yield {"type": f"{EVENTS}panel.reasoning.delta", **named, "delta": piece}
    for piece in cut(seat.text, None):
        yield {"type": f"{EVENTS}panel.delta", **named, "delta": piece}
    if seat.error:
        yield {"type": f"{EVENTS}panel.failed", **_failed(seat)}
    else:
        yield {"type": f"{EVENTS}panel.completed", **named, "content": seat.text}
