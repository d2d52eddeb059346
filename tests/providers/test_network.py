"""Connections that let tokens gather: what is held, what never is, and all that a connection must do besides."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_magic.providers.connection import AT_ONCE, ENOUGH, LIMIT_OF_HEAD, MOST, Connection
from fusion_magic.providers.network import KEPT, PacedTransport, plain_client

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TOKEN = b"data: x\n\n"
CHUNK = b"9\r\ndata: x\n\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = httpx.Request("POST", "http://127.0.0.1:1/", json={"a": 1})


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Wires(asyncio.Transport):
    """A transport that only notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.sent = b""

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.asked.append("close")

    def abort(self) -> None:
        self.asked.append("abort")


async def steps(count: int = 10) -> None:
    """Let the loop go round, for what is to happen without any waiting."""
    for _ in range(count):
        await asyncio.sleep(0)


async def asked(connection: Connection, head: bytes = HEAD) -> AsyncIterator[bytes]:
    """The pieces of a body that is coming; the test plays the other side."""
    asking = asyncio.create_task(connection.ask(ASKED))
    await steps()
    connection.data_received(head)
    await asking
    return connection.body(None)


def on_wires() -> tuple[Connection, Wires]:
    connection, wires = Connection(), Wires()
    connection.connection_made(wires)
    return connection, wires


async def flowing(connection: Connection) -> tuple[asyncio.Future[bytes], AsyncIterator[bytes]]:
    """A reading in the middle of a body that flows fast, so that it lets tokens gather."""
    pieces = await asked(connection)
    for _ in range(AT_ONCE):
        connection.data_received(CHUNK)
        assert await anext(pieces) == TOKEN
    connection.data_received(CHUNK)
    reading = asyncio.ensure_future(anext(pieces))
    await steps()
    assert not reading.done()
    return reading, pieces


# --- what is held, and what is not


def test_tokens_that_come_fast_are_handed_over_together():
    async def run() -> None:
        connection, _ = on_wires()
        reading, _ = await flowing(connection)
        connection.data_received(CHUNK)
        connection.data_received(CHUNK)
        await steps()

        assert not reading.done()
        assert await reading == 3 * TOKEN

    asyncio.run(run())


@pytest.mark.parametrize(
    ("urgent", "text"),
    [
        (b"0\r\n\r\n", b""),
        (chunk(b"data: [DONE]\n\n"), b"data: [DONE]\n\n"),
        (chunk(b"data: [DONE]\r\n\r\n"), b"data: [DONE]\r\n\r\n"),
        (b"9\r\nhalf a li", b"half a li"),
        (chunk(b"x" * ENOUGH + b"\n"), b"x" * ENOUGH + b"\n"),
    ],
    ids=["end of the body", "done", "done with carriage returns", "part of a line", "much"],
)
def test_what_is_urgent_goes_on_at_once_with_all_before_it(urgent: bytes, text: bytes):
    async def run() -> None:
        connection, _ = on_wires()
        reading, _ = await flowing(connection)
        connection.data_received(urgent)
        await steps()

        assert reading.done()
        assert reading.result() == TOKEN + text

    asyncio.run(run())


def test_a_connection_that_closes_ends_the_pause_and_the_body_is_not_whole():
    async def run() -> None:
        connection, _ = on_wires()
        reading, pieces = await flowing(connection)
        connection.connection_lost(None)
        await steps()

        assert reading.done()
        with pytest.raises(httpx.RemoteProtocolError, match="before the response was whole"):
            await anext(pieces)

    asyncio.run(run())


def test_the_first_readings_of_each_response_wait_for_nothing():
    async def run() -> None:
        connection, _ = on_wires()
        reading, _ = await flowing(connection)
        connection.data_received(b"0\r\n\r\n")
        await reading
        assert connection.finished()

        pieces = await asked(connection)
        for _ in range(AT_ONCE):
            connection.data_received(CHUNK)
            reading = asyncio.ensure_future(anext(pieces))
            await steps()
            assert reading.done()

    asyncio.run(run())


