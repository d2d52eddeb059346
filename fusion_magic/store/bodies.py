"""Values as JSON, compressed if they are long, and a run's events with their class's name as tag."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast, get_args

from pydantic import TypeAdapter
from pydantic_core import to_json

from ..events import AnswerReady, Event

SHORT = 2_000  # bytes that are kept as they are: to compress them takes longer than to write them
DEFLATED = b"\x78"  # how compressed ones begin (RFC 1950), and no JSON does
PICTURE = 1_000  # characters from which a data: address is worth leaving out
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Event)}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[kind])


def packed(value: object) -> bytes:
    """JSON of values, models and events. A lone surrogate, which UTF-8 has no bytes for, comes back as it was."""
    try:
        body = to_json(value, by_alias=False)
    except ValueError:
        body = json.dumps(value, default=_plain, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return body if len(body) < SHORT else zlib.compress(body)


def _plain(value: object) -> Any:
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def unpacked(body: bytes) -> Any:
    """The value that was packed. Raises ValueError for anything else."""
    try:
        whole = zlib.decompress(body) if body.startswith(DEFLATED) else body
        return json.loads(whole.decode("utf-8", "surrogatepass"))
    except (zlib.error, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def clean(text: str) -> str:
    """The text for a column: SQLite takes no lone surrogates."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def events_body(events: Iterable[Event]) -> bytes:
    """Events that followed each other; without the object that an answer was parsed into, which can be anything."""
    told = (AnswerReady(each.answer) if isinstance(each, AnswerReady) else each for each in events)
    return packed([[type(event).__name__, event] for event in told])


def events_from(body: bytes) -> list[Event]:
    """The events, without those of a kind that this version does not know. Raises ValueError if it can't be read."""
    kept = unpacked(body)
    named = [kept] if isinstance(kept[0], str) else kept  # an earlier version kept each by itself
    return [_adapter(name).validate_python(value) for name, value in named if name in _KINDS]


def without_pictures(value: object) -> object:
    """A request without the bytes of pictures and files: eight seats would keep each of them eight times."""
    match value:
        case str() if len(value) > PICTURE and value.startswith("data:"):
            start = value.partition(",")[0][:100]
            return f"{start},… ({len(value)} characters, SHA-256 {hashlib.sha256(value.encode()).hexdigest()})"
        case dict():
            return {key: without_pictures(item) for key, item in cast("Mapping[str, object]", value).items()}
        case list() | tuple():
            return [without_pictures(item) for item in cast("list[object]", value)]
        case _:
            return value
