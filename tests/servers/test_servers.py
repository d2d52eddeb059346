"""The server does what a script says, breaks streams where it says, and notices clients that leave."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import httpx
import pytest

from servers.asking import TEXT, body, chunks, events, post, text
from servers.openrouter import Broken, Fault, RefuseParameter, Reply, Request, Server, analysis_json


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(server.base_url).port), timeout=10)


def raw_post(value: dict[str, Any]) -> bytes:
    """The bytes of a chat request, for clients that behave as no HTTP library does."""
    data = json.dumps(value).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)


# -- scripts ----------------------------------------------------------------------------------------------


def test_a_list_is_answered_in_turn_and_its_last_entry_repeats(server):
    server.reply("*", [Fault(429), Fault(503), Reply(TEXT)])

    statuses = [post(server).status_code for _ in range(4)]

    assert statuses == [429, 503, 200, 200]


def test_the_exact_slug_wins_over_a_pattern_and_a_pattern_over_the_star(server):
    server.reply("a/b", Fault(402))
    server.reply("*", Fault(404))
    server.reply("a/*", Fault(403))

    statuses = [post(server, model).status_code for model in ("a/b", "a/c", "d/e")]

    assert statuses == [402, 403, 404]


def test_a_callable_sees_the_request(server):
    def echo(request: Request) -> Reply:
        return Reply(request.body["messages"][0]["content"].upper())

    server.reply("judge", echo)

    assert text(chunks(server, model="judge")) == "HOW HIGH?"


def test_a_script_that_raises_answers_500_and_fails_the_test_at_the_end():
    server = Server()
    server.reply("*", lambda request: next(iter(())))
    with pytest.raises(StopIteration), server:
        post(server)

    assert server.requests[0].status == 500


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("temperature", {"temperature": 0}),
        ("reasoning.effort", {"reasoning": {"effort": "low"}}),
        ("response_format", {"response_format": {"type": "text"}}),
        ("json_schema", {"response_format": {"type": "json_schema"}}),
    ],
)
def test_a_refused_parameter_is_named_in_a_400_and_only_refused_when_sent(server, name, parameters):
    server.reply("*", RefuseParameter(name, then=Reply(TEXT)))

    refused, taken = post(server, **parameters), post(server)

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert name in refused.json()["error"]["message"]


def test_the_analysis_has_the_five_fields_and_names_every_label():
    analysis = json.loads(analysis_json(("A", "B")))

    assert list(analysis) == [
        "consensus",
        "contradictions",
        "partial_coverage",
        "unique_insights",
        "blind_spots",
    ]
    assert [stance["label"] for stance in analysis["contradictions"][0]["stances"]] == ["A", "B"]


# -- streams that go wrong, clients that leave ------------------------------------------------------------


def test_a_disconnect_is_a_reset_after_the_agreed_deltas(server):
    server.reply("*", Broken(Reply(TEXT, chunks=10), after=3, kind="disconnect"))
    received: list[bytes] = []

    with (
        pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)),
        httpx.stream("POST", f"{server.base_url}/chat/completions", json=body()) as response,
    ):
        received.extend(response.iter_raw())

    assert b"".join(received).count(b"\n\n") == 3
    server.wait_closed()
    assert not server.requests[0].finished
    assert not server.requests[0].closed_by_client


def test_a_disconnect_before_the_first_delta_sends_no_response(server):
    server.reply("*", Broken(after=0, kind="disconnect"))

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(server)

    assert server.requests[0].first_byte is None


def test_a_truncated_stream_ends_cleanly_without_finish_reason_and_done(server):
    server.reply("*", Broken(Reply(TEXT, chunks=10), after=3, kind="truncate"))

    stream = events(server)

    assert [json.loads(data)["choices"][0]["finish_reason"] for data in stream] == [None] * 3


def test_a_malformed_line_stands_between_good_ones(server):
    server.reply("*", Broken(Reply(TEXT, chunks=4), after=2, kind="malformed"))

    stream = events(server)

    with pytest.raises(json.JSONDecodeError):
        json.loads(stream[2])
    assert text([json.loads(data) for n, data in enumerate(stream[:-1]) if n != 2]) == TEXT


def test_comments_go_on_during_a_stall(server):
    server.reply("*", Broken(Reply(TEXT, comments=True, comment_every=0.02), after=1, kind="stall", stall=0.2))

    raw = post(server).text

    assert raw.count(": OPENROUTER PROCESSING") >= 11
    assert server.requests[0].finished
    assert server.requests[0].ended - server.requests[0].arrived >= 0.2


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("read", [False, True], ids=["before the first token", "in mid-stream"])
def test_a_client_that_leaves_is_noticed_and_the_server_goes_on(server, reset, read):
    server.reply("slow", Reply(TEXT, first_token=0 if read else 60, gap=60))
    server.reply("*", Reply(TEXT))
    raw = raw_post(body("slow"))
    client = connect(server)
    client.sendall(raw)
    server.wait_open()
    if read:
        client.recv(1)

    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

    closed = server.wait_closed()
    assert [request.model for request in closed] == ["slow"]
    assert closed[0].ended is not None
    assert text(chunks(server)) == TEXT


def test_a_client_that_never_reads_and_leaves_is_noticed(server):
    server.reply("*", Reply("word " * 400_000, chunks=40))
    raw = raw_post(body())

    with connect(server) as client:
        client.sendall(raw)
        server.wait_open()

    assert [request.closed_by_client for request in server.wait_closed()] == [True]


def test_leaving_the_block_does_not_wait_for_open_streams():
    with Server() as server, connect(server) as client:
        server.reply("*", Reply(TEXT, first_token=60))
        client.sendall(raw_post(body()))
        server.wait_open()

    assert [request.finished for request in server.requests] == [False]
    assert server.open_streams == 0


def test_streams_run_side_by_side_and_are_counted(server):
    server.reply("*", Reply(TEXT, first_token=60))
    clients = [connect(server) for _ in range(8)]
    raw = raw_post(body())

    for client in clients:
        client.sendall(raw)
    server.wait_open(8)

    assert server.open_streams == server.most_open_streams == 8
    for client in clients:
        client.close()
    assert len(server.wait_closed()) == 8
    assert server.open_streams == 0


def test_pacing_keeps_to_the_schedule(server):
    server.reply("*", Reply(TEXT, chunks=20, first_token=0.1, gap=0.01))

    post(server)

    request = server.requests[0]
    assert request.first_token - request.arrived >= 0.09
    assert request.ended - request.arrived >= 0.29


# -- HTTP -------------------------------------------------------------------------------------------------


def test_one_connection_carries_many_requests(server):
    server.reply("*", Reply(TEXT))
    url = f"{server.base_url}/chat/completions"

    with httpx.Client() as client:
        answers = [client.post(url, json=body()) for _ in range(3)]
        ports = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(ports) == 1


def test_a_chunked_request_body_is_read(server):
    server.reply("*", Reply(TEXT))
    raw = json.dumps(body()).encode()

    response = httpx.post(f"{server.base_url}/chat/completions", content=iter([raw[:9], raw[9:]]))

    assert response.status_code == 200
    assert server.requests[0].raw == raw


def test_both_prefixes_lead_to_the_same_routes(server):
    bare = server.base_url.replace("/api/v1", "/v1")

    assert httpx.get(f"{bare}/models").json() == httpx.get(f"{server.base_url}/models").json()
    assert [request.path for request in server.requests] == ["/v1/models", "/api/v1/models"]