# --- all that a connection must do besides


def test_more_than_it_can_hold_is_not_read_until_there_is_room():
    async def run() -> None:
        connection, wires = on_wires()
        pieces = await asked(connection)
        connection.data_received(chunk(b"x" * (MOST + 1)))
        assert wires.asked == ["pause"]

        assert len(await anext(pieces)) == MOST + 1
        assert wires.asked == ["pause", "resume"]

    asyncio.run(run())


def test_a_sender_waits_while_the_other_side_does_not_read():
    async def run() -> None:
        connection, wires = on_wires()
        connection.pause_writing()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        connection.resume_writing()
        await steps()
        assert wires.sent.endswith(b'{"a":1}')
        connection.data_received(HEAD)

        assert (await asking).status == 200

    asyncio.run(run())


def test_an_answer_that_comes_before_all_is_sent_is_read():
    async def run() -> None:
        connection, _ = on_wires()
        connection.pause_writing()
        asking = asyncio.create_task(connection.ask(httpx.Request("POST", "http://h/", content=b"x" * 10 * ENOUGH)))
        await steps()
        connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

        assert (await asking).status == 413
        assert [piece async for piece in connection.body(None)] == [b"no"]
        assert not connection.finished()

    asyncio.run(run())


def test_a_connection_on_which_part_of_a_request_was_left_out_is_not_used_again():
    async def run() -> None:
        connection, _ = on_wires()
        connection.pause_writing()
        sent = httpx.Request("POST", "http://h/", files={"a": b"x" * ENOUGH, "b": b"x" * ENOUGH})
        asking = asyncio.create_task(connection.ask(sent))
        await steps()
        connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        connection.resume_writing()
        await asking
        assert [piece async for piece in connection.body(None)] == [b"no"]

        assert not connection.finished()

    asyncio.run(run())


def test_a_server_that_hangs_up_while_it_takes_nothing_is_not_waited_for():
    async def run() -> None:
        connection, _ = on_wires()
        connection.pause_writing()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        connection.eof_received()  # what is still to be sent holds `connection_lost` back
        await steps()

        assert asking.done()
        with pytest.raises(httpx.RemoteProtocolError, match="before the response was whole"):
            await asking
        assert not connection.is_open

    asyncio.run(run())


def test_a_lost_connection_is_an_error_for_who_waits():
    async def run() -> None:
        connection, _ = on_wires()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        connection.connection_lost(ConnectionResetError("gone"))

        with pytest.raises(httpx.ReadError, match="gone"):
            await asking
        assert not connection.is_open

    asyncio.run(run())


def test_timeouts_are_those_of_httpx():
    async def run() -> None:
        times = {"timeout": {"read": 0.01, "write": 0.01}}
        connection, _ = on_wires()
        with pytest.raises(httpx.ReadTimeout):
            await connection.ask(httpx.Request("GET", "http://h/", extensions=times))
        connection.pause_writing()
        with pytest.raises(httpx.WriteTimeout):
            await connection.ask(httpx.Request("GET", "http://h/", extensions=times))
        connection.resume_writing()
        await asked(connection)
        with pytest.raises(httpx.ReadTimeout):
            await anext(connection.body(0.01))

    asyncio.run(run())


NOT_SENT = {
    "a line break": httpx.Request("GET", "http://h/", headers={"x": "a\r\nb: c"}),
    "a zero": httpx.Request("GET", "http://h/", headers={"x": "a\0"}),
    "no length": httpx.Request("POST", "http://h/", headers={"transfer-encoding": "chunked"}),
}


@pytest.mark.parametrize("request_", NOT_SENT.values(), ids=NOT_SENT)
def test_what_would_be_another_request_is_not_sent(request_: httpx.Request):
    async def run() -> None:
        connection, wires = on_wires()
        with pytest.raises(httpx.LocalProtocolError):
            await connection.ask(request_)
        assert wires.sent == b""

    asyncio.run(run())


