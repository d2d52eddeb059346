"""A server on this machine whose models recite: what `02_panels_and_prices.ipynb` asks in place of models that cost.

It speaks the protocol of any OpenAI-compatible server, so that plan, prices, store and reuse are the real ones. What
the models say and how many tokens they report is written below.
"""

from __future__ import annotations

import json
import os
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

# What each model says, and the tokens it reports to have read and written.
SAYS = {
    "swift": (
        "Repair the oven: 3,000 now is about a fifth of a new one, and it has served for eleven years.",
        (60, 120),
    ),
    "steady": (
        (
            "Buy the new oven. It uses about a third less power, which is 2,400 a year at today's price, so that the "
            "11,000 it costs more come back in under five years. Ask first whether the repair comes with a guarantee."
        ),
        (60, 240),
    ),
    "sage": (
        (
            "The repair is cheap only if it holds. [A] counts the 3,000 but not the power; [B] does, and on its figures "
            "the new oven pays back in under five years. Get the repairer's guarantee in writing: with three years or "
            "more repair, without it buy."
        ),
        (900, 300),
    ),
}
ANALYSIS: dict[str, list[Any]] = {
    "consensus": ["The old oven can still be repaired."],
    "contradictions": [
        {
            "topic": "Repair or buy",
            "stances": [{"label": "A", "stance": "Repair."}, {"label": "B", "stance": "Buy the new oven."}],
        }
    ],
    "partial_coverage": [],
    "unique_insights": [{"label": "B", "insight": "The new oven saves 2,400 a year in power."}],
}
# The two that judge differ in what they miss.
BLIND_SPOTS = {"sage": "What a day without an oven costs.", "steady": "Whether spare parts will still be made."}


def own_home() -> Path:
    """A new folder for settings and store, in force for this process; the user's own are not touched."""
    home = Path(tempfile.mkdtemp(prefix="fusion-"))
    (home / "store.sqlite3").touch()  # the first run of a store says where it is, and a saved notebook need not
    os.environ["FUSION_HOME"] = str(home)
    return home


def serve() -> str:
    """Start the server in a thread; the address to write into `fusion.toml`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


class Desk(BaseHTTPRequestHandler):
    """Answers `GET /v1/models` and `POST /v1/chat/completions`."""

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": name} for name in SAYS]}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, (read, written) = SAYS[asked["model"]]
        if asked.get("response_format"):  # the judge's call
            text = json.dumps({**ANALYSIS, "blind_spots": [BLIND_SPOTS[asked["model"]]]})
        chunk = {
            "id": "recited",
            "model": asked["model"],
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }
        self._send("text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a notebook's output is not the place for it."""

    def _send(self, kind: str, body: str) -> None:
        payload = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
