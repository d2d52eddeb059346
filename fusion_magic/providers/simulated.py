"""Calls that fail as they are told to, in place of any provider: what a run makes of it can then be seen.

Nothing is sent. Where a real call would wait for minutes these wait for a second, and say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ..errors import CallTimeout, RateLimited, RequestRefused, StreamBroken
from ..results import Usage
from . import ChatRequest, Chunk

SERVED = "simulated"  # what stands in the place of the model that answered
SHORT = 1.0  # seconds for a wait of minutes, and for what a server asks to wait
PACE, WORDS_WRITTEN = 0.25, 12  # seconds between the words of a slow one, and how many it writes
# Without a letter or a digit, so that no reader of small models' sentences finds one in it.
BAD_JSON = '{"…": [{"…": "…",'
HALF = "This text is simulated, and it breaks off half way through a "
WORDS = {
    "timeout": "times out",
    "refused": "is refused (429)",
    "down": "is down (503)",
    "cut": "breaks off half way",
    "empty": "writes nothing",
    "filter": "is stopped by a content filter",
    "slow": "is too slow to end in time",
    "badjson": "writes JSON that can't be read",
}


async def failing(request: ChatRequest) -> AsyncGenerator[Chunk, None]:
    """The chunks of a call that fails as `request.simulated` says.

    Raises:
        CallError: as a real provider would for this failure.
    """
    name = f"Simulated: {request.name}"
    yield Chunk(served=SERVED, usage=Usage(), cost=0.0)
    match request.simulated:
        case "timeout":
            await asyncio.sleep(SHORT)
            raise CallTimeout(f"{name}: no token in time (in truth {SHORT:g} s).", retryable=True)
        case "refused":
            text = f"{name} answered 429: too many requests."
            raise RateLimited(text, status_code=429, retryable=True, retry_after=SHORT)
        case "down":
            text = f"{name} answered 503: the service is unavailable."
            raise RequestRefused(text, status_code=503, retryable=True)
        case "cut":
            yield Chunk(text=HALF)
            raise StreamBroken(f"{name}: the stream ended before the answer did.", retryable=True)
        case "slow":
            for _ in range(WORDS_WRITTEN):
                yield Chunk(text="slowly, ")
                await asyncio.sleep(PACE)
            raise CallTimeout(f"{name} did not end in time (in truth {PACE * WORDS_WRITTEN:g} s).")
        case "filter":
            yield Chunk(text=HALF)
            yield Chunk(finish="content_filter")
        case "badjson":
            yield Chunk(text=BAD_JSON)
            yield Chunk(finish="stop")
        case _:
            yield Chunk(finish="stop")
