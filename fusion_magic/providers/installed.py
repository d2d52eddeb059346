"""Which script answers in place of every endpoint, if any; `scripted` itself is imported by who uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scripted import Script

scripts: list[Script] = []


def installed() -> Script | None:
    """The script that answers now, or None."""
    return scripts[-1] if scripts else None
