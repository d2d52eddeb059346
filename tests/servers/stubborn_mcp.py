"""An MCP server by hand, for what the official package does not do; started as a script, it takes milliseconds.

It ignores the end of its input and SIGTERM unless it is told to be `polite`, writes noise to stdout and stderr, and
lists its tools in pages without end. Its first tool starts two children that ignore SIGTERM too, or dies in mid-call.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def main() -> None:
    polite = "polite" in sys.argv
    if not polite:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("noise on stdout", flush=True)
    print("noise on stderr", file=sys.stderr, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = {
                "jsonrpc": "2.0",
                "id": message["id"],
                "result": answer(message["method"], message.get("params", {})),
            }
            print(json.dumps(reply), flush=True)
    if not polite:
        time.sleep(600)


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        info = {"name": "stubborn", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        page = int(params.get("cursor", 0))
        tool = {"name": f"family{page or ''}", "inputSchema": {"type": "object"}}
        return {"tools": [tool], "nextCursor": str(page + 1)}
    if words := params.get("arguments", {}).get("last_words"):
        print(words, file=sys.stderr, flush=True)
        os._exit(3)
    together, apart = (start(session) for session in (False, True))
    return {"content": [{"type": "text", "text": json.dumps([os.getpid(), together, apart])}]}


def start(session: bool) -> int:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, start_new_session=session)
    assert child.stdout
    child.stdout.readline()  # it ignores SIGTERM from here on
    return child.pid


if __name__ == "__main__":
    main()
