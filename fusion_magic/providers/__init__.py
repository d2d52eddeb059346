"""Who answers: one method that yields chunks, and which provider speaks to which endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from ..endpoints import Endpoint
from ..errors import CallError
from ..folders import config_dir
from ..keys import is_in_keyring
from ..prices import FREE, UNKNOWN, Price
from ..results import Source, Stage, Usage
from ..settings import Effort

Message = Mapping[str, Any]
KEY_SECONDS = 1.0  # for so long the keyring is not asked again for a key that it had: a run asks for every call
NO_KEY = SecretStr("")  # in a request: none is needed
Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call as a provider needs to know it.

    `tools` are in the wire's form; `steps` is how many steps of its own server tools a server may take. With
    `simulated` nobody is asked: it is the way in which the call fails. `hear` is told the headers of the response.
    """

    endpoint: Endpoint
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    stage: Stage = "panel"
    label: str = ""
    temperature: float | None = None
    effort: Effort | None = None
    seed: int | None = None
    response_format: Mapping[str, Any] | None = None
    private: bool = False
    connect_timeout: float = 10.0
    session: str = ""
    key: SecretStr | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Literal["none", "required"] | None = None
    steps: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    simulated: str = ""
    hear: Callable[[Mapping[str, str]], None] | None = None

    @property
    def name(self) -> str:
        """The model as the user writes it."""
        return self.model if self.endpoint.is_openrouter else f"{self.model}@{self.endpoint.name}"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called; `arguments` is the JSON it wrote, unchecked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ServerUse:
    """A tool that the server ran itself, and what the model read of it."""

    tool: str
    arguments: str
    result: str


@dataclass(frozen=True, slots=True)
class Inner:
    """Something that happens inside a fusion that OpenRouter runs; see providers/responses.py.

    Attributes:
        kind: the fusion began; a seat was asked, thought, wrote, answered or failed; the analyst was asked, and
            compared; the fusion ended; its model thought, before or after it; the whole response broke.
        model: the seat's or the analyst's, as OpenRouter names it.
        text: the piece, the whole answer or the error; of `began`, what had been written before.
        status: of a failed seat, the HTTP status; `reason` is OpenRouter's code for a fusion that failed.
    """

    kind: Literal[
        "began", "asked", "thought", "wrote", "answered", "failed", "compares", "compared", "ended", "mused", "broke"
    ]
    model: str = ""
    text: str = ""
    reasoning: str = ""
    status: int | None = None
    reason: str = ""
    analysis: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer; the last one has `finish`, or usage alone after it.

    `echo` is what the model's message must also have when its tool calls are answered: its own reasoning, signed.
    """

    text: str = ""
    reasoning: str = ""
    served: str | None = None
    request_id: str | None = None
    finish: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    sources: tuple[Source, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    server_uses: tuple[ServerUse, ...] = ()
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    inner: tuple[Inner, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it brings text or thoughts and nothing else."""
        beside = self.finish or self.usage or self.sources or self.tool_calls or self.server_uses or self.echo
        return not (beside or self.inner) and self.cost is None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of an endpoint's catalogue. `parameters`, `inputs` and `outputs` are None where it does not say.

    `canonical` is the dated name under which the endpoint may report the model. `inputs` and `outputs` are what it
    reads and writes: "text", "image", "file", "audio", "video".
    """

    id: str
    name: str = ""
    context: int | None = None
    price: Price = UNKNOWN
    parameters: frozenset[str] | None = None
    created: int = 0
    canonical: str = ""
    inputs: frozenset[str] | None = None
    outputs: frozenset[str] | None = None


@dataclass(slots=True)
class Turn:
    """An attempt's turn at its endpoint.

    Attributes:
        waited: seconds until it came, which are not the model's.
        patience: how often more than its retries a call may be sent again that was told to slow down.
        error: how the attempt failed; whoever gives turns learns from it.
    """

    waited: float = 0.0
    patience: int = 0
    error: CallError | None = None


class Provider(Protocol):
    """What answers calls. `stream` raises a CallError; a stream that ends well has yielded a `finish`."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Ask, and yield what comes; closing the iterator closes the connection."""
        ...

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        """The endpoint's catalogue. Raises CallError or KeyMissing."""
        ...


class Providers:
    """The provider of every endpoint: the client, the embedded model, or a script that is installed."""

    batched = False  # whether calls wait for batches of their endpoints

    def __init__(self, client: Provider | None = None) -> None:
        self._client = client
        self._keys: dict[tuple[Endpoint, Path], tuple[float, SecretStr | None]] = {}
        # The way of asking for JSON that worked, by address and model; see pipeline/judge.py.
        self.json_levels: dict[tuple[str, str], int] = {}
        # Models that have refused tools, by address and model; see pipeline/tool_loop.py.
        self.without_tools: set[tuple[str, str]] = set()

    @property
    def client(self) -> Provider:
        if self._client is None:
            from .chat_completions import ChatCompletions

            self._client = ChatCompletions()
        return self._client

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Chunks from whoever answers for the request's endpoint."""
        from .installed import installed

        if request.simulated:
            from .simulated import failing

            answers = failing(request)
        elif script := installed():
            answers = script.stream(request)
        elif request.endpoint.is_local:
            answers = self.client.stream(await self._to_child(request))
        else:
            key = request.key or await self._key(request.endpoint) or NO_KEY
            answers = self.client.stream(replace(request, key=key))
        async with aclosing(answers):  # else the connection stays open until the garbage collector comes by
            async for chunk in answers:
                yield chunk

    async def _to_child(self, request: ChatRequest) -> ChatRequest:
        from .local import start

        child = await asyncio.to_thread(start, notify=_say_nothing)
        endpoint = request.endpoint.model_copy(update={"base_url": child.base_url})
        return replace(request, endpoint=endpoint, key=SecretStr(child.key))

    async def _key(self, endpoint: Endpoint) -> SecretStr | None:
        from .chat_completions import off_loop, require_key

        place = endpoint, config_dir()
        if not is_in_keyring(endpoint):
            self._keys.pop(place, None)
            return require_key(endpoint)
        found_at, key = self._keys.get(place, (-KEY_SECONDS, None))
        if time.monotonic() - found_at >= KEY_SECONDS:
            key = await off_loop(require_key, endpoint)
            self._keys[place] = time.monotonic(), key
        return key

    def turn(self, request: ChatRequest) -> AbstractAsyncContextManager[Turn]:
        """The block in which one attempt is made; here it begins at once."""
        return nullcontext(Turn())

    async def make_ready(self, endpoint: Endpoint, notify: Notify) -> None:
        """Whatever must be done before the first call: the embedded model fetched and started, a key found.

        Raises:
            KeyMissing: the endpoint needs a key and none was found.
            LocalModelError: the embedded model can't run here.
        """
        from .installed import installed

        if installed():
            return
        if endpoint.is_local:
            from .local import start

            await asyncio.to_thread(start, notify=notify)
        else:
            await self._key(endpoint)

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        """The endpoint's catalogue; the embedded model's has one entry."""
        if endpoint.is_local:
            from ..endpoints import local_model_name

            return (ModelInfo(local_model_name(), "the embedded model", price=FREE),)
        return await self.client.models(endpoint)


def _say_nothing(_: str) -> None:
    return None
