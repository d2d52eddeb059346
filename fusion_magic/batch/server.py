"""An endpoint's batches, as OpenAI has them: a file, a batch that carries it out, and the files that come of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any, TypeVar

from ..endpoints import Endpoint
from ..errors import CallError, StreamBroken
from ..providers.chat_completions import ChatCompletions
from ..providers.json_values import as_list, as_object, as_text
from .jsonl import URL

FILE_SECONDS, SECONDS = 900.0, 60.0  # for a file of up to 200 MB, and for all else
FIRST_WAIT, MOST_WAIT, GROWTH = 0.2, 60.0, 1.5  # seconds between two looks, and how they grow
TRIES = 5
ENDED = ("completed", "failed", "expired", "cancelled")
T = TypeVar("T")


class BatchServer:
    """One endpoint's batches; every method raises CallError or KeyMissing.

    Args:
        client: who speaks to it.
        endpoint: where it is.
    """

    def __init__(self, client: ChatCompletions, endpoint: Endpoint) -> None:
        self._client, self._endpoint = client, endpoint

    async def upload(self, content: bytes) -> str:
        """Send a file; returns its id. A file that is sent twice costs nothing."""

        async def send() -> str:
            # As a file, of which httpx sends a piece when the last one has left: bytes would be copied whole.
            file = ("fusion_magic.jsonl", BytesIO(content), "application/jsonl")
            return await self._named("POST", "/files", files={"file": file}, data={"purpose": "batch"})

        return await _again(send)

    async def start(self, file: str, *, may_be_there: bool) -> str:
        """Have a file carried out, once; returns the id of the batch.

        Args:
            file: its id.
            may_be_there: whether an earlier process may have done it.
        """
        asked = {"input_file_id": file, "endpoint": URL, "completion_window": "24h"}
        is_first = not may_be_there

        async def begin() -> str:
            nonlocal is_first
            found = None if is_first else await self._batch_of(file)
            is_first = False  # an answer that was lost does not say that nothing was begun
            return found or await self._named("POST", "/batches", json=asked)

        return await _again(begin)

    async def ended(self, batch: str, look: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """The batch when it has ended; `look` is told how it is before that. A network that is gone is waited for."""
        wait = FIRST_WAIT
        while True:
            try:
                state = as_object(await self._object("GET", f"/batches/{batch}"))
                look(state)
                if as_text(state.get("status")) in ENDED:
                    return state
            except CallError as exc:
                if not exc.retryable:
                    raise
                wait = max(wait, exc.retry_after or 0.0)
            await asyncio.sleep(wait)
            wait = min(MOST_WAIT, wait * GROWTH)

    async def content(self, file: str) -> bytes:
        """What is in a file."""
        return await _again(lambda: self._client.send("GET", self._endpoint, f"/files/{file}/content", FILE_SECONDS))

    async def _batch_of(self, file: str) -> str | None:
        """The batch that carries a file out, among the latest hundred."""
        listed = as_list((await self._object("GET", "/batches?limit=100")).get("data"))
        batches = (as_object(entry) for entry in listed)
        return next((as_text(batch.get("id")) for batch in batches if batch.get("input_file_id") == file), None)

    async def _named(self, method: str, path: str, **sent: Any) -> str:
        """The id of what is made."""
        made = as_text((await self._object(method, path, **sent)).get("id"))
        if not made:
            raise StreamBroken(f"{self._endpoint.name} did not say what it has made of {path}.")
        return made

    async def _object(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        seconds = FILE_SECONDS if "files" in sent else SECONDS
        content = await self._client.send(method, self._endpoint, path, seconds, **sent)
        try:
            return as_object(json.loads(content))
        except (ValueError, RecursionError) as exc:
            raise StreamBroken(f"{self._endpoint.name} sent something that is no JSON object.", retryable=True) from exc


async def _again(ask: Callable[[], Awaitable[T]]) -> T:
    """What comes of it; a few times where asking again may help."""
    wait = FIRST_WAIT
    for _ in range(TRIES - 1):
        try:
            return await ask()
        except CallError as exc:
            if not exc.retryable:
                raise
            await asyncio.sleep(max(wait, exc.retry_after or 0.0))
            wait = min(MOST_WAIT, wait * 4)
    return await ask()
