"""A running server for each test."""

from __future__ import annotations

import pytest

from servers.openrouter import Server


@pytest.fixture
def server():
    with Server() as running:
        yield running
