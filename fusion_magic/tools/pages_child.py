"""Reads strangers' pages for `apart.py`: one page, or, kept warm, each page in a fork of its own.

Arguments: `once` or `warm`, and the folders of the parsers as JSON. A page comes as a JSON line (`{"kind", "url"}`) and
its bytes; the answer is a space, which says that reading has begun, and a JSON object (`_parsers.told`). `once` uses
the standard streams. The standard input of `warm` is a socket that brings the first letter of the kind and two sockets
for each page: one for the page, and a leash, whose end is the end of the process that reads it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMITS = {
    "RLIMIT_AS": 1 << 30,  # bytes; macOS knows no such limit
    "RLIMIT_CPU": 20,  # seconds
    "RLIMIT_FSIZE": 0,
    "RLIMIT_CORE": 0,
    "RLIMIT_NOFILE": 64,
}
DESCRIPTORS = 512  # of the warm process, which holds one for each page
IDLE = 600.0  # seconds without a page until the warm process ends, as it holds 80 MB
SAMPLES = {b"h": ("html", "", b"<p>tides"), b"p": ("pdf", "", b"")}  # the parsers load most of theirs at the first page
PR_SET_PDEATHSIG = 1


def main() -> None:
    how, folders = sys.argv[1:]
    sys.path[:] = [str(Path(__file__).parent)]
    parsers: Any = importlib.import_module("_parsers")
    sys.path[:] = json.loads(folders)
    if how == "warm":
        warm(parsers)
    else:
        limit(LIMITS)
        read(parsers)


def read(parsers: Any) -> None:
    """Read the page of the standard input."""
    os.write(1, b" ")
    asked = json.loads(sys.stdin.buffer.readline())
    told = parsers.told(asked["kind"], asked["url"], sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(told).encode("ascii"))
    sys.stdout.buffer.flush()


def warm(parsers: Any) -> None:
    """Fork a process for each page, until no one is there to ask for more."""
    limit({"RLIMIT_NOFILE": DESCRIPTORS})
    cold = dict(SAMPLES)
    load(parsers, b"h", cold)
    control, leashes, open_ = socket.socket(fileno=0), dict[int, int](), True
    while open_ or leashes:
        ready = select.select([*leashes, *([control] if open_ else [])], (), (), IDLE)[0]
        for leash in leashes.keys() & set(ready):
            end(leashes.pop(leash))
            os.close(leash)
        if control in ready:
            letter, given, *_ = socket.recv_fds(control, 1, 2)
            open_ = len(given) == 2
            if open_:
                page, leash = given
                load(parsers, letter, cold)
                with suppress(OSError):  # no more processes; the page then ends unread
                    leashes[leash] = forked(parsers, page)
                os.close(page)
        elif not leashes and not ready:
            open_ = False


def load(parsers: Any, letter: bytes, cold: dict[bytes, tuple[str, str, bytes]]) -> None:
    """Have the parsers of a kind ready for its forks; a missing one may have been installed by the next page."""
    if letter in cold and "missing" not in parsers.told(*cold[letter]):
        del cold[letter]
        gc.freeze()  # a collection would write to memory that is shared with the forks, and so copy it


def forked(parsers: Any, page: int) -> int:
    """The number of a process that reads a page and holds nothing but it."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        with suppress(OSError):  # it may have ended
            os.setpgid(pid, pid)
        return pid
    try:
        limit(LIMITS)
        os.dup2(page, 0)
        os.dup2(page, 1)
        os.closerange(3, DESCRIPTORS)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            read(parsers)
    finally:
        os._exit(0)


def end(pid: int) -> None:
    """End a process, if it has not ended, and all that it may have started."""
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def limit(limits: dict[str, int]) -> None:
    """No more than a page can need, where the system can say so."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, most in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


if __name__ == "__main__":
    main()
