"""Has a stranger's page read in a process of its own, which is killed by a cancellation and never reads another.

To start Python and to load the parsers takes a second of a processor. So one process that has loaded them is kept
warm, and forks one for each page; where a process can't be forked, as on Windows, one is started for each. (Python's
forkserver would do for neither: it hands on the environment, runs the user's `__main__` again, and is the user's.)
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
        said = await (in_fork(given) if FORKS else in_start(given))
    except OSError as exc:
        raise ToolError("The page can't be read now: no process could be started for it.") from exc
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


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


async def in_fork(given: bytes) -> bytes:
    """The answer of a process that is forked for one page.

    Raises:
        OSError: it can't be.
    """
    for _ in range(2):  # the warm process may end at any time
        with ExitStack() as stack:
            page, leash = _handed(stack)
            said = await _answer(page, given)
        if said:
            return said
        _forget()
    raise OSError("no fork")
