"""Events from bytes: what the standard says, and the same whatever way the network cuts them."""

from __future__ import annotations

import time

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_magic.providers.event_stream import EventReader

STREAMS = {
    "one": (b"data: a\n\n", [b"a"]),
    "without a space": (b"data:a\n\n", [b"a"]),
    "two spaces": (b"data:  a\n\n", [b" a"]),
    "several lines": (b"data: a\ndata\ndata: b\n\n", [b"a\n\nb"]),
    "comments and names": (b": ping\n\nevent: x\nid: 7\nretry: 5\ndata: a\n\n:\n", [b"a"]),
    "an event of nothing": (b"event: ping\ndata:\n\ndata: a\n\n", [b"a"]),
    "carriage returns": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "old carriage returns": (b"data: a\r\rdata: b\r\r: \n", [b"a", b"b"]),
    "both": (b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"]),
    "empty lines": (b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
    "a mark": ("\ufeffdata: a\n\ndata: \ufeffb\n\n".encode(), [b"a", "\ufeffb".encode()]),
    "no end": (b"data: a\n\ndata: b\n", [b"a"]),
    "other fields": (b"datum: x\ndata2: y\n\n", []),
    "a long line": (b"data: " + b"x" * 200 + b"\n\n", [b"x" * 200]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("cut", [1, 2, 3, 5, 10_000])
def test_the_data_of_each_event_comes_out_however_the_stream_is_cut(stream: bytes, events: list[bytes], cut: int):
    reader = EventReader()

    found = [event for at in range(0, len(stream), cut) for event in reader.feed(stream[at : at + cut])]

    assert found == events


def test_a_long_line_in_small_packets_takes_no_longer_than_its_bytes():
    reader, begun = EventReader(), time.monotonic()

    found = [event for _ in range(100_000) for event in reader.feed(b"data: 0123")] + reader.feed(b"\n\n")

    assert [len(event) for event in found] == [999_994]
    assert time.monotonic() - begun < 20  # it was 50 s when each packet copied the line so far


PARTS = st.lists(
    st.sampled_from(
        [b"data: a", b"data:", b"data: {\xc3\xa9}", b"\n", b"\r\n", b"\r", b"\n\n", b": c", b"x", b"id: 1", b"data"]
    ),
    max_size=24,
)


@settings(max_examples=300, deadline=None)
@given(PARTS)
def test_another_reader_finds_the_same_events(parts: list[bytes]):
    stream = b"".join(parts) + b"\n: end\n"
    response = httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=stream)

    theirs = [event.data.encode() for event in EventSource(response).iter_sse() if event.data]

    assert EventReader().feed(stream) == theirs


@settings(max_examples=300, deadline=None)
@given(PARTS, st.data())
def test_where_the_network_cuts_a_stream_changes_nothing(parts: list[bytes], data: st.DataObject):
    stream = b"".join(parts) + b"\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    whole, in_pieces = EventReader(), EventReader()

    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert [event for piece in pieces for event in in_pieces.feed(piece)] == whole.feed(stream)
