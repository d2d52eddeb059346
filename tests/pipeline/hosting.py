"""OpenRouter's Fusion from a test: a Responses server in OpenRouter's place, checked against its documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.asking import Recorded, record
from servers.openrouter import Fault, Request
from servers.responses import Fusion, ResponsesServer, Validate

ONE, TWO, THREE = "google/gemini-3-flash-preview", "moonshotai/kimi-k2.6", "deepseek/deepseek-v4-pro"
JUDGE = "anthropic/claude-opus-4.8"


@contextmanager
def hosting(*fusions: Fusion | Fault, validate: Validate | None = None) -> Generator[ResponsesServer]:
    """A server in OpenRouter's place for the block; what breaks OpenRouter's documents fails the test at its end."""
    with ResponsesServer(*fusions, validate=validate) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENROUTER_BASE_URL", server.base_url)
        patch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
        yield server


@cache
def by_documents(shared: Path) -> Validate:
    """Checks a value against its schema in OpenRouter's documents; a schema that they lack checks nothing."""
    jsonschema = pytest.importorskip("jsonschema")
    folder = shared / "data" / "openrouter"
    if not (folder / "openapi-fusion.json").is_file():
        pytest.skip("no openapi-fusion.json in the shared data folder")
    documents: dict[str, Any] = {}
    for name in ("openapi-responses.json", "openapi-fusion.json"):  # the first has the events that are not Fusion's
        if (folder / name).is_file():
            documents |= json.loads((folder / name).read_text(encoding="utf-8"))["components"]["schemas"]

    @cache
    def validator(name: str) -> Any:
        reference = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": documents}}
        return jsonschema.Draft202012Validator(reference)

    def validate(value: Any, name: str) -> None:
        if name in documents:
            validator(name).validate(value)

    return validate


def ask(prompt: str = "Why?", **settings: Any) -> Recorded:
    """A hosted run of three models, with its log."""
    chosen: dict[str, Any] = {"models": (ONE, TWO, THREE), "judge": JUDGE, "engine": "openrouter"}
    return record(prompt, **{**chosen, **settings})


def posts(server: ResponsesServer) -> list[Request]:
    """The requests for responses, in the order in which they came."""
    return [request for request in server.requests if request.path.endswith("/responses")]


def body(server: ResponsesServer) -> dict[str, Any]:
    """The body of the last request for a response."""
    return posts(server)[-1].body


Host = Callable[..., ResponsesServer]
