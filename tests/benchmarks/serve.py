"""A model server in a process of its own, so that its CPU does not count; prints its address, answers `log`."""

from __future__ import annotations

import json
import sys

from servers.openrouter import Reply, Server, analysis_json


def main(chunks: int, first_token: float, gap: float) -> None:
    """Serve until stdin closes; each `log` line is answered with the calls since the last one."""
    text = "word " * chunks
    with Server() as server:
        server.reply("*", Reply(text, chunks=chunks, first_token=first_token, gap=gap))
        judged = analysis_json(("A", "B", "C"))
        server.reply("judge", Reply(judged, chunks=chunks, first_token=first_token, gap=gap))
        print(server.base_url, flush=True)
        seen = 0
        for _ in sys.stdin:
            calls = server.requests[seen:]
            seen += len(calls)
            log = [{"model": call.model, "arrived": call.arrived, "ended": call.ended} for call in calls]
            print(json.dumps(log), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
