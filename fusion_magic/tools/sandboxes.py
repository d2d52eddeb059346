"""Where a shell command may run: bubblewrap, sandlock or a container, whichever works here; never a bare process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import SettingsError
from . import processes, seccomp

MB = 1024 * 1024
SCRATCH, MEMORY, PROCESSES, FILES = 64 * MB, 512 * MB, 64, 256
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
IMAGE = "python:3.12-slim"
CHILD = Path(__file__).with_name("sandbox_child.py")
# What a command sees of /usr: not /usr/src, where containers keep their application.
PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share", "local")
INSTALL = "install bubblewrap 0.8 or newer (Linux), `fusion-magic[bash]` (Linux), or Docker or Podman with the image "
PROBE = 15.0  # seconds; a container takes one or two


@dataclass(slots=True)
class Running:
    """A command that runs.

    Attributes:
        process: its outermost process; standard output carries both streams.
        end: kills it with everything that it has started, and returns when that is gone.
        used: bytes of memory it uses, where nothing else holds it to MEMORY.
    """

    process: asyncio.subprocess.Process
    end: Callable[[], Awaitable[None]]
    used: Callable[[], int] = lambda: 0


class Sandbox(Protocol):
    """Starts shell commands that see nothing of the analyst."""

    @property
    def name(self) -> str: ...

    async def start(self, command: str) -> Running: ...


async def find_sandbox() -> Sandbox:
    """The first of bubblewrap, sandlock, Docker and Podman in which a command runs and can't list the home folder.

    Raises:
        SettingsError: none does; the message says why and what to install.
    """
    reasons: list[str] = []
    for sandbox in (Bubblewrap(), Sandlock(), Container("docker"), Container("podman")):
        reason = await refusal(sandbox)
        if reason is None:
            return sandbox
        reasons.append(f"{sandbox.name}: {reason}")
    raise SettingsError(f"No sandbox for bash works here; {INSTALL}{IMAGE} ({'; '.join(reasons)}).")


async def refusal(sandbox: Sandbox) -> str | None:
    """Why a sandbox can't be used here, or None if it can."""
    try:
        async with asyncio.timeout(PROBE):
            running = await sandbox.start(f"ls {shlex.quote(str(Path.home()))} >/dev/null 2>&1 || echo $((6 * 7))")
            try:
                said, _ = await running.process.communicate()
            finally:
                await running.end()
    except TimeoutError:  # an OSError too
        return f"no answer within {PROBE:.0f} s"
    except (OSError, ValueError) as exc:
        return "not installed" if isinstance(exc, FileNotFoundError) else str(exc)
    return None if said.strip() == b"42" else " ".join(said.decode("utf-8", "replace").split())[:120] or "it failed"


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(program)
    return path


