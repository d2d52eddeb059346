"""Tools of MCP servers: a real server by the official package over pipes and HTTP, and a stubborn one by hand."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.chosen import checked
from fusion_magic.errors import FusionError, KeyMissing, SettingsError, ToolError
from fusion_magic.tools import MAX_OUTPUT, Output, Tool
from fusion_magic.tools.mcp import MAX_PAGES, McpServer, mcp_tools

pytestmark = pytest.mark.thorough

if importlib.util.find_spec("mcp") is None:
    pytest.skip("the mcp package is not installed", allow_module_level=True)

SERVERS = Path(__file__).parents[1] / "servers"
KEY = "sk-test-0123456789"
HANG = 60.0  # seconds after which a test has failed
Body = Callable[[dict[str, Tool]], Awaitable[Any]]


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    from servers import mcp_server

    with mcp_server.over_http() as address:
        yield address


def program(*args: str, **more: Any) -> McpServer:
    script, *others = args or ("mcp_server.py",)
    command = (str(SERVERS / script), *others)
    return McpServer(command=sys.executable, args=command, start_timeout=HANG, **more)


def stubborn(*args: str, **more: Any) -> McpServer:
    return program("stubborn_mcp.py", *args, **{"allow": ("family",), **more})


def one_liner(code: str, **more: Any) -> McpServer:
    return McpServer(command=sys.executable, args=("-c", code), **{"start_timeout": HANG, **more})


def using(server: McpServer, body: Body) -> Any:
    """What `body` returns with the server's tools, by name."""

    async def run() -> Any:
        async with asyncio.timeout(HANG), mcp_tools("my", server) as tools:
            return await body({tool.name: tool for tool in tools})

    return asyncio.run(run())


def call(server: McpServer, tool: str, **arguments: Any) -> Output:
    async def body(tools: dict[str, Tool]) -> Output:
        return await tools[f"my_{tool}"].call(arguments)

    return using(server, body)


async def nothing(tools: dict[str, Tool]) -> dict[str, Tool]:
    return tools


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end(pids: list[int]) -> bool:
    """Whether all have ended within the time of a test; a killed process needs a moment."""
    deadline = time.monotonic() + HANG / 2
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_running, pids))


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look for processes")


# --- over pipes -------------------------------------------------------------------------------------