# --- every way of sending a response

WHOLE = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", b"yes", True),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n2\r\nes\r\n0\r\n\r\n", b"yes", True),
    "a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"yes",
        True,
    ),
    "chunks and a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
        b"yes",
        True,
    ),
    "room for longer chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3   \r\nyes\r\n0   \r\n\r\n",
        b"yes",
        True,
    ),
    "hints before it": (
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
        b"yes",
        True,
    ),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nyes", b"yes", True),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "its last word": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes", b"yes", False),
    "the older form": (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes", b"yes", False),
    "more than was asked for": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyesHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"yes",
        False,
    ),
    "nonsense after it": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes???", b"yes", False),
}


@pytest.mark.parametrize(("sent", "body", "stays"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_every_response_is_read_however_it_is_cut(sent: bytes, body: bytes, stays: bool, cut: int):
    async def run() -> None:
        connection, _ = on_wires()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        for at in range(0, len(sent), cut):
            connection.data_received(sent[at : at + cut])
        incoming = await asking

        assert incoming.status in (200, 204)
        assert b"".join([piece async for piece in connection.body(None)]) == body
        assert b"link" not in {name.lower() for name, _ in incoming.headers}
        assert connection.finished() is stays

    asyncio.run(run())


def test_a_body_without_a_length_ends_with_its_connection():
    async def run() -> None:
        connection, _ = on_wires()
        pieces = await asked(connection, b"HTTP/1.1 200 OK\r\n\r\nyes")
        connection.connection_lost(None)

        assert [piece async for piece in pieces] == [b"yes"]
        assert not connection.finished()

    asyncio.run(run())


def test_a_head_request_has_no_body():
    async def run() -> None:
        connection, _ = on_wires()
        asking = asyncio.create_task(connection.ask(httpx.Request("HEAD", "http://h/")))
        await steps()
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        await asking

        assert [piece async for piece in connection.body(None)] == []

    asyncio.run(run())


NO_HTTP = {
    "something else": b"SSH-2.0-OpenSSH_9\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (LIMIT_OF_HEAD + 1),
    "another protocol": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_response_is_an_error(sent: bytes):
    async def run() -> None:
        connection, _ = on_wires()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        connection.data_received(sent)

        with pytest.raises(httpx.RemoteProtocolError):
            await asking

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_the_body_is_what_was_sent_wherever_packets_end(pieces: list[bytes], cuts: list[int]):
    async def run() -> bytes:
        connection, _ = on_wires()
        asking = asyncio.create_task(connection.ask(ASKED))
        await steps()
        rest, turn = HEAD + b"".join(map(chunk, pieces)) + b"0\r\n\r\n", 0
        while rest:
            cut = cuts[turn % len(cuts)]
            connection.data_received(rest[:cut])
            rest, turn = rest[cut:], turn + 1
        await asking
        return b"".join([piece async for piece in connection.body(None)])

    assert asyncio.run(run()) == b"".join(pieces)


# --- on real sockets


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server's port; every connection is closed at the end."""
    handlers: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        handlers.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await asyncio.sleep(0.01)  # aborted transports close their sockets in the next rounds of the loop


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Two hundred tokens for each request, until the client hangs up."""
    while (await reader.readline()).strip():
        while (await reader.readline()).strip():
            pass
        writer.write(HEAD)
        for _ in range(200):
            writer.write(CHUNK)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    writer.close()


def test_nothing_is_lost_between_the_packets_and_connections_are_used_again():
    ports: set[int] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        await answer(reader, writer)

    async def run() -> None:
        async with serving(noted) as port, plain_client(PacedTransport()) as client:
            for _ in range(3):
                response = await client.get(f"http://127.0.0.1:{port}/")
                assert response.content == TOKEN * 200

    asyncio.run(run())
    assert len(ports) == 1


def test_of_many_connections_only_some_are_kept():
    left = asyncio.Semaphore(0)

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)  # ends when the client hangs up
        left.release()

    async def run() -> None:
        async with serving(counted) as port, plain_client(PacedTransport()) as client:
            await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/") for _ in range(KEPT + 3)))
            async with asyncio.timeout(20):
                for _ in range(3):
                    await left.acquire()
            await steps()
            assert left.locked()

    asyncio.run(run())


def until_left(sent: bytes, left: asyncio.Event) -> Serve:
    """Sends this for a request, and waits until the client hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        assert await reader.read() == b""
        left.set()

    return serve


def test_a_body_that_is_left_closes_its_connection():
    ended = asyncio.Event()

    async def run() -> None:
        async with serving(until_left(HEAD + CHUNK, ended)) as port, plain_client(PacedTransport()) as client:
            async with (
                client.stream("GET", f"http://127.0.0.1:{port}/") as response,
                aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as pieces,
            ):
                assert await anext(pieces) == TOKEN
            async with asyncio.timeout(20):
                await ended.wait()

    asyncio.run(run())


def test_a_response_that_ends_after_all_was_closed_closes_its_connection():
    ended = asyncio.Event()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def run() -> None:
        transport = PacedTransport()
        async with serving(until_left(whole, ended)) as port:
            response = await transport.handle_async_request(httpx.Request("GET", f"http://127.0.0.1:{port}/"))
            await transport.aclose()
            assert await response.aread() == b"ok"

            async with asyncio.timeout(20):
                await ended.wait()

    asyncio.run(run())


def test_a_body_that_is_left_ends_for_the_server_although_a_forked_child_holds_the_socket():
    ended = asyncio.Event()

    async def run() -> None:
        async with serving(until_left(HEAD + CHUNK, ended)) as port, plain_client(PacedTransport()) as client:
            async with client.stream("GET", f"http://127.0.0.1:{port}/"):
                (connection,) = (each for each in gc.get_objects() if isinstance(each, Connection) and each.is_open)
                assert connection._transport
                inherited = os.dup(connection._transport.get_extra_info("socket").fileno())
            try:
                async with asyncio.timeout(20):
                    await ended.wait()
            finally:
                os.close(inherited)

    asyncio.run(run())


def test_a_file_is_sent_whole():
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        got.append(await reader.readexactly(int(length.partition(b":")[2])))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async def run() -> None:
        async with serving(take) as port, plain_client(PacedTransport()) as client:
            sent = {"file": ("a.jsonl", b"x" * 1_000_000), "other": ("b", b"y")}
            assert (await client.post(f"http://127.0.0.1:{port}/", files=sent)).text == "ok"

    asyncio.run(run())
    assert b"x" * 1_000_000 in got[0]


def test_a_connection_that_the_server_has_closed_is_not_used_again():
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with serving(once) as port, plain_client(PacedTransport()) as client:
            for _ in range(3):
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "ok"
                await asyncio.sleep(0.02)  # the server's FIN comes

    asyncio.run(run())


def test_nobody_there_is_a_connect_error():
    async def run() -> None:
        async with serving(answer) as port:
            pass
        async with plain_client(PacedTransport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{port}/")

    asyncio.run(run())


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context for a certificate of our own."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = _certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_an_encrypted_connection_brings_the_same(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    async def run() -> None:
        async with serving(answer, tls[0]) as port, httpx.AsyncClient(transport=PacedTransport(tls[1])) as client:
            for _ in range(2):
                assert (await client.get(f"https://127.0.0.1:{port}/")).content == TOKEN * 200

    asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_is_a_connect_error(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    async def run() -> None:
        async with serving(answer, tls[0]) as port, plain_client(PacedTransport()) as client:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(f"https://127.0.0.1:{port}/")

    asyncio.run(run())


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/", "http:///v1"])
def test_an_address_that_is_none_of_the_web_s_is_said(address: str):
    async def run() -> None:
        async with plain_client(PacedTransport()) as client:
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get(address)

    asyncio.run(run())
