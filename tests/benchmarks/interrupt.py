"""How long an interrupt takes: `python tests/benchmarks/interrupt.py`.

A cell of a real kernel streams from eight seats of a loopback server and is interrupted. Prints the time until the
kernel is idle again with the answers drawn, and until the server has seen every connection closed; beside it the same
for a cell that only sleeps, which is what the kernel itself needs.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers.openrouter import Reply, Server

ROUNDS = 5
SEATS = 8


def run_until(client: BlockingKernelClient, code: str) -> None:
    """Run a cell and wait for its end."""
    client.execute_interactive(code, timeout=60)


def interrupted(manager: KernelManager, client: BlockingKernelClient, code: str, ready) -> float:
    """Seconds from the interrupt of a cell to the kernel's idle."""
    client.execute(code)
    ready()
    begun = time.perf_counter()
    manager.interrupt_kernel()
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return time.perf_counter() - begun


def main() -> None:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    fusing, sleeping, closing = [], [], []
    with Server() as server:
        server.reply("*", Reply("word " * 4000, chunks=4000, gap=0.01))
        run_until(client, "%load_ext fusion_magic")
        models = " ".join(f"-m seat{number}@{server.base_url}" for number in range(SEATS))
        for _ in range(ROUNDS):
            fusing.append(interrupted(manager, client, f"%%fusion {models}\nCount.", lambda: server.wait_open(SEATS)))
            at = time.monotonic()
            server.wait_closed(timeout=10)
            closing.append(max(0.0, time.monotonic() - at))
            sleeping.append(interrupted(manager, client, "import time; time.sleep(20)", lambda: time.sleep(0.5)))
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    kernel, ours, closed = (statistics.median(rows) * 1e3 for rows in (sleeping, fusing, closing))
    print(
        f"{SEATS} seats, medians of {ROUNDS}: idle {ours:.0f} ms after the interrupt (goal 300), every connection "
        f"closed {closed:.0f} ms after that; a sleeping cell {kernel:.0f} ms; ratio {ours / kernel:.1f}"
    )


if __name__ == "__main__":
    main()
