"""A shell command sees nothing of the analyst, keeps to its limits, and leaves nothing behind; in real sandboxes."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # here, since an ordinary user may not read it later
import contextlib
import multiprocessing
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.tools import bash
from fusion_magic.tools.sandboxes import Bubblewrap, Container, Sandbox, Sandlock, find_sandbox, refusal

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes that run without a daemon are Linux's"),
]
with contextlib.suppress(ImportError):
    import sandlock  # noqa: F401  # here, since an ordinary user may not read where it is installed
NOBODY = 64_999
HANG = 30.0
SANDBOXES: tuple[Sandbox, ...] = (Bubblewrap(), Sandlock())
Shell = Callable[..., Any]


def perform(user: str, work: Callable[..., Awaitable[Any]], *given: object) -> Any:
    """Run a coroutine here, or in a fork that has given up root."""
    if user == "this user":
        return asyncio.run(work(*given))  # type: ignore[arg-type]
    ours, theirs = multiprocessing.Pipe()

    def child() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.chdir("/")
        if not os.access(sys.executable, os.X_OK):
            sys.executable = "/usr/bin/python3"  # of the same version where sandlock is to run
        os.environ["HOME"] = "/root"
        try:
            theirs.send((True, asyncio.run(work(*given))))  # type: ignore[arg-type]
        except BaseException as exc:
            theirs.send((False, repr(exc)))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert ours.poll(HANG), "the fork hangs"
    good, value = ours.recv()
    process.join(HANG)
    assert good, value
    return value


async def _refusal(sandbox: Sandbox) -> str | None:
    return await refusal(sandbox)


@pytest.fixture(scope="module", params=["this user", "an ordinary user"])
def user(request: pytest.FixtureRequest) -> str:
    if request.param != "this user" and os.geteuid():
        pytest.skip("only root can become another user")
    return request.param


@pytest.fixture(scope="module", params=SANDBOXES, ids=lambda sandbox: sandbox.name)
def sandbox(request: pytest.FixtureRequest, user: str) -> Sandbox:
    if reason := perform(user, _refusal, request.param):
        pytest.skip(f"{request.param.name} as {user}: {reason}")
    return request.param


@pytest.fixture
def shell(sandbox: Sandbox, user: str) -> Shell:
    return lambda command, *more: perform(user, bash.run, sandbox, command, *more)


def alive(token: str) -> list[int]:
    """Processes, zombies aside, whose command line holds the token."""
    found = list[int]()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if token in place.read_text(errors="replace"):
                found.append(int(place.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def test_both_streams_come_in_order_with_the_exit_code(shell: Shell):
    assert shell("echo one; echo two >&2; echo three; exit 3") == "one\ntwo\nthree\n(exit code 3)"


def test_the_home_folder_the_notebooks_folder_and_keys_are_not_there(shell: Shell, tmp_path: Path):
    (tmp_path / "notebook.ipynb").write_text("secret cells")
    checkout = Path(__file__).parents[2]
    folders = [Path.home(), tmp_path, Path.cwd(), checkout, Path("/run"), Path("/var")]
    files = [tmp_path / "notebook.ipynb", Path("/etc/shadow"), Path("/etc/passwd")]

    said = shell(f"ls {' '.join(map(str, folders))}; cat {' '.join(map(str, files))}")

    refused = [line for line in said.splitlines() if "No such file" in line or "denied" in line]
    assert len(refused) == len(said.splitlines()) - 1 == len(folders) + len(files)


def test_the_environment_is_empty_but_for_what_a_shell_needs(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-secret")

    said = shell("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")

    names = {line.partition("=")[0] for line in said.splitlines() if "=" in line}
    assert names <= {"PATH", "HOME", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "sk-or" not in said


def test_other_processes_are_neither_seen_nor_killed(shell: Shell):
    token = f"31.{secrets.randbelow(10**9)}"
    bystander = subprocess.Popen(["sleep", token])
    try:
        said = shell(
            f"cat /proc/*/cmdline /proc/{bystander.pid}/cmdline; kill -9 {bystander.pid}; kill -9 -1; echo done"
        )

        assert "done" in said
        assert token not in said
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_no_server_of_the_machine_is_reached(shell: Shell):
    name = f"fusion-{secrets.token_hex(4)}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{name}")
        unix.listen()
        port = tcp.getsockname()[1]
        program = (
            (
                "import socket\n"
                "for kind, place in (('AF_INET', ('127.0.0.1', PORT)), ('AF_UNIX', chr(0) + 'NAME')):\n"
                "    try: socket.socket(getattr(socket, kind)).connect(place); print('reached', kind)\n"
                "    except OSError as exc: print('refused', kind)\n"
            )
            .replace("PORT", str(port))
            .replace("NAME", name)
        )
        here = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

        said = shell(f'python3 - <<"E" || echo no python\n{program}\nE')

    assert here.split() == ["reached", "AF_INET", "reached", "AF_UNIX"]
    assert "refused AF_INET\nrefused AF_UNIX\n" in said


def test_nothing_is_written_outside_the_scratch_folder(shell: Shell):
    places = "/ /usr /usr/bin /usr/local/lib /etc /dev /tmp/.. /var/tmp /run /proc/sys/kernel /home /root"

    said = shell(f"for place in {places}; do echo x > $place/fusion-x && echo wrote $place; done; echo y > y; cat y")

    assert "wrote" not in said
    assert said.endswith("y\n(exit code 0)")


def test_each_call_begins_with_an_empty_folder(shell: Shell):
    first = shell("touch kept; ls -A")
    second = shell("ls -A")

    assert (first, second) == ("kept\n(exit code 0)", "(exit code 0)")


def test_the_scratch_folder_holds_64_mb(shell: Shell):
    said = shell("head -c 40M /dev/zero > a; head -c 40M /dev/zero > b && sleep 3 && echo both")

    assert "both" not in said
    assert "No space left" in said or "64 MB" in said


def test_memory_of_one_process_is_limited(shell: Shell):
    said = shell('python3 -c "print(len(bytearray(600 << 20)))" || echo failed')

    assert "629145600" not in said
    assert "failed" in said or "exit code 0" not in said


def test_memory_of_all_processes_together_is_limited(shell: Shell):
    work = "python3 -c \"import time; a = b'x' * (150 << 20); time.sleep(1); print('survived')\""

    said = shell(f"for each in 1 2 3 4 5; do {work} & done; wait")

    assert said.splitlines().count("survived") <= 3


def test_memory_that_no_limit_counts_is_refused(shell: Shell):
    said = shell("python3 -c \"import os; os.memfd_create('x')\"")

    assert "Operation not permitted" in said


def test_a_fork_bomb_ends_leaves_nothing_and_lets_the_loop_go_on(sandbox: Sandbox, user: str):
    token = secrets.token_hex(8)

    said, longest = perform(user, _beside, sandbox, f": {token}; bomb() {{ bomb | bomb & }}; bomb; sleep 0.6", 5.0)

    assert "fork" in said or "exit code" in said
    assert longest < 2.0
    assert not alive(token)


async def _beside(sandbox: Sandbox, command: str, seconds: float) -> tuple[str, float]:
    """What a command says, and the longest time that the loop was not heard of meanwhile."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            last = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - last)

    ticking = asyncio.create_task(tick())
    said = await bash.run(sandbox, command, seconds)
    ticking.cancel()
    return said, longest


