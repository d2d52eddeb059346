"""A real kernel and its client, and what a cell makes it send."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

SECONDS = 60  # for one message; far above what any takes


@dataclass
class Ran:
    """What a cell sent, in order; `outputs` is what a front end then shows."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    @property
    def html(self) -> list[str]:
        """The display's HTML, from the first picture to the last."""
        shown = [m for m in self.messages if m["msg_type"] in ("display_data", "update_display_data")]
        return [message["content"]["data"].get("text/html", "") for message in shown]

    @property
    def text(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def error(self) -> list[str]:
        return [line for content in self.of("error") for line in content["traceback"]]


class Kernel:
    """A kernel and its client; `run` waits for a cell, `send` does not."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client
        self._seen: list[dict[str, Any]] = []

    def send(self, code: str, *, allow_stdin: bool = False) -> str:
        """Send a cell as a notebook's page does: its requests have no number."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": allow_stdin, "stop_on_error": True}
        request = self.client.session.msg("execute_request", content)
        request["header"]["msg_id"] = request["msg_id"] = str(uuid.uuid4())
        self.client.shell_channel.send(request)
        return request["msg_id"]

    def run(self, code: str) -> Ran:
        return self.end(self.send(code))

    def ask(self, code: str, answer: str | None) -> Ran:
        """Run a cell that asks its reader, and answer it; None interrupts the kernel instead."""
        cell = self.send(code, allow_stdin=True)
        self.client.get_stdin_msg(timeout=SECONDS)
        if answer is None:
            self.manager.interrupt_kernel()
        else:
            self.client.input(answer)
        return self.end(cell)

    def until(self, text: str) -> None:
        """Wait until a display shows a text."""
        while not self._seen or text not in str(self._seen[-1]["content"].get("data")):
            self._seen.append(self.client.get_iopub_msg(timeout=SECONDS))

    def until_printed(self, text: str) -> None:
        """Wait until a cell prints a text."""
        while not self._seen or text not in str(self._seen[-1]["content"].get("text")):
            self._seen.append(self.client.get_iopub_msg(timeout=SECONDS))

    def end(self, cell: str) -> Ran:
        """Wait for a cell's reply and everything it sent."""
        return self.ends(cell)[0]

    def ends(self, *cells: str) -> list[Ran]:
        """Wait for several cells that were sent, in their order."""
        replies = [self._reply(cell) for cell in cells]
        sent: dict[str, list[dict[str, Any]]] = {cell: [] for cell in cells}
        idle: set[str] = set()
        while idle < set(cells):
            message = self._seen.pop(0) if self._seen else self.client.get_iopub_msg(timeout=SECONDS)
            cell = message["parent_header"].get("msg_id")
            if cell in sent:
                sent[cell].append(message)
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    idle.add(cell)
        return [Ran(reply, sent[cell]) for reply, cell in zip(replies, cells, strict=True)]

    def _reply(self, cell: str) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == cell:
                return message["content"]

    def value(self, expression: str) -> Any:
        """What an expression is in the kernel."""
        code = f"import json as _json; print(_json.dumps({expression}))"
        ran = self.run(code)
        while ran.reply["status"] == "aborted":  # ipykernel 6 passes over what comes just behind an interrupt
            ran = self.run(code)
        assert ran.reply["status"] == "ok", ran.error
        return json.loads(ran.text)


def start(key: str) -> Kernel:
    """A kernel with that key in its environment."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "OPENROUTER_API_KEY": key})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=SECONDS)
    return Kernel(manager, client)


def stop(kernel: Kernel) -> None:
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)