async def _spawn(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a process, and know it even if cancelled meanwhile: asyncio alone would only kill the outermost one."""
    options.setdefault("stdin", asyncio.subprocess.DEVNULL)
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    )
    cancelled = False
    while not starting.done():
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise
            cancelled = True  # raised by the next await of the caller, which by then can end the process
    if cancelled and (task := asyncio.current_task()):
        task.uncancel()  # counted once, or a timeout around this would not know its own cancellation
        asyncio.get_running_loop().call_soon(task.cancel)
    return starting.result()


class Bubblewrap:
    """Namespaces of its own: files, processes, network, users.

    Held by the kernel: 64 MB of files in one memory file system, 512 MB of address space for each process, 64
    processes, no capabilities, no nested namespaces, no memory by memfd, System V or io_uring. All processes together
    are looked at every 50 ms and killed when they use more than 512 MB. As root it runs under a user id that nobody
    has, because root has no limit of processes.
    """

    name = "bubblewrap"

    async def start(self, command: str) -> Running:
        if not processes.lists_children():
            raise OSError("the system does not list the children of a process")
        fd = os.memfd_create("seccomp")
        try:
            os.write(fd, seccomp.program())
            os.lseek(fd, 0, os.SEEK_SET)
            call = [_found("nice"), "-n", "10", _found("bwrap"), *_options(), "--seccomp", str(fd)]
            inside = [_found("bash"), "-c", _limits() + 'bash -c "$1"; exit $?', "bash", command]
            process = await _spawn(*call, "--", *inside, pass_fds=(fd,), cwd="/", env={}, **_nobody())
        finally:
            os.close(fd)

        async def end() -> None:
            # The first process inside is their init (--as-pid-1): bwrap ends after it, and it after all the others.
            inner: list[int] = []
            while process.returncode is None and not (inner := processes.children(process.pid)):  # noqa: ASYNC110  # nor has a child
                await asyncio.sleep(0.002)
            for pid in inner:
                _kill(pid)
            await _drained(process)

        return Running(process, end, lambda: processes.memory(processes.descendants(process.pid)))


def _options() -> list[str]:
    binds = [f"--ro-bind-try /usr/{part} /usr/{part}" for part in PARTS]
    links = [f"--symlink usr/{part} /{part}" for part in ("bin", "sbin", "lib", "lib32", "lib64")]
    # What the analyst works on may lie below /usr too.
    hidden = [path for path in (Path.home(), Path.cwd()) if any(path.is_relative_to(f"/usr/{part}") for part in PARTS)]
    environment = [f"--setenv {name} {value}" for name, value in {**ENVIRONMENT, "HOME": "/work"}.items()]
    words = " ".join((
        "--unshare-user --disable-userns --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try",
        "--as-pid-1 --hostname sandbox --die-with-parent --new-session --cap-drop ALL --uid 1000 --gid 1000 --clearenv",
        *environment,
        *binds,
        *links,
        "--ro-bind-try /etc/alternatives /etc/alternatives --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache",
        f"--proc /proc --dev /dev --size 4096 --tmpfs /dev/shm --size {SCRATCH} --tmpfs /work --symlink work /tmp",
    )).split()  # fmt: skip
    masks = [word for path in hidden for word in ("--size", "4096", "--tmpfs", str(path))]
    return [*words, *masks, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/work"]


def _limits() -> str:
    """Set inside, where the count of processes begins with those of the sandbox."""
    return f"ulimit -u {PROCESSES} -v {MEMORY // 1024} -f {SCRATCH // 1024} -n {FILES} -c 0 || exit 125; "


def _nobody() -> dict[str, Any]:
    if os.geteuid():
        return {}
    number = 0x7000_0000 + secrets.randbelow(0x0100_0000)
    return {"user": number, "group": number, "extra_groups": ()}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _drained(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a killed process; what it still has in its pipe must be read first."""
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass
    await process.wait()


class Sandlock:
    """Landlock and seccomp, where namespaces are not allowed: a folder on disk, no network, no other processes.

    Held by sandlock: 512 MB, 64 processes. A file may have 64 MB; all files together are looked at every 50 ms.
    """

    name = "sandlock"

    async def start(self, command: str) -> Running:
        try:
            import sandlock  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as exc:
            raise FileNotFoundError("sandlock") from exc
        scratch = tempfile.TemporaryDirectory(prefix="fusion-", ignore_cleanup_errors=True)
        user = _nobody().get("user")
        if user is not None:
            os.chown(scratch.name, user, user)
        request = {
            "user": user,
            "packages": str(Path(sandlock.__file__).parents[1]),
            "command": command,
            "scratch": scratch.name,
            "environment": ENVIRONMENT,
            "memory": MEMORY,
            "processes": PROCESSES,
            "disk": SCRATCH,
        }
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(request).encode())
            given.seek(0)
            process = await _spawn(
                sys.executable, "-I", str(CHILD), stdin=given, env={"HOME": scratch.name}, cwd=scratch.name
            )

        async def end() -> None:
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(5):
                    await _drained(process)
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.to_thread(scratch.cleanup)

        return Running(process, end)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of Docker or Podman, from an image that is already there."""

    name: str

    async def start(self, command: str) -> Running:
        program, called = _found(self.name), f"fusion-{secrets.token_hex(8)}"
        options = (
            f"run --rm --pull never --name {called} --network none --read-only --cap-drop ALL --user 1000:1000 "
            f"--security-opt no-new-privileges --pids-limit {PROCESSES} --memory {MEMORY} --memory-swap {MEMORY} "
            f"--ulimit nofile={FILES} --ulimit core=0 --tmpfs /work:size={SCRATCH},mode=1777 --shm-size 65536 "
            "--workdir /work --env HOME=/work --env TMPDIR=/work --env LANG=C.UTF-8 --init"
        ).split()
        process = await _spawn(program, *options, IMAGE, "bash", "-c", command, cwd="/")

        async def end() -> None:
            while process.returncode is None:
                # The container may not be there yet: asked again until the client sees its end.
                killing = await asyncio.create_subprocess_exec(
                    program, "kill", called, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
                )
                await killing.wait()
                await asyncio.wait([asyncio.ensure_future(_drained(process))], timeout=0.2)
            await _drained(process)

        return Running(process, end)
