"""The client against a real server on loopback, and against transports that say what no server would."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from fusion_magic import errors
from fusion_magic.endpoints import Endpoint, builtin_endpoints
from fusion_magic.keys import store_key
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from fusion_magic.providers.asked import body_of
from fusion_magic.providers.chat_completions import ChatCompletions, require_key
from servers.openrouter import Broken, Fault, Reply, Server, llama_cpp, lm_studio, ollama

TEXT = "Zwölf Boxkämpfer jagen 🦊 quer über den großen Sylter Deich, 日本語 too."
KEY = SecretStr("sk-test-0123456789abcdef")
REMOTE = Endpoint(name="openrouter", base_url="http://models.invalid/api/v1")
MESSAGES = ({"role": "user", "content": "How high?"},)
DONE = "data: [DONE]\n\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply(TEXT))
        yield running


def request(at: Server | Endpoint = REMOTE, name: str = "openrouter", **more: Any) -> ChatRequest:
    endpoint = Endpoint(name=name, base_url=at.base_url) if isinstance(at, Server) else at
    return replace(ChatRequest(endpoint, "openai/gpt-5.5", MESSAGES, 100, key=KEY), **more)


def ask(asked: ChatRequest, transport: httpx.AsyncBaseTransport | None = None) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        client = ChatCompletions(transport)
        try:
            return [chunk async for chunk in client.stream(asked)]
        finally:
            await client.aclose()

    return asyncio.run(collect())


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def event(delta: Any = None, finish: str | None = None, **more: Any) -> str:
    return f"data: {json.dumps({'choices': [{'delta': delta or {}, 'finish_reason': finish}], **more})}\n\n"


def says(body: str | bytes, kind: str = "text/event-stream", **headers: str) -> httpx.MockTransport:
    data = body.encode() if isinstance(body, str) else body
    return httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind, **headers}, content=data))


def fails(error: Exception, before: str = "") -> httpx.MockTransport:
    class Torn(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield before.encode()
            raise error

    return httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Torn())
    )


def raises(error: Exception) -> httpx.MockTransport:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(answer)


# -- answers that are whole -------------------------------------------------------------------------------

WHOLE = {
    "plain": Reply(TEXT),
    "one delta a character": Reply(TEXT, chunks=10_000),
    "comments": Reply(TEXT, comments=True, comment_every=0.01, gap=0.015),
    "comments and ids": Reply(TEXT, comments=True, comment_every=0.01, gap=0.015, unknown_fields=True),
    "unknown fields": Reply(TEXT, unknown_fields=True),
    "crlf": Reply(TEXT, crlf=True),
    "single bytes": Reply(TEXT, split_bytes=1, comments=True),
    "seven bytes, crlf": Reply(TEXT, split_bytes=7, crlf=True),
    "null first": Reply(TEXT, null_first_content=True),
    "blank finish": Reply(TEXT, blank_finish=True),
    "usage beside a choice": Reply(TEXT, usage_with_choice=True),
    "no usage": Reply(TEXT, usage=None),
    "no [DONE]": Reply(TEXT, done=False),
    "one JSON body": Reply(TEXT, plain=True),
    "llama.cpp": llama_cpp(TEXT),
    "ollama": ollama(TEXT),
    "lm studio": lm_studio(TEXT),
}


@pytest.mark.parametrize("reply", WHOLE.values(), ids=WHOLE)
def test_every_way_of_sending_a_whole_answer_gives_its_text_and_finish(server, reply):
    server.reply("*", reply)

    chunks = ask(request(server))

    assert text(chunks) == TEXT
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["stop"]


def test_usage_cost_served_model_and_id_are_the_ones_that_were_sent(server):
    server.reply("*", Reply(TEXT, served="openai/gpt-5.5-20260423", cost=0.25))

    chunks = ask(request(server))

    sent = server.requests[0]
    assert sent.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == sent.usage["completion_tokens"]
    assert chunks[-1].cost == 0.25
    assert {chunk.served for chunk in chunks} == {"openai/gpt-5.5-20260423"}
    assert {chunk.request_id for chunk in chunks} == {sent.id}


def test_other_servers_are_asked_for_usage_because_they_send_none_by_themselves(server):
    server.reply("*", ollama(TEXT))

    assert ask(request(server, name="ollama"))[-1].usage is not None


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("plain", [False, True])
def test_reasoning_comes_apart_from_the_text(server, key, plain):
    server.reply("*", Reply(TEXT, reasoning="First the tide.", reasoning_key=key, plain=plain))

    chunks = ask(request(server))

    assert (text(chunks), "".join(chunk.reasoning for chunk in chunks)) == (TEXT, "First the tide.")


@pytest.mark.parametrize("plain", [False, True])
def test_citations_and_tool_calls_arrive(server, plain):
    calls = [("call_1", "search", '{"query": "tide"}'), ("call_2", "read", '{"url": "https://a.b/c"}')]
    cited = {"url": "https://example.org/a", "title": "A", "content": "…", "start_index": 0, "end_index": 4}
    server.reply("*", Reply(TEXT, annotations=[cited], tool_calls=calls, plain=plain))

    chunks = ask(request(server))

    assert [source.url for chunk in chunks for source in chunk.sources] == ["https://example.org/a"]
    assert [(c.id, c.name, c.arguments) for chunk in chunks for c in chunk.tool_calls] == calls


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_stopped_says_so(server, finish):
    server.reply("*", Reply(TEXT, finish=finish))

    assert [chunk.finish for chunk in ask(request(server)) if chunk.finish] == [finish]


@pytest.mark.parametrize("kind", ["text/plain", "", "application/octet-stream", "TEXT/EVENT-STREAM; charset=latin-1"])
def test_an_event_stream_is_read_whatever_its_content_type(kind):
    assert text(ask(request(), says(event({"content": TEXT}, "stop") + DONE, kind))) == TEXT


def test_what_comes_together_is_told_together_and_nothing_else_is_lost():
    pieces = [event({"reasoning": "Hm."}), *(event({"content": letter}) for letter in TEXT)]
    usage = event(usage={"prompt_tokens": 1, "completion_tokens": 2})

    chunks = ask(request(), says("".join([*pieces, event({"content": "!"}, "stop"), usage, DONE])))

    assert text(chunks) == TEXT + "!"
    assert "".join(chunk.reasoning for chunk in chunks) == "Hm."
    assert [bool(chunk.finish) for chunk in chunks] == [False] * (len(chunks) - 2) + [True, False]
    assert len(chunks) < len(pieces) / 5


def test_what_came_before_an_error_in_the_same_packet_is_told():
    stream = event({"content": "a"}) + event({"content": "b"}) + "data: {oops\n\n"

    async def collect() -> str:
        chunks = ChatCompletions(says(stream)).stream(request())
        told = (await anext(chunks)).text
        with pytest.raises(errors.StreamBroken):
            await anext(chunks)
        return told

    assert asyncio.run(collect()) == "ab"


def test_a_byte_that_is_no_text_costs_one_character():
    stream = event({"content": "a?b"}, "stop").encode().replace(b"?", b"\xff")

    assert text(ask(request(), says(stream))) == "a\ufffdb"


def test_a_byte_order_mark_does_not_swallow_the_first_piece():
    stream = b"\xef\xbb\xbf" + (event({"content": "a"}) + event({"content": "b"}, "stop")).encode()

    assert text(ask(request(), says(stream))) == "ab"


def test_a_compressed_stream_is_read():
    packed = gzip.compress((event({"content": TEXT}, "stop") + DONE).encode())

    assert text(ask(request(), says(packed, **{"content-encoding": "gzip"}))) == TEXT


def test_a_line_of_a_megabyte_is_one_chunk(server):
    long = "x" * 1_000_000
    server.reply("*", Reply(long, chunks=1))

    assert text(ask(request(server))) == long


def test_a_json_body_with_a_null_error_is_an_answer():
    whole = {"error": None, "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}

    assert text(ask(request(), says(json.dumps(whole), "application/json; charset=utf-8"))) == "Yes."


LATE = {
    "an error": event(error={"code": 502, "message": "late"}),
    "an error choice": event(finish="error"),
    "no JSON": "data: {oops\n\n",
    "an empty event": "event: ping\ndata:\n\n",
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_a_complaint_after_the_complete_answer_takes_nothing_away(late):
    assert text(ask(request(), says(event({"content": "Yes."}, "stop") + late))) == "Yes."


def test_a_connection_that_breaks_after_the_complete_answer_takes_nothing_away():
    transport = fails(httpx.ReadError("gone"), event({"content": "Yes."}, "stop"))

    assert text(ask(request(), transport)) == "Yes."


# -- answers that are not whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed"])
@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_that_does_not_end_well_is_broken_and_may_be_tried_again(server, kind, after):
    server.reply("*", Broken(Reply(TEXT), after=after, kind=kind))

    with pytest.raises(errors.StreamBroken) as caught:
        ask(request(server))

    assert caught.value.retryable


TORN = {
    "no finish reason": event({"content": "a"}) + DONE,
    "broken off": event({"content": "a"}, "error") + DONE,
    "aborted": event({"content": "a"}, "abort") + DONE,
    "nothing": "",
    "comments alone": ": OPENROUTER PROCESSING\n\n" * 50,
    "[DONE] alone": DONE,
    "a list": "data: [1]\n\n",
    "deep": f"data: {'[' * 100_000}\n\n",
}


@pytest.mark.parametrize("stream", TORN.values(), ids=TORN)
def test_an_answer_without_an_end_is_never_taken_for_a_whole_one(stream):
    with pytest.raises(errors.StreamBroken) as caught:
        ask(request(), says(stream))

    assert caught.value.retryable


def test_what_came_before_the_break_was_given_out():
    async def collect() -> Chunk:
        chunks = ChatCompletions(fails(httpx.ReadError("x"), event({"content": "a"}))).stream(request())
        first = await anext(chunks)
        with pytest.raises(errors.StreamBroken):
            await anext(chunks)
        return first

    assert asyncio.run(collect()).text == "a"


def test_a_stream_that_can_t_be_unpacked_is_broken():
    with pytest.raises(errors.StreamBroken, match="unpacked"):
        ask(request(), says(b"no gzip", **{"content-encoding": "gzip"}))


def test_a_web_page_is_no_answer_and_is_not_asked_for_again():
    with pytest.raises(errors.StreamBroken, match="/v1") as caught:
        ask(request(), says("<html>", "text/html; charset=utf-8"))

    assert not caught.value.retryable


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("code", "kind"), [(429, errors.RateLimited), ("server_error", errors.RequestRefused)])
def test_an_error_in_mid_answer_is_that_error(server, plain, code, kind):
    server.reply("*", Broken(Reply(TEXT, plain=plain), after=2, kind="error", error={"code": code, "message": "Off"}))

    with pytest.raises(kind, match="Off") as caught:
        ask(request(server))

    assert caught.value.retryable


def test_an_error_after_a_choice_that_says_error_keeps_its_words():
    stream = event({"content": "a"}, "error") + event(error={"code": 402, "message": "No credit"})

    with pytest.raises(errors.CreditsExhausted, match="No credit"):
        ask(request(), says(stream))


@pytest.mark.parametrize(
    "fault", [Fault(402), Fault(404, echo_key=True), Fault(503, retry_after=0.5), Fault(502, body=b"<html>")]
)
def test_an_error_status_is_raised_with_its_number_and_without_the_key(server, fault):
    server.reply("*", fault)

    with pytest.raises(errors.RequestRefused) as caught:
        ask(request(server))

    assert caught.value.status_code == fault.status
    assert caught.value.retry_after == fault.retry_after
    assert KEY.get_secret_value() not in str(caught.value)


def test_an_error_body_that_is_torn_leaves_its_status():
    class Torn(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"error":'
            raise httpx.ReadError("gone")

    with pytest.raises(errors.CreditsExhausted):
        ask(request(), httpx.MockTransport(lambda _: httpx.Response(402, stream=Torn())))


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere():
    asked: list[httpx.URL] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url)
        return httpx.Response(307, headers={"location": "https://elsewhere.example/v1"})

    with pytest.raises(errors.RequestRefused, match=r"elsewhere\.example") as caught:
        ask(request(), httpx.MockTransport(answer))

    assert len(asked) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("raised", "kind", "retryable"),
    [
        (httpx.ConnectError("refused"), errors.EndpointUnreachable, True),
        (httpx.ProxyError("407"), errors.EndpointUnreachable, True),
        (httpx.ConnectTimeout("slow"), errors.EndpointUnreachable, True),
        (httpx.ReadTimeout("slow"), errors.CallTimeout, True),
        (httpx.RemoteProtocolError("gone"), errors.StreamBroken, True),
        (httpx.WriteError("gone"), errors.StreamBroken, True),
        (httpx.UnsupportedProtocol("what"), errors.EndpointUnreachable, False),
        (httpx.LocalProtocolError("what"), errors.EndpointUnreachable, False),
        (httpx.InvalidURL("what"), errors.EndpointUnreachable, False),
    ],
)
def test_each_failure_of_the_network_is_one_of_ours(raised, kind, retryable):
    with pytest.raises(kind) as caught:
        ask(request(), raises(raised))

    assert type(caught.value) is kind
    assert caught.value.retryable is retryable
    assert "models.invalid" in str(caught.value)


def test_a_server_that_does_not_run_is_named():
    with pytest.raises(errors.EndpointUnreachable, match="is the ollama server running"):
        ask(request(Endpoint(name="ollama", base_url="http://127.0.0.1:9/v1")))


# -- closing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["client", "providers"])
def test_closing_the_iterator_closes_the_connection_before_it_returns(server, through):
    server.reply("*", Reply(TEXT, chunks=20, gap=5))

    async def begin_and_leave() -> None:
        client = ChatCompletions()
        source = client if through == "client" else Providers(client)
        async with aclosing(source.stream(request(server))) as chunks:
            await anext(chunks)
        await asyncio.to_thread(server.wait_closed, 2)
        await client.aclose()

    asyncio.run(begin_and_leave())

    assert [closed.model for closed in server.wait_closed()] == ["openai/gpt-5.5"]


def test_cancelling_the_task_closes_the_connection_before_the_first_token(server):
    server.reply("*", Reply(TEXT, first_token=30))

    async def begin_and_cancel() -> None:
        client = ChatCompletions()

        async def wait() -> None:
            async for _ in client.stream(request(server)):
                pass

        task = asyncio.create_task(wait())
        await asyncio.to_thread(server.wait_open)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_closed, 2)
        await client.aclose()

    asyncio.run(begin_and_cancel())

    assert len(server.wait_closed()) == 1


def test_an_endless_stream_of_comments_ends_when_its_reader_is_cancelled(server):
    server.reply("*", Reply(TEXT, first_token=30, comments=True, comment_every=0.001))

    async def give_up() -> None:
        client = ChatCompletions()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(client.stream(request(server))), 0.1)
        await client.aclose()

    asyncio.run(give_up())

    assert len(server.wait_closed(2)) == 1


def test_a_call_that_ended_leaves_its_connection_to_the_next():
    ports: list[int] = []
    stream = (event({"content": "a"}, "stop") + DONE).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            ports.append(writer.get_extra_info("peername")[1])
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(stream), stream))
            await writer.drain()
            await asyncio.sleep(0)  # the end of the body comes in a packet of its own
            writer.write(b"0\r\n\r\n")

    async def twice() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        listener = await asyncio.start_server(connected, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        client = ChatCompletions()
        for _ in range(2):
            asked = request(Endpoint(name="vllm", base_url=address))
            assert [chunk.finish async for chunk in client.stream(asked)] == ["stop"]
        await client.aclose()
        listener.close()

    asyncio.run(twice())

    assert len(ports) == 2
    assert len(set(ports)) == 1


def test_a_server_that_keeps_the_stream_open_after_done_holds_nobody_up():
    class Lingering(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield (event({"content": "a"}, "stop") + DONE).encode()
            await asyncio.Event().wait()

    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Lingering())
    )

    assert text(ask(request(), transport)) == "a"


# -- what is sent -----------------------------------------------------------------------------------------


def test_the_key_goes_into_the_authorization_header_and_nowhere_else(server):
    ask(request(server))

    sent = server.requests[0]
    assert sent.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"
    others = [value for name, value in sent.headers.items() if name != "authorization"]
    assert KEY.get_secret_value() not in " ".join([*others, sent.path, sent.raw.decode()])


def test_recursion_and_attribution_headers_go_to_openrouter_only(server):
    ask(request(server))
    ask(request(server, name="vllm"))

    to_openrouter, to_vllm = (sent.headers for sent in server.requests)
    ours = {"x-openrouter-fusion-depth", "http-referer", "x-openrouter-title"}
    assert ours <= to_openrouter.keys()
    assert not ours & to_vllm.keys()


def test_an_endpoint_without_a_key_gets_no_authorization(server):
    ask(request(server, name="vllm", key=None))

    assert "authorization" not in server.requests[0].headers


def test_openrouter_base_url_says_where_openrouter_is(server, monkeypatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url + "/")
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY.get_secret_value())

    ask(request(builtin_endpoints()["openrouter"], key=None))

    assert server.requests[0].path == "/api/v1/chat/completions"
    assert server.requests[0].headers["authorization"].endswith(KEY.get_secret_value())


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "effort": {"effort": "high"},
    "private": {"private": True},
    "seed and temperature": {"seed": 7, "temperature": 0.3},
    "session": {"session": "run-1"},
    "format": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "analysis", "strict": True, "schema": {"type": "object"}},
        }
    },
}


@pytest.mark.parametrize("more", VARIANTS.values(), ids=VARIANTS)
def test_requests_are_valid_by_openrouter_s_schema(server, shared, schema, more):
    document = json.loads((shared / "data" / "openrouter" / "openapi-fusion.json").read_text(encoding="utf-8"))

    ask(request(server, **more))

    body = server.requests[0].body
    schema(body, "ChatRequest")
    assert body["stream"] is True
    assert body["max_completion_tokens"] == 100
    assert set(body) <= document["components"]["schemas"]["ChatRequest"]["properties"].keys()


def test_privacy_and_effort_are_asked_for_in_openrouter_s_words():
    body = body_of(request(effort="low", private=True))

    assert body["provider"] == {"data_collection": "deny", "zdr": True}
    assert body["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(("name", "limit"), [("openai", "max_completion_tokens"), ("vllm", "max_tokens")])
def test_other_servers_get_the_limit_by_the_name_they_know(name, limit):
    body = body_of(request(Endpoint(name=name, base_url="http://h/v1"), effort="low", private=True))

    assert body[limit] == 100
    assert body["reasoning_effort"] == "low"
    assert "provider" not in body


def test_a_seed_of_zero_and_a_temperature_of_zero_are_sent():
    body = body_of(request(seed=0, temperature=0.0))

    assert (body["seed"], body["temperature"]) == (0, 0.0)


# -- proxies ----------------------------------------------------------------------------------------------


@contextmanager
def proxy(answer: bytes) -> Iterator[tuple[str, list[str]]]:
    """An HTTP proxy that answers every request itself; gives its address and the targets it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_a_proxy_of_the_environment_is_used_for_other_machines(monkeypatch):
    with proxy((event({"content": "By proxy."}, "stop") + DONE).encode()) as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)

        chunks = ask(request(REMOTE))  # only the proxy can resolve this name

    assert text(chunks) == "By proxy."
    assert asked == ["http://models.invalid/api/v1/chat/completions"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_the_proxy(server, monkeypatch, variable, host):
    endpoint = Endpoint(name="vllm", base_url=server.base_url.replace("127.0.0.1", host))
    with proxy(b"") as (address, asked):
        monkeypatch.setenv(variable, address)

        chunks = ask(request(endpoint))

    assert text(chunks) == TEXT
    assert asked == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "nonsense://user:pw-secret@127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere/certificates.pem")],
)
def test_settings_of_the_environment_that_can_t_be_used_stop_only_what_needs_them(server, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    assert text(ask(request(server))) == TEXT
    far = Endpoint(name="openrouter", base_url="https://models.invalid/api/v1")
    with pytest.raises(errors.EndpointUnreachable, match=r"environment's (proxy|certificate) settings") as caught:
        ask(request(far))
    assert "pw-secret" not in str(caught.value)


# -- keys -------------------------------------------------------------------------------------------------


def story(exc: BaseException | None) -> str:
    """Everything a traceback would say of an exception, its causes included."""
    parts: list[str] = []
    while exc:
        parts += [str(exc), repr(exc), repr(vars(exc))]
        exc = exc.__cause__ or exc.__context__
    return " ".join(parts)


def test_a_missing_key_says_what_to_set(monkeypatch):
    with pytest.raises(errors.KeyMissing, match="OPENROUTER_API_KEY"):
        require_key(builtin_endpoints()["openrouter"])


@pytest.mark.parametrize("key", ["sk-test-ünicode", "sk-test-a b", "sk-test-a\nb", "“sk-test-quoted”"])
def test_a_key_that_no_header_can_carry_is_one_sentence_without_the_key(monkeypatch, key):
    monkeypatch.setenv("OPENROUTER_API_KEY", key)

    openrouter = builtin_endpoints()["openrouter"]

    for use in (lambda: ask(request(openrouter, key=None)), lambda: models(openrouter)):
        with pytest.raises(errors.KeyMissing) as caught:
            use()
        assert "sk-test" not in story(caught.value)


async def stream_once(endpoint: Endpoint) -> None:
    async for _ in ChatCompletions(says(event({"content": "Yes."}, "stop"))).stream(request(endpoint, key=None)):
        pass


async def list_models(endpoint: Endpoint) -> None:
    await ChatCompletions(httpx.MockTransport(lambda _: httpx.Response(200, json={}))).models(endpoint)


async def make_ready(endpoint: Endpoint) -> None:
    await Providers().make_ready(endpoint, lambda text: None)


@pytest.mark.parametrize("use", [stream_once, list_models, make_ready])
def test_a_keychain_is_never_asked_in_the_event_loop(monkeypatch, use):
    asked_in: list[threading.Thread] = []

    def get_password(service: str, name: str) -> str:
        asked_in.append(threading.current_thread())
        return KEY.get_secret_value()

    keyring = ModuleType("keyring")
    keyring.__dict__.update(get_password=get_password, set_password=lambda *_: None)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    store_key("openrouter", KEY)

    asyncio.run(use(builtin_endpoints()["openrouter"]))

    assert len(asked_in) == 1
    assert threading.current_thread() not in asked_in


def test_a_key_that_was_typed_anew_is_in_the_next_call(server: Server, monkeypatch: pytest.MonkeyPatch):
    async def several() -> None:
        providers = Providers(ChatCompletions())
        for key in ("sk-old", "sk-new"):
            store_key("openrouter", SecretStr(key))
            async for _ in providers.stream(request(server, key=None)):
                pass

    monkeypatch.setitem(sys.modules, "keyring", None)
    asyncio.run(several())

    assert [asked.headers["authorization"] for asked in server.requests] == ["Bearer sk-old", "Bearer sk-new"]


def test_a_keychain_is_asked_once_for_the_calls_of_a_run(monkeypatch):
    asked: list[str] = []
    keyring = ModuleType("keyring")
    keyring.__dict__.update(get_password=lambda _, name: asked.append(name) or "sk-a", set_password=lambda *_: None)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    store_key("openrouter", KEY)

    async def several() -> None:
        providers = Providers(ChatCompletions(says(event({"content": "Yes."}, "stop"))))
        await providers.make_ready(builtin_endpoints()["openrouter"], lambda text: None)
        for _ in range(3):
            async for _ in providers.stream(request(builtin_endpoints()["openrouter"], key=None)):
                pass

    asyncio.run(several())

    assert asked == ["openrouter"]


SECRET_FAILURES: dict[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "echo": lambda: httpx.MockTransport(
        lambda sent: httpx.Response(401, json={"error": sent.headers["authorization"]})
    ),
    "echo in a stream": lambda: says(event(error={"message": f"bad {KEY.get_secret_value()}"})),
    "echo as a word": lambda: says(f"data: {KEY.get_secret_value()}\n\n"),
    "connection": lambda: raises(httpx.ConnectError("refused")),
    "cut": lambda: fails(httpx.ReadError("gone")),
}


@pytest.mark.parametrize("transport", SECRET_FAILURES.values(), ids=SECRET_FAILURES)
def test_a_key_is_in_no_exception_cause_log_or_repr(transport, caplog):
    caplog.set_level(logging.DEBUG)
    asked = request()

    with pytest.raises(errors.CallError) as caught:
        ask(asked, transport())

    told = " ".join([story(caught.value), caplog.text, repr(asked), str(asked), repr(asked.endpoint)])
    assert KEY.get_secret_value() not in told


def test_the_embedded_server_is_asked_once_and_clearly_to_close_its_connection():
    heard: list[list[str]] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        heard.append(asked.headers.get_list("connection"))
        return httpx.Response(200, json={"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]})

    local = builtin_endpoints()["local"].model_copy(update={"base_url": "http://127.0.0.1:1/v1"})
    ask(request(local), httpx.MockTransport(answer))
    models(local, httpx.MockTransport(answer))

    assert heard == [["close"], ["close"]]


def test_a_key_is_in_no_log_of_a_real_connection(server, caplog):
    caplog.set_level(logging.DEBUG)

    ask(request(server))

    assert "chat/completions" in caplog.text
    assert KEY.get_secret_value() not in caplog.text


# -- the catalogue ----------------------------------------------------------------------------------------


def models(endpoint: Endpoint, transport: httpx.AsyncBaseTransport | None = None) -> tuple[ModelInfo, ...]:
    async def fetch() -> tuple[ModelInfo, ...]:
        client = ChatCompletions(transport)
        try:
            return await client.models(endpoint)
        finally:
            await client.aclose()

    return asyncio.run(fetch())


def test_a_catalogue_has_prices_contexts_and_parameters(server):
    listed = {model.id: model for model in models(Endpoint(name="openrouter", base_url=server.base_url))}

    gpt, router = listed["openai/gpt-5.5"], listed["openrouter/fusion"]
    assert (gpt.context, str(gpt.price)) == (1_050_000, "$5.00 / $30.00 per million tokens")
    assert gpt.parameters is not None
    assert "reasoning" in gpt.parameters
    assert str(router.price) == "not priced"
    assert str(listed["qwen/qwen3-4b:free"].price) == "free"


def test_a_local_server_s_catalogue_is_ids_and_costs_nothing():
    transport = says(json.dumps({"data": [{"id": "llama3.2", "meta": {"n_ctx": 4096}}]}), "application/json")

    (model,) = models(Endpoint(name="ollama", base_url="http://localhost:11434/v1"), transport)

    assert (model.id, model.context, str(model.price), model.parameters) == ("llama3.2", 4096, "free", None)


ODD = [None, {}, [None, 1, "x", {}, {"id": 7}], [{"id": "a", "created": "2026-01-01", "pricing": "free", "meta": []}]]


@pytest.mark.parametrize("listed", ODD)
def test_odd_entries_of_a_catalogue_are_passed_over(listed):
    found = models(REMOTE, says(json.dumps({"data": listed}), "application/json"))

    assert [model.id for model in found] == (["a"] if listed is ODD[-1] else [])


def test_a_catalogue_that_can_t_be_had_is_a_call_error_without_the_key(server, monkeypatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-test-wrong")
    server.key = "sk-test-right"

    with pytest.raises(errors.NotAuthorized) as caught:
        models(builtin_endpoints()["openrouter"])

    assert "sk-test" not in story(caught.value)


def test_a_catalogue_that_drips_is_given_up_in_time():
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.001)

    async def fetch() -> None:
        client = ChatCompletions(httpx.MockTransport(lambda _: httpx.Response(200, stream=Dripping())))
        await client.get(REMOTE, "/models", timeout=0.05)

    with pytest.raises(errors.CallTimeout):
        asyncio.run(fetch())
