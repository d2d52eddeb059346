"""Server-sent events from bytes, however the network cuts them; many at once where many have come."""

from __future__ import annotations

MARK = b"\xef\xbb\xbf"


class EventReader:
    """Cuts a stream into the data of its events, as the HTML standard says (9.2.6); names, ids and comments go.

    Lines end with CR, LF or both. An event without its empty line at the end is none.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._has_begun = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that are whole by now; events without any are left out."""
        may_end = self._rest.endswith(b"\r") or b"\n" in piece or b"\r" in piece
        self._rest += piece
        if not may_end:  # inside a line, which may be of megabytes: it is not looked at for each of its packets
            return []
        stream = bytes(self._rest)
        if not self._has_begun:
            self._has_begun, stream = True, stream.removeprefix(MARK)
        if b"\r" in stream:
            # The LF of a CR at the end may be still to come.
            held = b"\r" if stream.endswith(b"\r") else b""
            stream = stream.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        whole, end, rest = stream.rpartition(b"\n\n")
        self._rest = bytearray(rest)
        return [data for block in whole.split(b"\n\n") if (data := _data(block))] if end else []


def _data(block: bytes) -> bytes:
    if block.startswith(b"data:") and b"\n" not in block:  # as nearly all are
        return block[5:].removeprefix(b" ")
    fields = (line.partition(b":") for line in block.split(b"\n"))
    return b"\n".join(value.removeprefix(b" ") for name, _, value in fields if name == b"data")
