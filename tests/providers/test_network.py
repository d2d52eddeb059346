"""Connections that let tokens gather: what is held, what never is, and all that a connection must do besides."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from fusion_magic.providers.chat_completions import ChatCompletions
from fusion_magic.providers.network import AT_ONCE, ENOUGH, MOST, PacedBackend, PacedStream, paced

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TOKEN = b"8\r\ndata: x\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


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


def stream_on(wires: Wires) -> PacedStream:
    """A connection of which the test plays the other side."""
    stream = PacedStream()
    stream.connection_made(wires)
    return stream


async def steps(count: int = 10) -> None:
    """Let the loop go round, for what is to happen without any waiting."""
    for _ in range(count):
        await asyncio.sleep(0)


async def flowing(stream: PacedStream) -> asyncio.Task[bytes]:
    """A reading in the middle of a response that flows fast, so that it lets tokens gather."""
    for _ in range(AT_ONCE):
        stream.data_received(TOKEN)
        assert await stream.read(65_536) == TOKEN
    stream.data_received(TOKEN)
    reading = asyncio.create_task(stream.read(65_536))
    await steps()
    assert not reading.done()
    return reading


# --- what is held, and what is not


def test_tokens_that_come_fast_are_handed_over_together():
    async def run() -> None:
        stream = stream_on(Wires())
        reading = await flowing(stream)
        stream.data_received(TOKEN)
        stream.data_received(TOKEN)
        await steps()

        assert not reading.done()
        assert await reading == 3 * TOKEN

    asyncio.run(run())


@pytest.mark.parametrize(
    "urgent",
    [b"0\r\n\r\n", b"data: [DONE]\n\n", b"e\r\ndata: [DONE]\n\n\r\n", b"half a li", b"x" * ENOUGH + b"\n"],
    ids=["end of the body", "done", "done in a chunk", "part of a line", "much"],
)
def test_what_is_urgent_goes_on_at_once_with_all_before_it(urgent: bytes):
    async def run() -> None:
        stream = stream_on(Wires())
        reading = await flowing(stream)
        stream.data_received(urgent)
        await steps()

        assert reading.done()
        assert reading.result() == TOKEN + urgent

    asyncio.run(run())


def test_a_connection_that_closes_ends_the_pause():
    async def run() -> None:
        stream = stream_on(Wires())
        reading = await flowing(stream)
        stream.eof_received()
        await steps()

        assert (reading.done(), await stream.read(10)) == (True, b"")

    asyncio.run(run())


def test_the_first_readings_of_each_response_wait_for_nothing():
    async def run() -> None:
        stream = stream_on(Wires())
        await (await flowing(stream))
        await stream.write(b"GET / HTTP/1.1\r\n\r\n")
        for _ in range(AT_ONCE):
            stream.data_received(TOKEN)
            reading = asyncio.create_task(stream.read(65_536))
            await steps()
            assert reading.done()

    asyncio.run(run())


# --- all that a connection must do besides


def test_more_than_it_can_hold_is_not_read_until_there_is_room():
    async def run() -> None:
        wires = Wires()
        stream = stream_on(wires)
        stream.data_received(b"x" * (MOST + 1))
        assert wires.asked == ["pause"]

        while len(await stream.read(65_536)) == 65_536 and wires.asked == ["pause"]:
            pass
        assert wires.asked == ["pause", "resume"]

    asyncio.run(run())


def test_a_sender_waits_while_the_other_side_does_not_read():
    async def run() -> None:
        wires = Wires()
        stream = stream_on(wires)
        stream.pause_writing()
        writing = asyncio.create_task(stream.write(b"much"))
        await steps()
        assert not writing.done()

        stream.resume_writing()
        await writing
        assert wires.sent == b"much"

    asyncio.run(run())


def test_a_lost_connection_is_an_error_for_who_reads_and_who_writes():
    async def run() -> None:
        stream = stream_on(Wires())
        stream.pause_writing()
        writing = asyncio.create_task(stream.write(b"much"))
        await steps()
        stream.connection_lost(ConnectionResetError("gone"))

        with pytest.raises(httpcore.WriteError, match="gone"):
            await writing
        with pytest.raises(httpcore.ReadError, match="gone"):
            await stream.read(10)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"more")

    asyncio.run(run())


def test_timeouts_are_those_of_httpcore():
    async def run() -> None:
        stream = stream_on(Wires())
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(10, timeout=0.01)
        stream.pause_writing()
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(b"much", timeout=0.01)

    asyncio.run(run())


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
            writer.write(TOKEN)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    writer.close()


def test_nothing_is_lost_between_the_packets_and_connections_are_used_again():
    async def run() -> None:
        async with serving(answer) as port, paced(httpx.AsyncClient()) as client:
            for _ in range(3):
                response = await client.get(f"http://127.0.0.1:{port}/")
                assert response.content == b"data: x\n" * 200
            assert len(client._transport._pool.connections) == 1  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_connection_that_the_server_has_closed_is_not_used_again():
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with serving(once) as port, paced(httpx.AsyncClient()) as client:
            for _ in range(3):
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "ok"
                await asyncio.sleep(0.02)  # the server's FIN comes

    asyncio.run(run())


def test_nobody_there_is_a_connect_error():
    async def run() -> None:
        async with serving(answer) as port:
            pass
        async with paced(httpx.AsyncClient()) as client:
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
        async with serving(answer, tls[0]) as port, paced(httpx.AsyncClient(verify=tls[1])) as client:
            for _ in range(2):
                assert (await client.get(f"https://127.0.0.1:{port}/")).content == b"data: x\n" * 200

    asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_is_a_connect_error(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    async def run() -> None:
        async with serving(answer, tls[0]) as port, paced(httpx.AsyncClient()) as client:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(f"https://127.0.0.1:{port}/")

    asyncio.run(run())


def test_an_encrypted_connection_goes_through_a_proxy(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    seen: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        seen.append(asked.split()[0])
        host, _, port = asked.split()[1].decode().partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async def run() -> None:
        async with (
            serving(answer, tls[0]) as port,
            serving(tunnel) as proxy,
            paced(httpx.AsyncClient(verify=tls[1], proxy=f"http://127.0.0.1:{proxy}")) as client,
        ):
            assert (await client.get(f"https://127.0.0.1:{port}/")).content == b"data: x\n" * 200

    asyncio.run(run())
    assert seen == [b"CONNECT"]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_every_connection_of_the_client_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    async def run() -> None:
        client = ChatCompletions()
        http = client._http
        pools = [transport._pool for transport in (http._transport, *http._mounts.values()) if transport]  # type: ignore[attr-defined]

        assert len(pools) >= 2
        assert all(isinstance(pool._network_backend, PacedBackend) for pool in pools)
        await client.aclose()

    asyncio.run(run())
