"""Runs one shell command under sandlock; started by `sandboxes.py` as a process of its own and never imported.

Reads one JSON object from standard input. Everything that the command starts is a descendant of this process and is
killed before it ends; SIGTERM ends it early. It imports nothing of this package.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
READABLE = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/dev/zero", "/dev/urandom")


def main() -> None:
    request = json.load(sys.stdin)
    sys.path.append(request["packages"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    # Now, while what lies below the home folder can still be read.
    importlib.import_module("sandlock._sdk")

    become(request["user"])
    for limit, most in ((resource.RLIMIT_FSIZE, request["disk"]), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    os.nice(10)
    code = run(request, stop)
    end_children()
    os._exit(code)  # threads of sandlock may still wait for what was killed


def become(user: int | None) -> None:
    """Give up root for a user id that nobody has; die with the parent, adopt orphans."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((PR_SET_DUMPABLE, 1), (PR_SET_PDEATHSIG, signal.SIGTERM), (PR_SET_CHILD_SUBREAPER, 1)):
        prctl(option, value, 0, 0, 0)


def run(request: dict[str, Any], stop: threading.Event) -> int:
    sandlock: Any = importlib.import_module("sandlock")
    scratch, quiet = request["scratch"], sandlock.StdioMode
    box = sandlock.Sandbox(
        fs_readable=[path for path in READABLE if os.path.exists(path)],
        fs_writable=[scratch, "/dev/null"],
        clean_env=True,
        env={**request["environment"], "HOME": scratch, "TMPDIR": scratch},
        cwd=scratch,
        max_memory=request["memory"],
        max_processes=request["processes"],
        max_open_files=256,
        no_coredump=True,
        extra_deny_syscalls=["memfd_create", "memfd_secret", "shmget", "msgget", "mq_open", "io_uring_setup"],
    )
    process = box.popen(["/usr/bin/bash", "-c", request["command"]], quiet.NULL, quiet.INHERIT, quiet.INHERIT)
    ended, codes = threading.Event(), list[int]()

    def wait() -> None:
        codes.append(process.wait().exit_code)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while not ended.wait(0.05) and not stop.is_set():
        if size(scratch) > request["disk"]:
            print(f"\n(stopped: more than {request['disk'] >> 20} MB in the scratch folder)", flush=True)
            break
    return codes[0] & 0xFF if codes else 137


def size(folder: str) -> int:
    """Bytes of the files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def children() -> list[int]:
    """The processes that threads of this one have started."""
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return found


def end_children() -> None:
    """Kill every descendant; orphans come to this process, which is their subreaper."""
    while pids := children():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue


if __name__ == "__main__":
    main()
