"""A running server for each test, and the published schema to hold its answers against."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from servers.openrouter import Server

SHARED = Path(os.environ.get("FUSION_SHARED") or Path(__file__).parents[3] / "shared")
OPENAPI = SHARED / "data" / "openrouter" / "openapi-fusion.json"


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def schema():
    """A function that validates a value against a named schema of OpenRouter's OpenAPI document."""
    jsonschema = pytest.importorskip("jsonschema")
    if not OPENAPI.is_file():
        pytest.skip(f"{OPENAPI.name} not found: set FUSION_SHARED to the folder that holds data/openrouter")
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))

    def validate(value: Any, name: str) -> None:
        reference = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(reference).validate(value)

    return validate
