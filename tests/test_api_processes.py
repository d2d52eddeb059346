"""The doors in a process of its own: interrupts, nest_asyncio, fork, the interpreter's end, import."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

import fusion_magic
from pipeline.asking import judged, panel
from servers.openrouter import Reply, Server

pytestmark = pytest.mark.thorough


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged())
        running.reply("slow", Reply("one two three four five", gap=60))
        yield running


def script(server: Server, body: str, *, seats: tuple[str, ...] = ("a", "slow")) -> list[str]:
    head = f"""
        import asyncio, os, sys
        ASKED = {panel(server, *seats)!r}
    """
    return [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(body)]


def interrupted(server: Server, body: str) -> subprocess.CompletedProcess[str]:
    """Run a script and interrupt it once its slow seat alone is under way."""
    child = subprocess.Popen(script(server, body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    ready = child.stdout.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess([], child.returncode, ready + out, err)


# One seat has answered, and the slow one has written its first word.
LISTEN = """
    from fusion_magic.api import Running, request_for
    seen = set()
    def listen(event):
        seen.add((type(event).__name__, getattr(event, "label", "A")))
        if seen >= {("SeatAnswered", "A"), ("Delta", "B")}:
            seen.clear()
            print("answered", flush=True)
"""
ANSWERED = """
    async def ask():
        async with fusion_magic.stream("Why?", **ASKED) as events:
            async for event in events:
                listen(event)
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork as POSIX has them")


@posix
def test_an_interrupt_of_a_script_draws_no_traceback_of_ours_and_closes_everything(server: Server):
    body = """
        running = Running(request_for("Why?", **ASKED), listen)
        try:
            running.wait()
        except KeyboardInterrupt as exc:
            print(type(exc).__name__, exc.result.status, [r.content for r in exc.result.responses])
    """
    done = interrupted(server, textwrap.dedent(LISTEN) + textwrap.dedent(body))

    assert done.stdout.splitlines()[1:] == ["FusionInterrupted cancelled ['An answer.']"]
    assert done.stderr == ""
    assert [request.model for request in server.wait_closed()] == ["slow"]


@posix
@pytest.mark.parametrize("order", ["before", "after"])
def test_an_interrupt_survives_nest_asyncio(server: Server, order: str):
    pytest.importorskip("nest_asyncio")
    apply = "import nest_asyncio; nest_asyncio.apply()"
    first, second = (apply, "import fusion_magic") if order == "before" else ("import fusion_magic", apply)
    done = interrupted(
        server,
        f"{first}\n{second}\n"
        + textwrap.dedent(LISTEN + ANSWERED)
        + textwrap.dedent("""
        try:
            asyncio.run(ask())
        except KeyboardInterrupt:
            print("stopped", fusion_magic.last().status, len(fusion_magic.last().responses))
        """),
    )

    assert done.stdout.splitlines()[1:] == ["stopped cancelled 1"]
    assert [request.model for request in server.wait_closed()] == ["slow"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_every_door_opens_under_nest_asyncio(server: Server, order: str):
    pytest.importorskip("nest_asyncio")
    apply = "import nest_asyncio; nest_asyncio.apply()"
    first, second = (apply, "import fusion_magic") if order == "before" else ("import fusion_magic", apply)
    body = """
        async def main():
            print((await fusion_magic.fuse_async("Why?", **ASKED)).status)
            print(fusion_magic.fuse("Why?", **ASKED).status)
            async with fusion_magic.stream("Why?", **ASKED) as events:
                print(fusion_magic.fold([event async for event in events]).status)
        asyncio.run(main())
    """
    run = script(server, f"{first}\n{second}\n" + textwrap.dedent(body), seats=("a", "b"))
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout.split(), done.stderr) == (["ok", "ok", "ok"], "")


@posix
def test_a_forked_child_can_fuse_after_its_parent_did(server: Server):
    body = """
        import fusion_magic
        print(fusion_magic.fuse("Why?", **ASKED).status, flush=True)
        child = os.fork()
        if child == 0:
            print("child", fusion_magic.fuse("Why?", **ASKED).status, flush=True)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print("parent", fusion_magic.fuse("Why?", **ASKED).status)
    """
    run = script(server, body, seats=("a", "b"))
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines() == ["ok", "child ok", "0", "parent ok"]
    assert done.stderr == ""


def test_the_interpreter_ends_with_a_run_in_flight(server: Server):
    body = """
        import threading
        answered = threading.Event()
        from fusion_magic.api import Running, request_for
        from fusion_magic.events import SeatAnswered
        def listen(event):
            if isinstance(event, SeatAnswered):
                answered.set()
        running = Running(request_for("Why?", **ASKED), listen)
        assert answered.wait(30)
    """
    done = subprocess.run(script(server, body), capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_closed()


def test_import_does_not_start_a_thread_or_load_a_notebook():
    body = (
        "import sys, threading; from fusion_magic import fuse; "
        "print(threading.active_count(), {'IPython', 'ipywidgets', 'pandas', 'xllamacpp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["1", "set()"]


def test_the_package_offers_the_names_in_the_readme():
    names = {"fuse", "fuse_async", "stream", "Panel", "Settings", "FusionResult", "last", "scripted", "Line", "fold"}

    assert names <= set(fusion_magic.__all__)
    assert all(hasattr(fusion_magic, name) for name in fusion_magic.__all__)
    assert fusion_magic.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fusion_magic.nothing
