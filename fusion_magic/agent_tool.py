"""`fusion_tool()`: a panel as a tool of one's own agent loop, in OpenAI's form, with the callable behind it."""

from __future__ import annotations

import copy
import json
from typing import Any

from .api import fuse, fuse_async
from .errors import PanelFailed, SettingsError
from .prompts_strategies import TOOL, TOOL_SPEC
from .request import request_for
from .results import FusionResult


class FusionTool:
    """A tool that asks a panel; `schema` goes into a request's `tools`, and the tool itself answers the call.

        tool = fusion_tool(panel="budget", max_usd=0.50)
        reply = client.chat.completions.create(model=..., messages=messages, tools=[tool.schema])
        for call in reply.choices[0].message.tool_calls or ():
            content = tool(**json.loads(call.function.arguments))

    Attributes:
        name: what a model calls it.
        results: the FusionResult of each call, in order.
    """

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name, self.results = name, list[FusionResult]()
        self._settings = settings

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as a request's `tools` have it: a function with one parameter, `question`."""
        made = copy.deepcopy(TOOL_SPEC)
        made["function"]["name"] = self.name
        return made

    def __call__(self, question: str) -> str:
        """Ask the panel; returns JSON in the form of OpenRouter's own tool, with the answer in `answer`.

        A panel in which nobody answered is told to the model too, as `status` "error".

        Raises:
            FusionError: it is called inside a fusion.
            SettingsError, KeyMissing, FusionInterrupted: as `fuse`.
        """
        try:
            return self._told(fuse(question, **self._settings))
        except PanelFailed as exc:
            return self._told(exc.result)

    async def call_async(self, question: str) -> str:
        """The same for async code."""
        try:
            return self._told(await fuse_async(question, **self._settings))
        except PanelFailed as exc:
            return self._told(exc.result)

    def _told(self, result: FusionResult) -> str:
        self.results.append(result)
        return json.dumps(tool_result(result), ensure_ascii=False)

    def __repr__(self) -> str:
        return f"<FusionTool {self.name!r}, called {len(self.results)} times>"


def fusion_tool(*, name: str = TOOL, **settings: Any) -> FusionTool:
    """A panel as a tool for an agent loop: its schema, and the callable that answers a call.

    Args:
        name: what the model calls it.
        settings: as `fuse`, panel and models too; checked now, so that a mistake does not wait for the first call.

    Raises:
        SettingsError: a setting is not valid, or a schema is given: a tool answers with JSON of its own.
    """
    if "schema" in settings:
        raise SettingsError("fusion_tool takes no schema: it answers with JSON of its own.")
    request_for("Is this all right?", **settings)
    return FusionTool(name, settings)


def tool_result(result: FusionResult) -> dict[str, Any]:
    """What a model reads of a run: the fields of OpenRouter's own tool, and the answer."""
    if not result.responses and result.answer is None:
        return {"status": "error", "error": result.error or "No panelist answered.", "failed_models": _failed(result)}
    told: dict[str, Any] = {"status": "ok", "answer": result.answer}
    if result.analysis:
        told["analysis"] = result.analysis.model_dump(mode="json")
    told["responses"] = [
        {"label": each.label, "model": each.model, "content": each.content} for each in result.responses
    ]
    return told | ({"failed_models": _failed(result)} if result.failed_models else {})


def _failed(result: FusionResult) -> list[dict[str, Any]]:
    return [lost.model_dump(mode="json", include={"label", "model", "error"}) for lost in result.failed_models]
