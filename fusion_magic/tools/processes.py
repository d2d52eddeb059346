"""The processes that a shell command has started, as Linux tells of them."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

KB, PAGE = 1024, mmap.PAGESIZE


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on; orphans count where the process adopts them."""
    found = children(pid)
    for each in found:  # grows while it is read
        found += children(each)
    return found


def children(pid: int) -> list[int]:
    """The children of a process; none if it has ended."""
    listed: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            listed += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return listed


def memory(pids: list[int]) -> int:
    """Bytes in memory of these processes together; pages they share are counted once."""
    return sum(map(_proportional, pids)) if sum(map(_resident, pids)) > _SOME else 0


_SOME = 64 * KB * KB  # the proportional size takes the kernel a walk through all pages, so it is asked for late


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * KB
    except (OSError, ValueError):
        pass
    return _resident(pid)


def lists_children() -> bool:
    """Whether this system tells the children of a process."""
    return os.path.exists("/proc/thread-self/children")
