"""On a cluster of two worker processes a batch does, pays and keeps what it would in one process."""

from __future__ import annotations

import asyncio
import gzip
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

from batch.asking import InterruptsAt, subject, whole, words
from fusion_magic import load, scripted
from fusion_magic.batch import BatchInterrupted, map, map_async, map_background
from fusion_magic.batch.cluster import is_private
from fusion_magic.errors import FusionError, SettingsError
from pipeline.asking import chats
from servers.openrouter import Fault, Reply, Request, Server

distributed = pytest.importorskip("distributed")

SECONDS = 60.0  # a guard against hangs
KEY = "sk-of-the-cluster-test"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("dask")
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "local_directory": folder}
    with distributed.LocalCluster(**options) as running:
        yield running


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster) as connected:
        connected.wait_for_workers(2)
        yield connected


def holding(seconds: float = SECONDS) -> Reply:
    """An answer that does not end while the test runs."""
    return Reply("one two three four five six", gap=seconds)


def until(reached: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- the same as here ---------------------------------------------------------------------------------


class Label(BaseModel):
    tone: str


Label.__module__ = "__main__"  # as a notebook's, which no worker can import


def test_a_frame_comes_back_as_without_a_cluster_and_is_found_again_without_one(
    server: Server, seats: Any, client: Any
):
    server.reply("writer", lambda request: Reply(f'{{"tone": "{subject(request.body["messages"])}"}}', cost=0.01))
    frame = pd.DataFrame({"t": words(12)}, index=range(100, 112))

    out = map(frame, "«{t}»", **seats, schema=Label, client=client)
    asked = len(chats(server))
    again = map(frame, "«{t}»", **seats, schema=Label)

    assert list(out.tone) == words(12)
    assert out.index.equals(frame.index)
    assert set(out.status) == {"ok"}
    assert list(out.cost) == pytest.approx([0.04] * 12)
    assert load(out.run.iloc[3]).responses
    assert len(chats(server)) == asked == 48
    assert list(again.run) == list(out.run)
    assert set(again.cost) == {0.0}


@pytest.mark.thorough
def test_what_the_store_has_is_not_asked_by_a_worker(server: Server, seats: Any, client: Any):
    server.reply("writer", Fault(400, "Refused."))
    map(["x"], "«{t}»", **seats)
    server.reply("writer", whole)
    asked = len(chats(server))

    (row,) = map(["x"], "«{t}»", **seats, client=client)

    assert (row.status, row.cost) == ("ok", pytest.approx(0.01))
    assert [request.model for request in chats(server)[asked:]] == ["writer"]


@pytest.mark.thorough
def test_a_row_that_fails_is_a_row_with_its_reason(server: Server, seats: Any, client: Any):
    server.reply("*", lambda request: Fault(400, "No.") if subject(request.body["messages"]) == "y" else whole(request))

    out = map(["x", "y"], "«{t}»", **seats, client=client)

    assert [row.status for row in out] == ["ok", "error"]
    assert "No." in str(out[1].error)


@pytest.mark.thorough
def test_map_async_does_not_block_the_loop_of_an_asynchronous_client(server: Server, seats: Any, cluster: Any):
    async def main() -> Any:
        async with distributed.Client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as client:
            return await map_async(["x", "y"], "«{t}»", **seats, client=client)

    out = asyncio.run(main())

    assert [row.answer for row in out] == ["Fused: x", "Fused: y"]


@pytest.mark.parametrize("client", ["tcp://127.0.0.1:8786", object()])
def test_what_is_no_client_is_refused(seats: Any, client: Any):
    with pytest.raises(SettingsError, match=r"distributed\.Client"):
        map(["x"], "{x}", **seats, client=client)


@pytest.mark.thorough
def test_a_script_does_not_answer_on_a_cluster(seats: Any, client: Any):
    with scripted({"*": "Text."}), pytest.raises(SettingsError, match="its own process only"):
        map(["x"], "{x}", **seats, client=client)


@pytest.mark.thorough
def test_workers_that_can_t_read_the_order_are_told_about(seats: Any, client: Any):
    class Elsewhere(BaseModel):
        tone: str

    Elsewhere.__module__ = "batch.asking"  # where no worker finds it

    with pytest.raises(FusionError, match=r"can't|worker"):
        map(["x"], "{x}", **seats, schema=Elsewhere, client=client)


# --- one gate, one purse ------------------------------------------------------------------------------


def test_both_workers_take_rows_and_together_make_no_more_calls_than_allowed(server: Server, seats: Any, client: Any):
    server.reply("*", holding())
    running = map_background(words(8), "«{t}»", **seats, client=client, concurrency=3)
    until(lambda: server.open_streams == 3 and all(client.processing().values()))
    tasks = [key for keys in client.processing().values() for key in keys]
    running.stop()

    server.wait_closed()
    assert server.most_open_streams == 3
    assert sorted(key.rpartition("-")[0] for key in tasks) == [f"fusion-row-{number}" for number in range(3)]


def test_a_refusal_that_one_worker_meets_holds_back_the_other(server: Server, seats: Any, client: Any):
    strict = {"word1", "word3"}

    def answer(request: Request) -> Any:
        word = subject(request.body["messages"])
        if word not in strict:
            return whole(request)
        strict.discard(word)
        return Fault(429, retry_after=0.5)

    server.reply("*", answer)

    out = map(words(6), "«{t}»", **seats, client=client, concurrency=1)

    assert {row.status for row in out} == {"ok"}
    every = chats(server)
    refused = [number for number, request in enumerate(every) if request.status == 429]
    assert len(refused) == 2
    for number in refused:
        assert every[number + 1].arrived - (every[number].ended or 0) >= 0.45


@pytest.mark.thorough
def test_no_worker_waits_for_an_endpoint_that_is_closed_for_hours(server: Server, seats: Any, client: Any):
    server.reply("*", Fault(429, retry_after=36_000))

    out = map(words(12), "«{t}»", **seats, client=client, concurrency=4)

    assert {row.status for row in out} == {"error"}
    assert len(chats(server)) <= 8


@pytest.mark.thorough
def test_the_workers_together_keep_the_limit_and_more_money_finishes_it(server: Server, priced: Any, client: Any):
    out = map(words(20), "«{t}»", **priced, max_usd=0.2, concurrency=6, client=client)

    paid = 0.01 * len(chats(server))
    assert {row.status for row in out} == {"ok", "limited"}
    assert sum(row.cost or 0 for row in out) == pytest.approx(paid)
    assert paid <= 0.2
    assert {row.status for row in map(words(20), "«{t}»", **priced, max_usd=5.0, client=client)} == {"ok"}
    assert len(chats(server)) == 60


# --- keys ---------------------------------------------------------------------------------------------


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A server that takes one key, which only this process knows."""
    with Server(key=KEY) as server:
        server.reply("*", whole)
        toml = f'[endpoints.work]\nbase_url = "{server.base_url}"\nkey_env = "WORK_KEY"\n'
        (Path(os.environ["FUSION_HOME"]) / "fusion.toml").write_text(toml)
        monkeypatch.setenv("WORK_KEY", KEY)
        yield server, {"models": ["a@work"], "judge": "judge@work", "synthesizer": "writer@work", "progress": False}


def run_specs(dask_scheduler: Any) -> bytes:
    return pickle.dumps([task.run_spec for task in dask_scheduler.tasks.values()])


def test_keys_and_prompts_reach_the_workers_and_are_not_in_what_the_cluster_tells(
    locked: Any, client: Any, tmp_path: Path
):
    server, settings = locked
    map(["done"], "«{t}»", **settings, client=client)
    server.reply("writer", holding())
    running = map_background(["secret prompt"], "«{t}»", **settings, client=client)
    server.wait_open(1, SECONDS)

    client.dump_cluster_state(str(tmp_path / "known"), exclude=())
    known = gzip.decompress((tmp_path / "known.msgpack.gz").read_bytes()).decode(errors="replace")
    known += client.run_on_scheduler(run_specs).decode(errors="replace")
    environments = client.run(lambda: dict(os.environ))
    running.stop()

    assert {request.status for request in chats(server) if request.finished} == {200}
    assert "fusion-row-0-" in known
    assert "carry_row" in known
    assert KEY not in known
    assert "secret prompt" not in known
    assert not any(KEY in environment.values() for environment in environments.values())


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("tls://10.0.0.7:8786", True),
        ("gateway://hub.example:443/cluster", True),
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://10.0.0.7:8786", False),
        ("tcp://scheduler:8786", False),
        ("tcp://127.0.0.1.example.org:8786", False),
    ],
)
def test_others_can_t_read_what_is_encrypted_or_stays_on_the_machine(address: str, is_so: bool):
    assert is_private("tls://10.0.0.7:1", address) is is_so


@pytest.mark.thorough
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_keys_leave_the_machine_encrypted_or_not_at_all(locked: Any, is_encrypted: bool):
    server, settings = locked
    address = distributed.utils.get_ip()
    if address.startswith("127."):
        pytest.skip("this machine has no address but its own")
    if is_encrypted:
        pytest.importorskip("cryptography")
    options: Any = {"host": address, "n_workers": 1, "dashboard_address": ":0"}
    options |= {"protocol": "tls", "security": distributed.Security.temporary()} if is_encrypted else {}
    key = os.environ.pop("WORK_KEY")  # workers inherit what is there when they start

    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        os.environ["WORK_KEY"] = key
        (row,) = map(["x"], "«{t}»", **settings, client=client)

    if is_encrypted:
        assert row.status == "ok"
    else:
        assert "was not sent" in str(row.error)
        assert "WORK_KEY" in str(row.error)
        assert not chats(server)


# --- stopped and lost ---------------------------------------------------------------------------------


def test_stopping_closes_every_worker_s_connections_and_the_same_call_goes_on(
    server: Server, seats: Any, client: Any, interrupts: InterruptsAt
):
    settings: Any = {**seats, "progress": True, "client": client, "concurrency": 4}
    with pytest.raises(BatchInterrupted, match="run the same call again to finish") as stopped:
        map(words(24), "«{t}»", **settings)
    server.wait_closed()
    ended = {word for word, row in zip(words(24), stopped.value.batch.frame, strict=True) if row.status == "ok"}
    asked = len(chats(server))

    del interrupts
    out = map(words(24), "«{t}»", **{**settings, "progress": False})

    assert [row.answer for row in out] == [f"Fused: {word}" for word in words(24)]
    assert len(ended) >= 8
    assert ended.isdisjoint(subject(request.body["messages"]) for request in chats(server)[asked:])


@pytest.mark.thorough
def test_a_worker_forgets_a_batch_that_has_ended(server: Server, seats: Any, client: Any):
    map(words(4), "«{t}»", **seats, client=client)

    kept = client.run(lambda: len(__import__("fusion_magic.batch.desk", fromlist=["_desks"])._desks))

    assert set(kept.values()) == {0}


@pytest.mark.thorough
@pytest.mark.parametrize("how", [{}, {"fresh": "all"}, {"reuse": "never"}], ids=str)
def test_rows_of_a_worker_that_is_killed_are_done_elsewhere_without_asking_again(
    server: Server, seats: Any, client: Any, how: dict[str, str]
):
    """The judge holds every row, so that when the worker dies the panel has answered and the judge has not."""
    server.reply("judge", holding())
    settings: Any = {**seats, **how}
    running = map_background(words(4), "«{t}»", **settings, client=client)
    until(lambda: len([request for request in chats(server, "judge") if not request.closed_by_client]) == 4)
    victim, lost = max(client.processing().items(), key=lambda at: len(at[1]))
    pids = client.run(os.getpid)
    server.reply("judge", whole)

    os.kill(pids[victim], signal.SIGKILL)
    until(lambda: running.progress.done == len(lost))  # the others are still held
    out = running.stop()

    assert lost
    asked = Counter((request.model, subject(request.body["messages"])) for request in chats(server))
    assert {asked[model, word] for model in "ab" for word in words(4)} == {1}
    finished = [row for row in out if row.status == "ok"]
    assert [row.cost for row in finished] == [pytest.approx(0.04)] * len(lost)
    assert running.progress.is_partial


@pytest.mark.thorough
def test_a_batch_whose_cluster_goes_away_ends_and_says_so(server: Server, seats: Any, tmp_path: Path):
    server.reply("*", holding())
    options: Any = {"n_workers": 1, "dashboard_address": ":0", "local_directory": tmp_path}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        running = map_background(words(3), "«{t}»", **seats, client=client, concurrency=2)
        server.wait_open(2, SECONDS)
        closing = threading.Thread(target=cluster.close)
        closing.start()

        out = running.wait()
        closing.join(SECONDS)

    assert [row.status for row in out] == ["error"] * 3
    assert "can't be reached" in str(out[0].error)
