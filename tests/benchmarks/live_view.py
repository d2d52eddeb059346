"""What watching a run costs: `python tests/benchmarks/live_view.py`.

Eight seats write 100 deltas a second each for 8 seconds, in a real JupyterLab and Chromium. Prints websocket bytes ÷
bytes of text, the longest and the 95th-percentile animation frame, and kernel CPU, each beside the same run without a
view; frames are only worth reading on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser.driver import Lab, Notebook, write_notebook
from fusion_magic.jupyter.show import REDRAW

ROUNDS = 3
SEATS, DELTAS, GAP = 8, 800, 0.01
PARAGRAPH = (
    "A monorepo is the *cheaper* start for a small team: one review, one build, `one` place to look.\n\n"
    "- It costs less to begin with.\n- It costs **more** once builds take long.\n\n"
    "```py\ndef split(minutes):\n    return minutes > 10\n```\n\n"
)
TEXT = (PARAGRAPH * 20)[: DELTAS * 5]
SETUP = f"""
import asyncio, json, time
from fusion_magic import Line, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.jupyter.live import LiveView
from IPython.display import display

async def watch(seats, deltas, with_view):
    script = scripted({{"panel": Line({TEXT!r}, pieces=deltas, gap={GAP}), "*": "Done."}})
    view = LiveView(can_click=True, on_stop=print, on_skip=print) if with_view else None
    if view:
        display(view)
    events = []
    cpu, begun = time.process_time(), time.perf_counter()
    running = Running(request_for("Which?", models=[f"a/{{n}}" for n in range(seats)], judge="j/j"), events.append)
    ended = False
    while not ended:
        ended = running.future.done()
        while events:
            event = events.pop(0)
            if view:
                view.apply(event)
        if view:
            view.flush()
        await asyncio.sleep({REDRAW})
    if view:
        view.finish("")
    script.close()
    print(json.dumps([time.process_time() - cpu, time.perf_counter() - begun]))
"""
# The time between two frames, measured by the page itself.
FRAMES = """() => {
    window.fmFrames = [];
    let before = performance.now();
    const next = now => { window.fmFrames.push(now - before); before = now; requestAnimationFrame(next); };
    requestAnimationFrame(next);
}"""


class Wire:
    """Bytes on the page's websockets, as they are before compression."""

    def __init__(self, notebook: Notebook) -> None:
        self.bytes = self.frames = 0
        session = notebook.page.context.new_cdp_session(notebook.page)
        session.send("Network.enable")
        for direction in ("Received", "Sent"):
            session.on(f"Network.webSocketFrame{direction}", self._count)

    def _count(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        size = len(frame["payloadData"])
        self.bytes += size if frame["opcode"] == 1 else size * 3 // 4  # binary frames come as base64
        self.frames += 1


@dataclass
class Ran:
    """One run: seconds of kernel CPU, seconds in all, bytes on the wire, milliseconds between frames."""

    cpu: float
    wall: float
    bytes: int
    messages: int
    frames: list[float]

    @property
    def p95(self) -> float:
        return self.frames[len(self.frames) * 95 // 100]


def run(notebook: Notebook, wire: Wire, cell: int) -> Ran:
    before, messages = wire.bytes, wire.frames
    notebook.page.evaluate("() => { window.fmFrames.length = 0 }")
    notebook.start_cell(cell)
    notebook.wait_idle()
    frames = sorted(notebook.page.evaluate("() => window.fmFrames"))
    cpu, wall = json.loads(notebook.outputs()[cell][-1])
    return Ran(cpu, wall, wire.bytes - before, wire.frames - messages, frames)


def measure(notebook: Notebook, wire: Wire) -> None:
    plain, seen = run(notebook, wire, 1), run(notebook, wire, 2)
    text = len(TEXT.encode()) * SEATS
    print(
        f"{SEATS * DELTAS / seen.wall:4.0f} deltas/s for {seen.wall:.1f} s; "
        f"websocket ÷ text {seen.bytes / text:.2f} in {seen.messages} frames; "
        f"animation frame p95 {seen.p95:.0f} ms, longest {seen.frames[-1]:.0f} ms "
        f"(without a view {plain.p95:.0f}, {plain.frames[-1]:.0f}); "
        f"kernel CPU {seen.cpu:.2f} s, without a view {plain.cpu:.2f} s, difference {seen.cpu - plain.cpu:.2f} s; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def main() -> None:
    """The first view of a page also loads the widget library, so one is shown before measuring."""
    cells = [SETUP, *(f"await watch({SEATS}, {DELTAS}, {view})" for view in (False, True)), "await watch(1, 20, True)"]
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        write_notebook(lab.root / "live.ipynb", cells)
        notebook = lab.open("live.ipynb")
        for cell in (0, 3):
            notebook.start_cell(cell)
            notebook.wait_idle()
        notebook.page.evaluate(FRAMES)
        wire = Wire(notebook)
        for _ in range(ROUNDS):
            measure(notebook, wire)
        print(*notebook.errors, sep="\n")


if __name__ == "__main__":
    main()
