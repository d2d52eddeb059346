"""DRACO: 100 deep-research tasks with weighted rubrics (Perplexity, arXiv:2602.11685), scored as published."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx

from ..errors import SettingsError
from ..folders import cache_dir
from .datasets import Dataset, Sample, samples_in
from .rubrics import COVERAGE, Graded, Rubric, Verdict, over_passes, rubric_of
from .rubrics import score as score_pass

REVISION = "ce076749809027649ebd331bcb70f42bf720d387"
SHA256 = "e35bfe78cd827fa1d541b79fbc7bc7b91966d3227d8742c83e99d26d4ac4679a"
ADDRESS = f"https://huggingface.co/datasets/perplexity-ai/draco/resolve/{REVISION}/test.jsonl"
MOST = 10_000_000  # bytes; the file has 909,190
SECONDS = 60.0

# Where the tasks and rubrics are published or discussed. The papers' own pages, as OpenRouter excluded them, and the
# hosts that two reproductions blocked: ScreamingFace, and Lore-Hex/TrustedRouter-Fusion-Draco. arxiv.org as a whole,
# which ScreamingFace blocks too, stays open: tasks of the domain Academic rest on it.
BLOCKED = (
    "huggingface.co",
    "hf.co",
    "openrouter.ai",
    "paperswithcode.com",
    "research.perplexity.ai",
    "r2cdn.perplexity.ai",
    "arxiv.org/abs/2602.11685",
    "arxiv.org/pdf/2602.11685",
    "arxiv.org/html/2602.11685",
    "alphaxiv.org/abs/2602.11685",
    "alphaxiv.org/pdf/2602.11685",
    "alphaxiv.org/overview/2602.11685",
    "api.semanticscholar.org",
    "github.com/Lore-Hex",
    "github.com/ScreamingFace",
    "github.com/valyuAI/valyu-benchmarks",
    "raw.githubusercontent.com/Lore-Hex",
    "raw.githubusercontent.com/ScreamingFace",
    "raw.githubusercontent.com/valyuAI/valyu-benchmarks",
)


def load(path: str | Path | None = None, *, download: bool = True) -> Dataset:
    """The 100 tasks, checked by their checksum.

    Args:
        path: the published `test.jsonl`. Without one it is read from the cache folder, where it is kept once it was
            downloaded from its address (MIT licence, 0.9 MB); a damaged one is downloaded again.
        download: whether it may be downloaded.

    Raises:
        SettingsError: it can't be read, downloaded or kept, or it is another file.
    """
    kept = cache_dir() / f"draco-{REVISION[:7]}.jsonl"
    data = kept_or_downloaded(kept, download=download) if path is None else _read(Path(path).expanduser())
    name = str(path or kept)
    return Dataset("DRACO", tuple(samples_in(checked(data, name).decode("utf-8"), name, _task)), BLOCKED)


def score(
    task: Sample | Rubric, verdicts: Mapping[str, Verdict] | Sequence[Mapping[str, Verdict]], *, least: float = COVERAGE
) -> Graded:
    """What an answer to a task scores, exactly as in section 4.2 of the paper; see `rubrics.score`.

    Args:
        task: a task, or its rubric.
        verdicts: by criterion id; or one such mapping for each pass, each of which is clipped before the mean.
        least: share of verdicts below which a pass has no score.

    Returns:
        Raw, normalized (0 to 100), pass rate, penalty of negatives, coverage and a score for each section.
    """
    rubric = task.rubric if isinstance(task, Sample) else task
    if isinstance(verdicts, Mapping):
        return score_pass(rubric, verdicts, least=least)
    return over_passes(rubric, verdicts, least=least)


def kept_or_downloaded(kept: Path, *, download: bool = True, address: str = ADDRESS) -> bytes:
    """The bytes of the kept file; where there is none, or a damaged one, of what is downloaded and kept in its place.

    Raises:
        SettingsError: as `load`.
    """
    if kept.exists():
        data = _read(kept)
        if not download or _is_published(data):
            return data
    elif not download:
        raise SettingsError(f"DRACO is not in the cache folder; draco.load() downloads it from {address}.")
    data = checked(_downloaded(address), address)
    _keep(data, kept)
    return data


def checked(data: bytes, name: str) -> bytes:
    """The file's bytes. Raises SettingsError unless they are those of the published revision."""
    if not _is_published(data):
        raise SettingsError(
            f"{name} is not DRACO's test.jsonl of revision {REVISION[:7]}: its SHA-256 is "
            f"{hashlib.sha256(data).hexdigest()[:12]}…, not {SHA256[:12]}…. Download it again from {ADDRESS}."
        )
    return data


def _is_published(data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == SHA256


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"DRACO can't be read from {path}: {exc}") from exc


def _keep(data: bytes, path: Path) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, beside = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as exc:
        raise SettingsError(f"DRACO can't be kept in {path} ({exc}); download it and give load() its path.") from exc


def _downloaded(address: str) -> bytes:
    found = bytearray()
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=SECONDS) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                found += part
                if len(found) > MOST:
                    break  # the checksum says so
    except httpx.HTTPError as exc:
        raise SettingsError(f"DRACO can't be downloaded from {address}: {exc}") from exc
    return bytes(found)


def _task(data: Mapping[str, Any]) -> Sample:
    answer = cast("dict[str, Any]", json.loads(str(data["answer"])))
    return Sample(
        id=str(data["id"]),
        prompt=str(data["problem"]),
        domain=str(data["domain"]),
        rubric=rubric_of(answer["sections"]),
        metadata={"rubric": str(answer["id"])},
    )
