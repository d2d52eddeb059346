"""Tools of MCP servers that the user configured, started or connected for one run."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from ..characters import plain
from ..chosen import Chosen, nearest
from ..errors import FusionError, KeyMissing, SettingsError, ToolError
from ..keys import redact
from . import TIMEOUT, Output, Tool
from .mcp_child import Child
from .mcp_text import MAX_DESCRIPTION, cleaned, cut, line, output_of

if TYPE_CHECKING:
    from mcp import Client, types

MAX_SCHEMA = 20_000  # characters of a tool's schema as JSON
MAX_PAGES = 20  # of a server's list of tools
MAX_ERROR = 2_000  # characters of a failed call's text
GOODBYE = 0.5  # seconds for the last request to a server
SECRET = 8  # letters of a value that is taken out of errors; shorter ones, as 1 or true, may stand in any text
SHOWN = 30  # names of tools in an error
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class McpServer(Chosen):
    """An MCP server: a program that is started for the run, or an address.

    What a server says of its tools, also that they only read, is its own claim. So the panel may use none until the
    user has listed it; the error names what there is.
    """

    command: str | None = Field(default=None, description="program that is started and speaks over its pipes")
    args: tuple[str, ...] = Field(default=(), description="its arguments")
    env: tuple[str, ...] = Field(default=(), description="names of environment variables that it may see")
    cwd: str | None = Field(default=None, description="folder it starts in")
    url: str | None = Field(default=None, description="address of a server that speaks HTTP")
    key_env: str | None = Field(default=None, description="environment variable that holds the key for `url`")
    allow: tuple[str, ...] = Field(default=(), description="tools that the panel may use")
    timeout: float = Field(default=TIMEOUT, gt=0, description="seconds for one call")
    start_timeout: float = Field(default=10.0, gt=0, description="seconds to start it and to list its tools")

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError('it is not an address like "https://host/mcp"')
        if "@" in parts.netloc:
            raise ValueError("it must not hold a user or a password; name the variable of the key in key_env")
        return value

    @field_validator("env", "key_env")
    @classmethod
    def _are_variables(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        for name in (value,) if isinstance(value, str) else value or ():
            if not VARIABLE.fullmatch(name):
                raise ValueError("it must be the name of an environment variable, not a value")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either a command or a url")
        if self.url and (self.args or self.env or self.cwd):
            raise ValueError("args, env and cwd belong to a command, not to a url")
        if self.command and self.key_env:
            raise ValueError("key_env belongs to a url; name the variables that a command needs in env")
        return self


@asynccontextmanager
async def mcp_tools(name: str, server: McpServer) -> AsyncGenerator[tuple[Tool, ...]]:
    """The tools of a server that its allow-list names, for as long as the block runs.

    Leaving the block, by a cancellation too, ends the connection, or the program with all its children.

    Args:
        name: what the server is called in `fusion.toml`; the tools are named `NAME_tool`.
        server: how to reach it.

    Raises:
        SettingsError: `mcp` is not installed, or the server can't be started, does not answer in time, has no tools or
            none that is allowed.
        KeyMissing: a variable in `env` or `key_env` is not set, or no header can carry it.
    """
    await asyncio.to_thread(_require_mcp)  # the import takes a second
    session = _Session(name, server)
    task = asyncio.create_task(session.run())  # anyio's scopes must be left in the task that entered them
    try:
        yield await session.ready
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        session.over.set()
        await task


def _require_mcp() -> None:
    try:
        importlib.import_module("mcp.client.client")
    except ImportError as exc:
        raise SettingsError('MCP servers need the mcp package, version 2: pip install "fusion-magic[mcp]".') from exc
    # It logs what a server did wrong; without a handler Python prints that into the notebook.
    logging.getLogger("mcp").addHandler(logging.NullHandler())


class _Session:
    """One server's session; `ready` holds its tools or the error that stands in their way."""

    def __init__(self, name: str, server: McpServer) -> None:
        self._name, self._server = name, server
        self.ready: asyncio.Future[tuple[Tool, ...]] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self._child: Child | None = None
        self._status = ""
        self._secrets: list[SecretStr] = []

    async def run(self) -> None:
        """Serve calls until `over` is set. Nothing but a cancellation comes out of it."""
        try:
            async with asyncio.timeout(self._server.start_timeout) as limit:
                await (self._over_http(limit) if self._server.url else self._over_pipes(limit))
        except Exception as exc:
            if not self.ready.done():
                self.ready.set_exception(self._why_not(exc))

    async def _over_pipes(self, limit: asyncio.Timeout) -> None:
        import anyio

        self._child = child = await Child.start(*self._command())
        to_session, from_server = anyio.create_memory_object_stream[Any](0)
        to_server, from_session = anyio.create_memory_object_stream[Any](0)
        try:
            async with asyncio.TaskGroup() as group:
                carriers = [
                    group.create_task(work)
                    for work in (child.read(to_session), child.write(from_session), child.listen())
                ]
                await self._serve(contextlib.nullcontext((from_server, to_server)), limit)
                for carrier in carriers:
                    carrier.cancel()
        finally:
            await child.end(hurry=bool(cast("asyncio.Task[None]", asyncio.current_task()).cancelling()))

    def _command(self) -> tuple[list[str], dict[str, str], Path | None]:
        from mcp.client.stdio import get_default_environment

        server = self._server
        env = get_default_environment() | {name: self._variable(name) for name in server.env}
        cwd = Path(server.cwd).expanduser() if server.cwd else None
        if cwd and not cwd.is_dir():
            raise SettingsError(f"{self._place}: there is no folder {server.cwd}; change its cwd.")
        program = shutil.which(os.path.expanduser(server.command or ""), path=env.get("PATH"))
        if program is None:
            raise SettingsError(
                f"{self._place}: there is no program {server.command}; install it, or write its whole path."
            )
        return [program, *server.args], env, cwd

    async def _over_http(self, limit: asyncio.Timeout) -> None:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        async def note(response: httpx2.Response) -> None:
            self._status = f" (HTTP {response.status_code})" if response.status_code >= 400 else ""

        headers: dict[str, str] = {}
        if self._server.key_env:
            headers["Authorization"] = f"Bearer {self._variable(self._server.key_env, in_header=True)}"
        waits = httpx2.Timeout(self._server.start_timeout, read=None)  # calls have a limit of their own
        async with httpx2.AsyncClient(headers=headers, timeout=waits, event_hooks={"response": [note]}) as http:
            await self._serve(streamable_http_client(self._server.url or "", http_client=http), limit)

    def _variable(self, name: str, *, in_header: bool = False) -> str:
        value = os.environ.get(name, "").strip()
        if not value or (in_header and not all("!" <= letter <= "~" for letter in value)):
            raise KeyMissing(f"{self._place} needs the environment variable {name}; set it{' to a key' * in_header}.")
        if len(value) >= SECRET:
            self._secrets.append(SecretStr(value))
        return value

    async def _serve(self, transport: Any, limit: asyncio.Timeout) -> None:
        from mcp import Client

        # Not "auto": a server from before the protocol of July 2026 may be silent to its probe, for ten seconds.
        async with Client(transport, mode="legacy") as client:
            offered = await _listed(client)
            tools = self._allowed(client, offered)
            limit.reschedule(None)
            if not self.ready.done():
                self.ready.set_result(tools)
            try:
                await self.over.wait()
            finally:
                if self._server.url:  # it is told that the session is over; one that hangs holds nobody up
                    limit.reschedule(asyncio.get_running_loop().time() + GOODBYE)

    def _allowed(self, client: Client, offered: Mapping[str, types.Tool]) -> tuple[Tool, ...]:
        if not offered:
            raise SettingsError(f"{self._place} offers no tools.")
        if not self._server.allow:
            raise SettingsError(
                f"{self._place} offers {_shown(offered.values())}; name those that the panel may use in fusion.toml: "
                f"[mcp.{self._name}] allow = [{json.dumps(line(next(iter(offered)), 60))}]."
            )
        named: dict[str, Tool] = {}
        for wanted in dict.fromkeys(self._server.allow):
            if wanted not in offered:
                near = nearest(wanted, (line(name, 60) for name in offered))
                raise SettingsError(f'{self._place} has no tool "{wanted}"{near}')
            tool = self._wrapped(client, offered[wanted], named)
            named[tool.name] = tool
        return tuple(named.values())

    def _wrapped(self, client: Client, tool: types.Tool, taken: Mapping[str, object]) -> Tool:
        schema = cleaned(tool.input_schema) | {"type": "object"}
        if len(json.dumps(schema)) > MAX_SCHEMA:
            raise SettingsError(f'{self._place}: the arguments of "{tool.name}" are described too long to be sent.')

        async def call(given: Mapping[str, Any]) -> Output:
            return await self._call(client, tool.name, given)

        about = cut(plain(tool.description or tool.title or tool.name), MAX_DESCRIPTION)
        return Tool(_tool_name(self._name, tool.name, taken), about, schema, call, self._server.timeout)

    async def _call(self, client: Client, tool: str, given: Mapping[str, Any]) -> Output:
        """One call. Not by `client.call_tool`, which checks the reply in this loop by patterns of the server's."""
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult

        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(given)))
        try:
            result = await client.session.send_request(request, CallToolResult)
        except Exception as exc:  # refused, ended, or not a reply
            raise ToolError(self._sentence(exc, "go on without its tools")) from exc
        output = output_of(result)
        if result.is_error:
            raise ToolError(cut(output.text, MAX_ERROR) or "The tool failed and did not say why.")
        return output

    @property
    def _place(self) -> str:
        return f'MCP server "{self._name}"'

    def _why_not(self, exc: Exception) -> FusionError:
        """The first error in a group, as one that the user reads before the run."""
        while isinstance(exc, ExceptionGroup):
            exc = cast("ExceptionGroup[Exception]", exc).exceptions[0]
        if isinstance(exc, FusionError):
            return exc
        if isinstance(exc, TimeoutError):
            return SettingsError(
                f"{self._place} did not list its tools within {self._server.start_timeout:g} s{self._said}; "
                "start it once by hand, or raise its start_timeout."
            )
        return SettingsError(self._sentence(exc, "start it by hand" if self._server.command else "look at its url"))

    def _sentence(self, exc: Exception, advice: str) -> str:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        if isinstance(exc, MCPError) and exc.code != CONNECTION_CLOSED:
            return f"{self._place} refused: {self._clean(exc.message).rstrip('.')}{self._status}."
        if isinstance(exc, ValidationError):
            return f"{self._place} sent a reply that does not follow the protocol; {advice}."
        if isinstance(exc, OSError) and exc.strerror and self._server.command:
            return f"{self._place} can't be started: {exc.strerror}; {advice}."
        return f"{self._place} {'has ended' if self._server.command else 'does not answer'}{self._said}; {advice}."

    @property
    def _said(self) -> str:
        """The status or the last words of the server, for the end of a sentence."""
        words = self._clean(self._child.last_words) if self._child else ""
        return f' (its last words: "{words}")' if words else self._status

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = redact(text, secret)
        return line(text, 300)


async def _listed(client: Client) -> dict[str, types.Tool]:
    """Every tool that a server lists, by name."""
    tools: dict[str, types.Tool] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _shown(tools: Iterable[types.Tool]) -> str:
    """Names of tools, with what the server claims of them; a list that a terminal can hold."""
    every = [
        line(tool.name, 60) + " (says it only reads)" * bool(tool.annotations and tool.annotations.read_only_hint)
        for tool in tools
    ]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _tool_name(server: str, tool: str, taken: Mapping[str, object]) -> str:
    """A name that every model API takes, and that no other tool of the server has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}_{tool}")[:64]
    others = (f"{name[:60]}_{number}" for number in itertools.count(2))
    return name if name not in taken else next(other for other in others if other not in taken)
