"""Processes that write into a store, to be killed, forked and run beside each other: `writers.py WHAT PATH …`."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import random
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusion_magic.events import CallStarted
from fusion_magic.store import Store
from store.keeping import HERE, kept, started

AHEAD = 20  # writes that are queued before the first of them is on the disk


def write_for_ever(path: Path, run: str, told: int) -> None:
    """Keep calls without end; each that is on the disk is told by its number."""
    store = Store(path)
    store.begin(started(run), HERE, None)
    room = threading.Semaphore(AHEAD)
    number = 0
    while True:
        room.acquire()
        number += 1
        store.note(run, CallStarted("panel", "A", f"vendor/{number}"))
        store.draft(run, {("panel", "A"): "x" * random.randrange(20_000)})
        call = kept(f"{run} {number}", run=run, answer={"text": os.urandom(random.randrange(9_000)).hex()})

        def tell(_: object, number: int = number) -> None:
            os.write(told, b"%d\n" % number)
            room.release()

        store.keep(call, HERE, reusable=True).add_done_callback(tell)


def forked(work: Callable[[], None]) -> int:
    """The id of a child that does the work and ends; it ends with 1 if the work failed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def killed(path: Path, rounds: str) -> None:
    """Kill a process that writes, at random moments; after each nothing that it told is missing."""
    for number in range(int(rounds)):
        run = f"run{number}"
        ours, theirs = os.pipe()
        child = forked(lambda run=run, theirs=theirs: write_for_ever(path, run, theirs))
        os.close(theirs)
        with os.fdopen(ours) as told:
            for _ in range(random.randrange(1, 60)):
                told.readline()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told_last = [int(line) for line in told if line.endswith("\n")]
        last = max(told_last, default=1)
        store = Store(path)
        assert all(store.find(f"{run} {number}") for number in range(1, last + 1)), run
        assert store.load(run).status == "cancelled", run
    print("ok")


def keeping(path: Path, name: str, calls: str) -> None:
    """Keep so many calls, a few at a time, each awaited as the end of a stage is, and read between them."""
    store = Store(path)
    for number in range(int(calls)):
        done = store.keep(kept(f"{name} {number}", run=name), HERE, reusable=True)
        if number % 8 == 0:
            done.result(60)
            assert store.find(f"{name} {number}"), store.problem
    store.settled().result(60)
    print(store.problem)


def forking(path: Path, calls: str) -> None:
    """Fork while a thread writes; parent and children go on at the same time."""
    store = Store(path)

    def write(name: str) -> None:
        for number in range(int(calls)):
            store.keep(kept(f"{name} {number}", run=name), HERE, reusable=True).result(60)

    beside = threading.Thread(target=write, args=("parent",))
    beside.start()
    children = [forked(lambda name=name: write(name)) for name in ("a", "b", "c")]
    beside.join()
    print([os.waitpid(child, 0)[1] for child in children], store.problem)


def noting(path: Path, forks: str) -> None:
    """Fork again and again while a thread notes events without end; each child notes one of its own."""
    store, event = Store(path), CallStarted("panel", "A", "vendor/a")
    store.begin(started("parent"), HERE, None)

    def note_for_ever() -> None:
        while True:
            store.note("parent", event)

    def note(name: str) -> None:
        signal.alarm(10)  # else a child that hangs stays for ever
        store.begin(started(name), HERE, None)
        store.note(name, event).result(60)

    threading.Thread(target=note_for_ever, daemon=True).start()
    ended = {os.waitpid(forked(lambda name=str(number): note(name)), 0)[1] for number in range(int(forks))}
    print(sorted(ended), store.problem)


def fused(settings: dict[str, Any]) -> None:
    from fusion_magic import fuse

    fuse("Why?", **settings)


def asking(path: Path) -> None:
    """A child of multiprocessing, which ends past `atexit`, and one of a pool, which is killed, each make a run."""
    from pipeline.asking import judged, panel
    from servers.openrouter import Reply, Server

    os.environ["FUSION_HOME"] = str(path.parent)
    context = multiprocessing.get_context("fork")
    with Server() as server:
        server.reply("judge", judged())
        server.reply("*", Reply("Words."))
        child = context.Process(target=fused, args=(panel(server),))
        child.start()
        child.join(60)
        with context.Pool(1) as pool:
            pool.map(fused, [panel(server)])
    store = Store(path)
    print([store.load(line.id).answer for line in store.history()])


def leaving(path: Path) -> None:
    """End while a seat writes; what the loop does not see to at the end is not done."""
    atexit.register(os._exit, 0)  # before the loop's own is registered, so it comes after that
    from fusion_magic.api import Running
    from fusion_magic.events import Delta
    from fusion_magic.request import request_for
    from pipeline.asking import panel
    from servers.openrouter import Reply, Server

    os.environ["FUSION_HOME"] = str(path.parent)
    has_begun = threading.Event()
    server = Server().__enter__()  # until the process ends
    server.reply("*", Reply("It never ends.", gap=60.0))
    Running(
        request_for("Why?", **panel(server, "a")), lambda event: has_begun.set() if isinstance(event, Delta) else None
    )
    assert has_begun.wait(60)


def outliving(path: Path) -> None:
    """Fork while the file is open, and close it in the parent while the child is using it."""
    store = Store(path)
    store.keep(kept("before"), HERE, reusable=True).result(60)
    parent_reads, child_tells = os.pipe()
    child_reads, parent_tells = os.pipe()

    def write() -> None:
        store.keep(kept("first"), HERE, reusable=True).result(60)
        os.write(child_tells, b".")
        os.read(child_reads, 1)
        store.keep(kept("second"), HERE, reusable=True).result(60)

    child = forked(write)
    os.read(parent_reads, 1)
    store._writer.let_go()
    os.write(parent_tells, b".")
    os.waitpid(child, 0)
    print([key for key in ("before", "first", "second") if store.find(key)], store.problem)


def filling(path: Path) -> None:
    """Write until no file may grow, then go on where there is room again."""
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most))
    store, number = Store(path), 0
    while store.problem is None and number < 1_000:
        number += 1
        store.keep(kept(str(number), answer={"text": os.urandom(5_000).hex()}), HERE, reusable=True).result(60)
    print(store.problem)
    print([bool(store.find(str(earlier))) for earlier in range(1, number + 1)].index(False) == number - 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    store.begin(started(), HERE, None)
    store.keep(kept("after"), HERE, reusable=True).result(60)
    print(store.problem, bool(store.find("after")))


def ending(path: Path) -> None:
    """Queue a write and end at once."""
    os.environ["FUSION_HOME"] = str(path.parent)
    from fusion_magic.store import open_store

    for number in range(200):
        open_store().keep(kept(str(number)), HERE, reusable=True)


WORKS = (killed, keeping, forking, noting, asking, leaving, outliving, filling, ending)

if __name__ == "__main__":
    {work.__name__: work for work in WORKS}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