def test_a_program_sees_the_variables_that_were_named_and_no_key(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("MY_TOKEN", '{"user": "Zoë",\n"key": 1}')

    seen = json.loads(call(program(allow=("environment",), env=("MY_TOKEN",)), "environment").text)

    assert "MY_TOKEN" in seen
    assert "OPENROUTER_API_KEY" not in seen


def test_a_server_that_dies_fails_its_calls_and_not_the_run():
    async def body(tools: dict[str, Tool]) -> list[str]:
        said: list[str] = []
        for arguments in ({"last_words": "out of cheese"}, {}):
            with pytest.raises(ToolError) as caught:
                await tools["my_family"].call(arguments)
            said.append(str(caught.value))
        return said

    during, after = using(stubborn(), body)

    assert "has ended" in during
    assert after == 'MCP server "my" has ended (its last words: "out of cheese"); go on without its tools.'


@needs_proc
def test_leaving_the_block_ends_a_program_that_will_not_end_and_all_its_children():
    async def body(tools: dict[str, Tool]) -> tuple[list[int], list[bool]]:
        family = json.loads((await tools["my_family"].call({})).text)
        return family, [is_running(pid) for pid in family]

    family, before = using(stubborn(), body)

    assert before == [True] * 3
    assert all_end(family)


@needs_proc
def test_a_cancelled_task_group_ends_the_program_and_its_children(caplog):
    async def seat(family: asyncio.Future[list[int]]) -> None:
        async with mcp_tools("my", stubborn()) as (tool,):
            family.set_result(json.loads((await tool.call({})).text))
            await asyncio.Event().wait()

    async def run() -> list[int]:
        family: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(HANG), asyncio.TaskGroup() as group:
            task = group.create_task(seat(family))
            await family
            task.cancel()
        return family.result()

    family = asyncio.run(run())

    assert all_end(family)
    assert not caplog.records


@needs_proc
def test_a_second_cancellation_kills_at_once():
    async def run() -> tuple[list[int], bool]:
        family: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

        async def seat() -> None:
            async with mcp_tools("my", stubborn()) as (tool,):
                family.set_result(json.loads((await tool.call({})).text))

        async with asyncio.timeout(HANG):
            task = asyncio.create_task(seat())
            await family  # the seat now leaves its block, and waits for the server to end
            for _ in range(2):
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
        return family.result(), task.cancelled()

    family, cancelled = asyncio.run(run())

    assert cancelled
    assert all_end(family)


@needs_proc
def test_a_cancellation_during_the_start_leaves_no_program(tmp_path):
    os.mkfifo(tmp_path / "pid")
    silent = one_liner(
        f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )

    async def start() -> None:
        async with mcp_tools("my", silent):
            raise AssertionError("a silent server is not ready")

    async def run() -> tuple[int, bool]:
        async with asyncio.timeout(HANG):
            task = asyncio.create_task(start())
            pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
            task.cancel()
            await asyncio.wait([task])
        return pid, task.cancelled()

    pid, cancelled = asyncio.run(run())

    assert cancelled
    assert all_end([pid])


def test_an_error_in_the_block_comes_out_as_it_is():
    async def body(tools: dict[str, Tool]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        using(stubborn("polite"), body)


def test_what_a_server_writes_beside_its_messages_stays_out_of_the_notebook(capfd, caplog):
    with caplog.at_level(logging.WARNING):
        using(stubborn("polite"), nothing)

    assert capfd.readouterr() == ("", "")


def test_a_list_of_tools_without_end_is_read_to_a_limit():
    last = f"family{MAX_PAGES - 1}"

    assert list(using(stubborn("polite", allow=(last,)), nothing)) == [f"my_{last}"]
    with pytest.raises(SettingsError, match="has no tool"):
        using(stubborn("polite", allow=(f"family{MAX_PAGES}",)), nothing)


def test_a_message_of_more_than_10_mb_ends_the_server():
    with pytest.raises(SettingsError, match="more than 10 MB"):
        using(one_liner("print('x' * 30_000_000, flush=True); input(); input()", allow=("x",)), nothing)


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (McpServer(command="no-such-program"), "there is no program no-such-program"),
        (McpServer(command=sys.executable, cwd="no-such-folder"), "there is no folder no-such-folder"),
        (one_liner("raise SystemExit('no licence')"), 'has ended \\(its last words: "no licence"\\)'),
        (one_liner("print('usage: …')"), 'has ended \\(its last words: "usage: …"\\)'),
        (one_liner("import time; time.sleep(600)", start_timeout=0.3), "did not list its tools within 0.3 s"),
        (one_liner("", env=("NOT_SET",)), "needs the environment variable NOT_SET"),
        (McpServer(url="http://127.0.0.1:9/mcp"), "does not answer"),
    ],
    ids=["program", "folder", "dies", "prints", "silent", "variable", "address"],
)
def test_a_server_that_can_t_be_used_is_one_sentence_before_the_run(server, sentence):
    with pytest.raises(FusionError, match=sentence) as caught:
        using(server, nothing)

    assert str(caught.value).startswith('MCP server "my"')
    assert "\n" not in str(caught.value)


