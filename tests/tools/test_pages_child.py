"""A stranger's page is read in a process of its own, which ends with the call and knows nothing of the user."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools import apart
from fusion_magic.tools.pages import Page, read_apart, read_page
from fusion_magic.tools.processes import children, descendants
from servers.hostile_pages import article, text_pdf

pytestmark = pytest.mark.thorough

pytest.importorskip("trafilatura")
pytest.importorskip("pypdf")

HTML = "text/html; charset=utf-8"
URL = "https://example.org/a/b"
BUSY = b"<html><body>" + b"<p>tides and more" * 39_000  # below the limit of elements; takes many seconds
HANG = 30.0  # seconds after which a test has failed
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed in /proc")
forks = pytest.mark.skipif(not apart.FORKS, reason="this system forks no process")


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(HANG):
        while not (value := found()):  # noqa: ASYNC110 - the kernel tells no one of a new process, nor of an end
            await asyncio.sleep(0.01)
    return value


def warm() -> list[int]:
    """The processes that fork others for this one."""
    return [pid for pid in children(os.getpid()) if apart.CHILD.name.encode() in command_of(pid)]


def readers() -> list[int]:
    """The processes that read a page for this one."""
    return [pid for parent in warm() for pid in children(parent)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def while_reading(look: Callable[[int], Any]) -> Any:
    """What there is to see of a process that reads, which is then left."""
    task = asyncio.create_task(read_apart(BUSY, HTML, URL))
    try:
        (pid,) = await until(readers)
        # It begins to read when it holds its three streams and nothing else.
        await until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 3 and os.getpgid(pid) == pid)
        return look(pid)
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await until(lambda: not readers())


def given(kind: str, data: bytes) -> bytes:
    return json.dumps({"kind": kind, "url": URL}).encode() + b"\n" + data


@pytest.mark.parametrize("how", [pytest.param("fork", marks=forks), "start"])
@pytest.mark.parametrize(("kind", "data"), [("html", article()), ("pdf", text_pdf("High tide"))])
def test_another_process_reads_what_this_one_would(how, kind, data):
    asked = apart.in_fork(kind, given(kind, data)) if how == "fork" else apart.in_start(given(kind, data))

    said = json.loads(asyncio.run(asked))

    here = read_page(data, HTML if kind == "html" else "application/pdf", URL)
    assert (said["title"], said["text"].strip()) == (here.title, here.text)


@linux
@forks
def test_a_page_that_takes_too_long_is_given_up_and_its_process_is_gone():
    async def give_up() -> None:
        with pytest.raises(ToolError, match="too costly"):
            await read_apart(BUSY, HTML, URL, seconds=0.5)
        async with asyncio.timeout(4):  # long before the page would have been read
            await until(lambda: not readers())

    asyncio.run(give_up())


@linux
@pytest.mark.parametrize("how", [pytest.param("fork", marks=forks), "start"])
def test_leaving_ends_the_process(how):
    before = set(descendants(os.getpid()))

    async def leave() -> None:
        page = given("html", BUSY)
        task = asyncio.create_task(apart.in_fork("html", page) if how == "fork" else apart.in_start(page))
        find = readers if how == "fork" else lambda: set(warm()) - before
        (pid,) = await until(find)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(4):
            await until(lambda: pid not in descendants(os.getpid()))

    asyncio.run(leave())


@linux
@forks
def test_the_process_has_nothing_of_the_environment_and_no_file_but_its_page(monkeypatch):
    monkeypatch.setenv("TAVILY_API_KEY", "tvly-secret")

    def look(pid: int) -> tuple[bytes, list[str]]:
        files = [os.readlink(f"/proc/{pid}/fd/{number}").partition(":")[0] for number in range(3)]
        return Path(f"/proc/{pid}/environ").read_bytes(), files

    environment, files = asyncio.run(while_reading(look))

    assert b"=" not in environment
    assert files == ["socket", "socket", "/dev/null"]


@linux
@forks
def test_the_process_is_held_to_its_limits():
    def look(pid: int) -> dict[str, str]:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        return {line[:25].strip(): line[25:67].split()[1] for line in lines}

    limits = asyncio.run(while_reading(look))

    assert limits["Max address space"] == str(1 << 30)
    assert limits["Max cpu time"] == "20"
    assert limits["Max file size"] == "0"


@linux
@forks
def test_no_process_reads_two_pages():
    first, second = (asyncio.run(while_reading(lambda pid: (pid, warm()))) for _ in range(2))

    assert first[0] != second[0]
    assert first[1] == second[1]


def test_pages_of_several_loops_are_not_mixed_up():
    pages = [article(f"<p>It is page {number} of the many that were asked for.</p>") for number in range(6)]

    async def read(two: list[bytes]) -> list[Page]:
        return await asyncio.gather(*(read_apart(page, HTML, URL) for page in two))

    with ThreadPoolExecutor(3) as threads:
        found = threads.map(lambda start: asyncio.run(read(pages[start : start + 2])), (0, 2, 4))

    assert [page for pages in found for page in pages] == [read_page(page, HTML, URL) for page in pages]


@linux
@forks
def test_a_page_that_takes_long_holds_no_other_up():
    async def beside() -> tuple[str, bool]:
        busy = asyncio.create_task(read_apart(BUSY, HTML, URL))
        await until(readers)
        page = await read_apart(article(), HTML, URL)
        still_busy = not busy.done()
        busy.cancel()
        await asyncio.wait((busy,))
        return page.title, still_busy

    assert asyncio.run(beside()) == ("Tides", True)


@linux
@forks
def test_a_warm_process_that_was_killed_is_replaced():
    asyncio.run(read_apart(article(), HTML, URL))
    (killed,) = warm()
    os.kill(killed, signal.SIGKILL)

    page = asyncio.run(read_apart(article(), HTML, URL))

    assert page.title == "Tides"
    assert killed not in warm()


KERNEL = """
import asyncio, os, sys
from fusion_magic.tools.pages import read_apart

def read(data):
    return asyncio.run(read_apart(data, "text/html", ""))

read(b"<p>The tide rises.")
if os.fork():
    read(b"<p>tides and more" * 39_000)
else:
    print(os.getpid(), read(b"<p>The tide falls.").text, flush=True)
    sys.stdin.read()
"""


@linux
@forks
def test_a_fork_of_the_kernel_reads_by_its_own_and_what_the_kernel_started_ends_with_the_kernel():
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert kernel.stdout is not None
    line = kernel.stdout.readline

    async def observe() -> tuple[bytes, set[int], set[int]]:
        said = await asyncio.to_thread(line)
        fork = int(said.split()[0])
        kernels = set(children(kernel.pid)) - {fork}
        (reader,) = await until(lambda: [pid for parent in kernels for pid in children(parent)])
        forks = set(children(fork))
        kernel.kill()
        await until(lambda: not any(map(command_of, kernels | {reader})))
        return said, kernels, {pid for pid in forks if command_of(pid)}

    try:
        said, kernels, forks = asyncio.run(observe())
    finally:
        kernel.kill()
        kernel.communicate()

    assert said.endswith(b"The tide falls.\n")
    assert len(kernels) == len(forks) == 1


def test_other_work_goes_on_while_a_page_is_read():
    async def beside() -> bool:
        task = asyncio.create_task(read_apart(article(), HTML, URL))
        await asyncio.sleep(0)
        went_on = not task.done()
        await task
        return went_on

    assert asyncio.run(beside())


def test_a_parser_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])

    with pytest.raises(ToolError, match=r'trafilatura is missing; pip install "fusion-magic\[web\]" installs it'):
        asyncio.run(read_apart(article(), HTML, URL))
