"""A stranger's page is read in a process of its own, which ends with the call and knows nothing of the user."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools import _parsers
from fusion_magic.tools.pages import read_apart, read_page
from servers.hostile_pages import article, text_pdf

pytest.importorskip("trafilatura")
pytest.importorskip("pypdf")

HTML = "text/html; charset=utf-8"
URL = "https://example.org/a/b"
BUSY = b"<html><body>" + b"<p>tides and more" * 39_000  # below the limit of elements; takes many seconds
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed in /proc")


def children() -> list[int]:
    """Processes that read a page for this one."""
    listed = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    return [int(pid) for pid in listed if Path(_parsers.__file__).name.encode() in command_of(pid)]


def command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def child() -> int:
    """The one process that reads, once there is one; its command is ours only after it has started."""
    async with asyncio.timeout(30):
        while not (found := children()):  # noqa: ASYNC110 - the kernel tells no one of a new process
            await asyncio.sleep(0.01)
    return found[0]


async def gone() -> None:
    """Returns when no process reads; fails long before the busy page would be done."""
    async with asyncio.timeout(4):
        while children():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("data", [article(), text_pdf("High tide")])
def test_a_child_reads_what_this_process_would(data):
    kind = HTML if data.startswith(b"<") else "application/pdf"

    assert asyncio.run(read_apart(data, kind, URL)) == read_page(data, kind, URL)


@linux
def test_a_page_that_takes_too_long_is_given_up_and_its_process_is_gone():
    async def give_up() -> None:
        with pytest.raises(ToolError, match="too costly"):
            await read_apart(BUSY, HTML, URL, seconds=0.5)
        await gone()

    asyncio.run(give_up())


@linux
def test_leaving_ends_the_child():
    async def leave() -> None:
        task = asyncio.create_task(read_apart(BUSY, HTML, URL))
        await child()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone()

    asyncio.run(leave())


@linux
def test_the_child_has_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("TAVILY_API_KEY", "tvly-secret")

    async def environment() -> bytes:
        task = asyncio.create_task(read_apart(BUSY, HTML, URL))
        told = environment_of(await child())
        task.cancel()
        await asyncio.wait((task,))
        return told

    assert b"=" not in asyncio.run(environment())


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
