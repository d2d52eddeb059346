"""`evaluate` on a cluster of worker processes comes out as without one, and neither asks again what the other has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.weather import TASKS, reply, systems
from fusion_magic import evals
from pipeline.asking import at, chats
from servers.openrouter import Server

distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
pytestmark = pytest.mark.thorough


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "local_directory": tmp_path}
    with distributed.LocalCluster(**options) as running, distributed.Client(running) as connected:
        yield connected


def test_answers_and_verdicts_of_a_cluster_are_those_of_one_process(client: Any):
    with Server() as server:
        server.reply("*", reply)
        how: Any = {"grader": at(server, "grader")[0], "passes": 2, "progress": False}

        there = evals.evaluate(TASKS, systems(server), client=client, **how)
        asked = len(chats(server))
        here = evals.evaluate(TASKS, systems(server), **how)

        assert len(chats(server)) == asked
        assert set(here.frame["status"]) == {"ok"}
        assert there.frame.equals(here.frame)
        assert there.verdicts.equals(here.verdicts)