def test_there_are_at_most_64_processes(shell: Shell):
    program = (
        "import os, time\n"
        "for count in range(100):\n"
        "    try:\n"
        "        if not os.fork(): time.sleep(20); os._exit(0)\n"
        "    except OSError: break\n"
        "print(count)"
    )

    said = shell(f'python3 -c "{program}"')

    assert 50 < int(said.split()[0]) < 64


@pytest.mark.parametrize("command", ["yes", "cat /dev/zero", "yes >&2"])
def test_a_flood_of_output_ends_the_command(shell: Shell, command: str):
    said = shell(command)

    assert said.endswith("(stopped: more than 40,000 characters of output)")
    assert len(said) <= 40_000


def test_what_goes_on_in_the_background_ends_with_the_command(shell: Shell):
    token = f"32.{secrets.randbelow(10**9)}"

    said = shell(f"sleep {token} & setsid sleep {token} & (setsid nohup sleep {token} &) ; disown -a; echo bye")

    assert "bye" in said
    assert not alive(token)


def test_a_command_that_takes_too_long_ends_with_all_it_started(shell: Shell):
    token = f"33.{secrets.randbelow(10**9)}"

    said = shell(f"setsid sleep {token} & echo before; trap '' TERM INT HUP; sleep {token}", 0.7)

    assert said == "before\n(stopped after 1 s)"
    assert not alive(token)


@pytest.mark.parametrize("when", ["at once", "in the middle"])
def test_a_cancellation_leaves_no_process(sandbox: Sandbox, user: str, when: str):
    token = f"34.{secrets.randbelow(10**9)}"

    perform(user, _cancelled, sandbox, f"setsid sleep {token} & trap '' TERM; sleep {token}", token, when)

    assert not alive(token)


async def _cancelled(sandbox: Sandbox, command: str, token: str, when: str) -> None:
    running = asyncio.create_task(bash.run(sandbox, command))
    await asyncio.sleep(0)
    async with asyncio.timeout(HANG):
        while when == "in the middle" and len(alive(f"sleep\0{token}")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_bytes_that_are_no_text_and_terminal_codes_are_cleaned(shell: Shell):
    assert shell(r"printf 'a\xff\xfeb\x00\x1b[31mred\x1b[0m'") == "a\ufffd\ufffdbred\n(exit code 0)"


def test_standard_input_is_empty(shell: Shell):
    assert shell("cat; read line; echo $?") == "1\n(exit code 0)"


def test_no_privileges_are_left(shell: Shell):
    said = shell(
        "id -u; unshare -U true && echo nested; mount -t tmpfs none /work && echo mounted; mknod x b 8 0 && echo node"
    )

    assert said.splitlines()[0] != "0"
    assert not {"nested", "mounted", "node"} & set(said.splitlines())


def test_the_tool_checks_its_argument_and_answers_with_text():
    sandbox = asyncio.run(_first())
    tool = bash.bash_tool(sandbox)

    said = asyncio.run(_call(tool, {"command": "echo $((6 * 7))"}))

    assert (tool.name, said) == ("bash", "42\n(exit code 0)")
    for wrong in ({}, {"command": ""}, {"command": "a\0b"}, {"command": "x" * 20_001}):
        with pytest.raises(ToolError, match="command"):
            asyncio.run(_call(tool, wrong))


async def _call(tool: Any, arguments: dict[str, Any]) -> str:
    return (await tool.call(arguments)).text


async def _first() -> Sandbox:
    try:
        return await find_sandbox()
    except SettingsError as exc:
        pytest.skip(str(exc))


def test_without_any_sandbox_bash_is_refused_and_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sandlock", None)

    with pytest.raises(SettingsError, match=r"bubblewrap 0\.8.*fusion-magic\[bash\].*bubblewrap: not installed"):
        asyncio.run(find_sandbox())


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_container_runs_a_command_without_network(name: str):
    if reason := asyncio.run(refusal(Container(name))):
        pytest.skip(f"{name}: {reason}")

    said = asyncio.run(bash.run(Container(name), "cat /proc/net/dev | grep -c :; ls -A"))

    assert said == "1\n(exit code 0)"
