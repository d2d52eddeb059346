"""The embedded model from the outside: what is missing for it, and its process, started once and stopped.

The model runs in a process of its own (`_local_server.py`) and speaks the same protocol as every other
endpoint, so all this module hands out is an address and a key. `python -m fusion_magic.providers.local`
fetches the weights and prints their path.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LocalModelError
from ._local_weights import SMOLLM2, Weights, fetch_weights, find_weights, model_name

__all__ = ["Running", "Weights", "fetch_weights", "find_weights", "model_name", "ready", "start", "stop"]

START_SECONDS = 60.0  # 0.5 s on a quiet laptop; the rest is for cold disks, larger files and busy machines
STOP_SECONDS = 2.0
_SERVER = Path(__file__).with_name("_local_server.py")
_FETCH = "python -m fusion_magic.providers.local"
_ILLEGAL_INSTRUCTION = (-4, 0xC000001D)  # SIGILL, and what Windows makes of it
_KILLED = -9
_ELSEWHERE = "Ollama or a llama.cpp server can run a model instead."


@dataclass(frozen=True)
class Running:
    """A started local model: where it listens, the key it wants, and the name it goes by."""

    base_url: str
    key: str = field(repr=False)
    model: str


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    gguf: Path
    running: Running


_lock = threading.Lock()
_child: _Child | None = None


def ready() -> str | None:
    """None if the local model could run now, else one sentence with the command that makes it so."""
    if importlib.util.find_spec("xllamacpp") is None:
        return 'The runtime of the embedded model is missing: pip install "fusion-magic[local]".'
    try:
        found = find_weights()
    except LocalModelError as exc:
        return str(exc)
    if found is None:
        return f"The embedded model's weights are not here yet: {_FETCH} ({SMOLLM2.megabytes} MB, once)."
    return None


def start(*, notify: Callable[[str], None]) -> Running:
    """The local model of this process, started (and its weights fetched) if need be; blocks until ready.

    Threads that ask at the same time get the same one. It is started again if it has died, or if
    `FUSION_LOCAL_MODEL` now names another file. Raises LocalModelError if it can't run.
    """
    global _child
    with _lock:
        gguf = (find_weights() or fetch_weights(notify=notify)).resolve()
        if _child is not None and (_child.gguf != gguf or _child.process.poll() is not None):
            _end(_child.process)
            _child = None
        if _child is None:
            _child = _spawn(gguf, model_name())
        return _child.running


def stop() -> None:
    """End the local model of this process, if it runs."""
    global _child
    with _lock:
        if _child is not None:
            _end(_child.process)
        _child = None


def _spawn(gguf: Path, model: str) -> _Child:
    process = subprocess.Popen(
        [sys.executable, "-P", str(_SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        # Its threads would otherwise spin while they wait: 5 instead of 30 tokens a second on a busy machine.
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        start_new_session=True,  # an interrupt of the notebook's process group is not for it
    )
    key = secrets.token_urlsafe(24)
    late = threading.Event()
    timer = threading.Timer(START_SECONDS, lambda: (late.set(), process.kill()))  # readline has no timeout
    timer.daemon = True
    try:
        timer.start()
        line = _converse(process, {"gguf": str(gguf), "key": key, "model": model})
        if "base_url" not in line:
            raise LocalModelError(line.get("error") or _why_ended(process.wait(), late.is_set()))
    except BaseException:
        _end(process)
        raise
    finally:
        timer.cancel()
    return _Child(process, gguf, Running(line["base_url"], key, model))


def _converse(process: subprocess.Popen[bytes], order: dict[str, str]) -> dict[str, str]:
    """Send the order over stdin, where no other process can read the key, and read the one line of reply."""
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
    except BrokenPipeError:  # it ended before it read; its exit status says why
        return {}
    reply = process.stdout.readline()
    return json.loads(reply) if reply.endswith(b"\n") else {}


def _why_ended(status: int, late: bool) -> str:
    if late:
        return f"The embedded model was not ready within {START_SECONDS:.0f} s."
    if status in _ILLEGAL_INSTRUCTION:
        return f"The embedded model's runtime needs a processor with AVX2, which this one lacks. {_ELSEWHERE}"
    if status == _KILLED:
        return f"The embedded model was killed while it loaded, probably for lack of memory. {_ELSEWHERE}"
    return f"The embedded model's process ended with status {status} before it was ready. {_ELSEWHERE}"


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.close()  # this alone ends it
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _forget() -> None:
    """In a forked process: the child belongs to the parent and must see its stdin end when that dies."""
    global _lock, _child
    _lock = threading.Lock()  # another thread of the parent may have held it
    if _child is not None:
        assert _child.process.stdin
        assert _child.process.stdout
        _child.process.stdin.close()
        _child.process.stdout.close()
        _child.process.returncode = 0  # not ours to wait for
    _child = None


def _at_exit() -> None:
    # Without the lock: a thread may hold it for as long as a download lasts.
    if _child is not None:
        _end(_child.process)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(_at_exit)


if __name__ == "__main__":
    try:
        print(find_weights() or fetch_weights(notify=lambda text: print(text, file=sys.stderr)))
    except LocalModelError as exc:
        sys.exit(str(exc))
