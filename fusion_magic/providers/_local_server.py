"""The embedded model's own process: serves one GGUF file on loopback until whoever started it is gone.

Started by `local.py` as a script, so that the package need not be imported again. It reads one JSON line
from stdin (`{"gguf": …, "key": …, "model": …}`), writes one to stdout (`{"base_url": …, "model": …}` or
`{"error": …}`), and exits when stdin ends. Standard library and xllamacpp only.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

SLOTS = 3  # requests answered at once; the default panel has three seats, more wait their turn
SLOT_TOKENS = 4096  # prompt and answer of one request; 12288 in all cost about 280 MB with SmolLM2
MAX_THREADS = 8  # beyond this a small model gets slower, not faster
HTTP_THREADS = 16  # streams that may be open at once, waiting ones included; a panel has at most eight seats


def main() -> int:
    """Serve until stdin ends; the exit status is 1 after an `{"error": …}` line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the kernel decides what an interrupt cancels
    parent = os.getppid()
    say = _claim_stdout()
    asked = json.loads(sys.stdin.readline())
    try:
        server = _serve(asked["gguf"], asked["key"], asked["model"])
    except ImportError as exc:
        say({"error": _why_not_imported(exc)})
        return 1
    except RuntimeError:  # the runtime gives no reason, whatever is wrong with the file
        say({"error": f"The model file {asked['gguf']} is damaged or of an unknown kind."})
        return 1
    say({"base_url": f"{server.listening_address}/v1", "model": asked["model"]})
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # open streams would hold up an orderly exit


def _serve(gguf: str, key: str, model: str) -> Any:
    runtime: Any = importlib.import_module("xllamacpp")  # here, where its absence can be reported
    params = runtime.CommonParams()
    params.model.path = gguf
    params.model_alias = {model}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS  # the runtime divides it among the slots
    params.cont_batching = True
    params.cache_ram_mib = 128  # old prompts, so that the judge's example is read once; the default is 8 GB
    params.n_threads_http = HTTP_THREADS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(_cpus(), MAX_THREADS)
    params.verbosity = -1
    params.ui = False
    return runtime.Server(params)


def _claim_stdout() -> Any:
    """Keep stdout for our one line and send whatever C code prints to nowhere, where it can't fill a pipe."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)

    def say(message: dict[str, str]) -> None:
        print(json.dumps(message), file=ours, flush=True)

    return say


def _watch_parent(parent: int) -> None:
    """Stdin stays open if the parent forked before it died, so also look whether we were adopted."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _why_not_imported(exc: ImportError) -> str:
    if isinstance(exc, ModuleNotFoundError) and exc.name == "xllamacpp":
        return 'The runtime of the embedded model is missing: pip install "fusion-magic[local]".'
    return f"The runtime of the embedded model (xllamacpp) does not start on this machine: {exc}."


if __name__ == "__main__":
    sys.exit(main())
