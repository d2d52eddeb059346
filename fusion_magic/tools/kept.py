"""What the web said, kept in the user's store for a day, so that a run that is asked again reads the same pages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..store import Store

DAY = 86_400.0


class Kept:
    """Search results and pages of earlier runs, and where those of this one go.

    Args:
        store: the user's.
        max_age: seconds that something may be old.
        reads: whether what is there may be used; without, it is only replaced.
    """

    def __init__(self, store: Store, *, max_age: float = DAY, reads: bool = True) -> None:
        self._store, self._max_age, self._reads = store, max_age, reads

    async def get(self, key: str) -> Any | None:
        """What was kept under the key, as JSON has it; None if there is nothing, or nothing young enough."""
        found = await asyncio.to_thread(self._store.web, key) if self._reads else None
        if found is None:
            return None
        made, value = found
        return value if (datetime.now(UTC) - made).total_seconds() <= self._max_age else None

    def put(self, key: str, value: Any) -> None:
        """Keep a value that JSON can hold."""
        self._store.keep_web(key, value)
