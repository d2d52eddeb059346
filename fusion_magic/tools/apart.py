"""Has a stranger's page read in a process of its own, which is killed by a cancellation and never reads another.

To start Python and to load the parsers takes a second of a processor. So one process that has loaded them is kept
warm, and forks one for each page; where a process can't be forked, as on Windows, one is started for each. (Python's
forkserver would do for neither: it hands on the environment, runs the user's `__main__` again, and is the user's.)
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import ToolError

CHILD = Path(__file__).with_name("pages_child.py")
FORKS = hasattr(os, "fork")
MAX_ANSWER = 16_000_000  # bytes; a million characters take up to 12 as JSON


async def told(kind: str, url: str, data: bytes) -> dict[str, Any]:
    """What `_parsers.told` says of a page; nothing if the limits ended its process.

    Raises:
        ToolError: no process can be started.
    """
    given = json.dumps({"kind": kind, "url": url}).encode() + b"\n" + data
    try:
        said = await (in_fork(kind, given) if FORKS else in_start(given))
    except OSError as exc:
        raise ToolError("The page can't be read now: no process could be started for it.") from exc
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


async def in_start(given: bytes) -> bytes:
    """The answer of a process that is started for one page.

    Raises:
        OSError: it can't be started.
    """
    pipe = subprocess.PIPE
    process = _start("once", stdin=pipe, stdout=pipe)  # asyncio's own needs a loop that Windows notebooks may not have
    try:
        return (await asyncio.to_thread(process.communicate, given))[0]
    finally:
        process.kill()  # `communicate` then ends in its thread, and reaps it


async def in_fork(kind: str, given: bytes) -> bytes:
    """The answer of a process that is forked for one page.

    Raises:
        OSError: no process can be started.
    """
    for _ in range(2):  # the warm process may end at any time
        (page, theirs), (leash, held) = socket.socketpair(), socket.socketpair()
        with page, leash:
            with theirs, held:
                warm = _hand_over(kind, theirs, held)
            try:
                said = await _answer(page, given)
            finally:
                with suppress(OSError):
                    leash.shutdown(socket.SHUT_RDWR)  # closing is not enough: a fork of the kernel may hold a copy
        if said:
            return said
        _leave(warm)
    return await in_start(given)


async def _answer(page: socket.socket, given: bytes) -> bytes:
    """What is answered to a page; nothing if no one began to read it."""
    loop, said = asyncio.get_running_loop(), bytearray()
    page.setblocking(False)
    with suppress(OSError):  # its process has ended
        await loop.sock_sendall(page, given)
        page.shutdown(socket.SHUT_WR)
        while len(said) < MAX_ANSWER and (part := await loop.sock_recv(page, 1 << 18)):
            said += part
    return bytes(said)


# -- the warm process -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Warm:
    """A process with the parsers of these folders; it ends when `control` is closed and its pages are read."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    folders: list[str]

    @property
    def serves(self) -> bool:
        """Whether it runs, with the folders of today."""
        return self.process.returncode is None and self.folders == _folders()


_warm: _Warm | None = None
_lock = threading.Lock()  # runs may have loops of their own


def prepare() -> None:
    """Start the warm process while a page is still on its way."""
    if FORKS:
        with suppress(OSError), _lock:
            _ready()


def _hand_over(kind: str, page: socket.socket, leash: socket.socket) -> _Warm:
    with _lock:
        warm = _ready()
        with suppress(OSError):  # it has ended
            socket.send_fds(warm.control, [kind[:1].encode()], [page.fileno(), leash.fileno()])
        return warm


def _ready() -> _Warm:
    global _warm
    if _warm is not None and not _warm.serves:
        _warm.control.close()
        _warm = None
    if _warm is None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start("warm", stdin=theirs, stdout=subprocess.DEVNULL)
        ours.setblocking(False)
        threading.Thread(target=process.wait, daemon=True).start()  # it may end at any time; no one else would reap it
        _warm = _Warm(process, ours, _folders())
    return _warm


def _leave(warm: _Warm) -> None:
    """Ask it for no more pages."""
    global _warm
    with _lock:
        warm.control.close()
        if _warm is warm:
            _warm = None


def _start(how: Literal["once", "warm"], stdin: Any, stdout: int) -> subprocess.Popen[bytes]:
    # Nothing of the environment, which holds keys; Windows can't start Python without SYSTEMROOT.
    environment = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    command = [sys.executable, "-I", str(CHILD), how, json.dumps(_folders())]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        cwd=CHILD.anchor,  # the user's folder is not held
        env=environment,
        start_new_session=True,
    )


def _folders() -> list[str]:
    # Absolute ones only: an empty entry is the working folder, which may hold anything.
    return [entry for entry in sys.path if os.path.isabs(entry)]


def _forget() -> None:
    """At exit; and in a forked kernel, where the warm process is the parent's and must end with it."""
    global _warm, _lock
    if _warm is not None:
        _warm.control.close()
    _warm, _lock = None, threading.Lock()


atexit.register(_forget)
if FORKS:
    os.register_at_fork(after_in_child=_forget)