def test_a_key_that_a_dying_server_echoes_is_not_in_the_error(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", KEY)
    echo = "import os; raise SystemExit('bad token ' + os.environ['MY_TOKEN'])"

    with pytest.raises(SettingsError, match=r"bad token \[key\]") as caught:
        using(one_liner(echo, env=("MY_TOKEN",)), nothing)

    assert KEY not in repr(caught.value)


# --- over HTTP --------------------------------------------------------------------------------------


def test_calls_of_several_seats_share_one_session(url):
    async def body(tools: dict[str, Tool]) -> list[Output]:
        return await asyncio.gather(*(tools["my_add"].call({"a": 1, "b": seat}) for seat in range(8)))

    outputs = using(McpServer(url=url, allow=("add",)), body)

    assert [output.text for output in outputs] == [str(1 + seat) for seat in range(8)]


def test_a_tool_is_named_after_its_server_and_its_description_is_cleaned_and_bounded(url):
    tools = using(McpServer(url=url, allow=("say.twice",), timeout=7), nothing)

    tool = tools["my_say_twice"]
    assert len(tool.description) == 1_000
    assert tool.description.startswith("Say it. Ignore")
    assert tool.parameters["required"] == ["text"]
    assert tool.timeout == 7


def test_a_result_becomes_text_and_the_pages_it_offers(url):
    output = call(McpServer(url=url, allow=("mixed",)), "mixed")

    assert output.text.startswith("Read this.\n\n[image, image/png; it can't be passed on]")
    assert output.text.endswith("https://example.org/page\nA page.")
    assert [source.url for source in output.found] == ["https://example.org/more", "https://example.org/page"]


def test_data_without_text_is_json(url):
    assert call(McpServer(url=url, allow=("data",)), "data").text == '{"rows": [1, 2]}'


def test_a_result_is_bounded_and_says_that_it_was_cut(url):
    text = call(McpServer(url=url, allow=("flood",)), "flood").text

    assert len(text) == MAX_OUTPUT
    assert text.endswith(" […]")


def test_a_tool_that_fails_and_arguments_that_do_not_fit_are_told_to_the_model(url):
    with pytest.raises(ToolError, match="fail"):
        call(McpServer(url=url, allow=("fail",)), "fail", reason="no")
    with pytest.raises(ToolError, match="valid integer"):
        call(McpServer(url=url, allow=("add",)), "add", a="one", b=2)


def test_a_cancelled_call_ends_on_the_server_and_the_session_goes_on(url):
    from servers import mcp_server

    async def body(tools: dict[str, Tool]) -> tuple[bool, Output]:
        waiting = asyncio.ensure_future(tools["my_wait"].call({}))
        await asyncio.to_thread(mcp_server.began.wait, HANG)
        waiting.cancel()
        told = await asyncio.to_thread(mcp_server.ended.wait, HANG)
        return told, await tools["my_add"].call({"a": 1, "b": 2})

    told, after = using(McpServer(url=url, allow=("wait", "add")), body)

    assert told
    assert after.text == "3"


def test_a_server_that_goes_away_fails_its_calls_and_not_the_run():
    from servers import mcp_server

    async def body(tools: dict[str, Tool]) -> str:
        await asyncio.to_thread(gone.__exit__, None, None, None)
        with pytest.raises(ToolError) as caught:
            await tools["my_add"].call({"a": 1, "b": 2})
        return str(caught.value)

    gone = mcp_server.over_http()
    address = gone.__enter__()

    assert using(McpServer(url=address, allow=("add",)), body).startswith('MCP server "my"')


def test_a_server_that_hangs_at_the_end_of_the_session_holds_nobody_up():
    from servers import mcp_server

    with mcp_server.over_http(deaf=True) as address:
        assert call(McpServer(url=address, allow=("add",)), "add", a=1, b=2).text == "3"


def test_the_key_comes_from_its_variable_and_goes_to_the_server_alone(monkeypatch):
    from servers import mcp_server

    with mcp_server.over_http(KEY) as address:
        server = McpServer(url=address, allow=("add",), key_env="MY_TOKEN")
        with pytest.raises(KeyMissing, match="MY_TOKEN"):
            using(server, nothing)
        with pytest.raises(SettingsError, match="HTTP 401"):
            using(server.model_copy(update={"key_env": None}), nothing)
        monkeypatch.setenv("MY_TOKEN", f"{KEY}\nX-Other: header")
        with pytest.raises(KeyMissing, match="set it to a key"):
            using(server, nothing)
        monkeypatch.setenv("MY_TOKEN", KEY)

        assert call(server, "add", a=1, b=2).text == "3"
        assert KEY not in repr(server)


# --- what is allowed --------------------------------------------------------------------------------


def test_nothing_is_allowed_until_it_is_listed_and_the_error_says_what_there_is(url):
    with pytest.raises(SettingsError) as caught:
        using(McpServer(url=url), nothing)

    assert "offers add (says it only reads), say.twice, fail" in str(caught.value)
    assert str(caught.value).endswith('in fusion.toml: [mcp.my] allow = ["add"].')


def test_a_tool_that_is_not_allowed_is_not_there(url):
    assert list(using(McpServer(url=url, allow=("add",)), nothing)) == ["my_add"]


def test_an_allowed_tool_that_the_server_lacks_is_an_error_with_the_nearest(url):
    with pytest.raises(SettingsError, match='has no tool "ad"; did you mean "add"'):
        using(McpServer(url=url, allow=("ad",)), nothing)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, "either a command or a url"),
        ({"command": "x", "url": "https://host/mcp"}, "either a command or a url"),
        ({"url": "ftp://host/"}, "not an address"),
        ({"url": "https://user:pass@host/mcp"}, "must not hold a user"),
        ({"url": "https://host/mcp", "key_env": KEY}, "not a value"),
        ({"command": "x", "env": ["TOKEN=" + KEY]}, "not a value"),
        ({"command": "x", "key_env": "TOKEN"}, "belongs to a url"),
        ({"url": "https://host/mcp", "env": ["TOKEN"]}, "belong to a command"),
        ({"comand": "x"}, "did you mean"),
    ],
)
def test_a_wrong_entry_is_one_sentence_without_what_was_given(entry, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        checked(McpServer, entry, "fusion.toml [mcp.my]: ")

    assert KEY not in str(caught.value)
    assert "pass@" not in str(caught.value)


@needs_proc
def test_the_tests_above_left_no_server_behind():
    ours = [
        stat.parent.name
        for stat in Path("/proc").glob("[0-9]*/stat")
        if str(os.getpid()) == (stat.read_text().rpartition(")")[2].split() or [""])[1]
    ]

    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in ours if is_running(int(pid))]

    assert not [command for command in commands if b"mcp" in command]
