"""What a server says of its limits in `x-ratelimit-*` headers, where it sends them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

# OpenRouter's alone, sent with a refusal; OpenAI's and those who follow it, sent with every answer.
KINDS = ("", "-requests", "-tokens")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
# A number of seconds since 1970 rather than one of seconds to wait; a larger one still is of milliseconds.
SINCE_1970, IN_MILLISECONDS = 1e9, 1e11


def closed_for(headers: Mapping[str, str]) -> float | None:
    """Seconds until a limit that is used up is there again; None if none is, or if it is not said.

    Azure answers -1 or 0 for what it does not count; with a reset of 0 that is no limit.
    """
    waits = [
        seconds
        for kind in KINDS
        if headers.get(f"x-ratelimit-remaining{kind}", "").strip() == "0"
        and (seconds := seconds_until(headers.get(f"x-ratelimit-reset{kind}", ""))) > 0
    ]
    return max(waits, default=None)


def seconds_until(reset: str) -> float:
    """Seconds from now: "6m0s", "20ms", "7.66s", "60", seconds or milliseconds since 1970, a date of ISO 8601.

    0 for anything else.
    """
    reset = reset.strip()
    with suppress(ValueError):
        number = float(reset)
        now = time.time()
        return number / 1e3 - now if number > IN_MILLISECONDS else number - now if number > SINCE_1970 else number
    parts = _PART.findall(reset)
    if parts and "".join(map("".join, parts)) == reset:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    with suppress(ValueError):
        return datetime.fromisoformat(reset).timestamp() - time.time()
    return 0.0
