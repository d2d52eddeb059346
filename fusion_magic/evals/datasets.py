"""Datasets: samples with a prompt and either a rubric or a target, from JSONL files and from the package itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from ..chosen import nearest
from ..errors import SettingsError
from .rubrics import Rubric, rubric_of

FIELDS = ("id", "prompt", "domain", "target", "tolerance", "sections", "metadata")


@dataclass(frozen=True, slots=True)
class Sample:
    """One task. It has a rubric or a target; with neither nobody can score it.

    Attributes:
        id: unique in its dataset.
        prompt: what is asked.
        domain: its field, for grouping.
        rubric: criteria for a grader.
        target: right short answers, any of them; numbers are compared as numbers.
        tolerance: by which share of the target a number may differ.
        metadata: whatever else is known of it.
    """

    id: str
    prompt: str
    domain: str = ""
    rubric: Rubric = ()
    target: tuple[str | float, ...] = ()
    tolerance: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Dataset:
    """Samples under a name.

    Attributes:
        name: what it is called.
        samples: in their order; ids are unique.
        blocked: sites, or pages of them, that hold its tasks or rubrics; no tool should read them.
    """

    name: str
    samples: tuple[Sample, ...]
    blocked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({sample.id for sample in self.samples}) < len(self.samples):
            ids = [sample.id for sample in self.samples]
            twice = next(each for each in ids if ids.count(each) > 1)
            raise SettingsError(f"The dataset {self.name} has two samples with the id {twice!r}; ids are unique.")

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __getitem__(self, id: str) -> Sample:
        """The sample whose id is this, or alone begins with it. Raises SettingsError otherwise."""
        found = [each for each in self.samples if each.id == id] or [
            each for each in self.samples if id and each.id.startswith(id)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise SettingsError(f'"{id}" is the beginning of {len(found)} tasks of {self.name}; write more of the id.')
        hint = nearest(id, [each.id for each in self.samples])
        raise SettingsError(f'{self.name} has no task "{id}"{hint}')

    def select(self, tasks: Iterable[str] | int | None) -> Dataset:
        """The dataset with some of its samples.

        Args:
            tasks: ids or their beginnings; a number takes so many, spread evenly over the whole; None takes all.

        Raises:
            SettingsError: there is no such task.
        """
        if tasks is None:
            return self
        if isinstance(tasks, int):
            if not 1 <= tasks <= len(self):
                raise SettingsError(f"{self.name} has {len(self)} tasks; {tasks} of them can't be taken.")
            chosen = (self.samples[number * len(self) // tasks] for number in range(tasks))
        else:
            chosen = (self[id] for id in ([tasks] if isinstance(tasks, str) else tasks))
        return replace(self, samples=_once(chosen))


def _once(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple({sample.id: sample for sample in samples}.values())


def read_dataset(path: str | Path, name: str | None = None) -> Dataset:
    """A dataset from a JSONL file.

    A line is an object with `id`, `prompt` and, as it has them: `domain`; `target` (a text, a number or a list of
    them) with `tolerance`; `sections` (`[{"title", "criteria": [{"id", "weight", "requirement"}]}]`); `metadata`.

    Raises:
        SettingsError: the file can't be read; the sentence names the line.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"The dataset {path} can't be read: {exc}") from exc
    return Dataset(name or Path(path).stem, tuple(samples_in(text, str(path), _sample)))


def mini() -> Dataset:
    """Sixteen small tasks of ours, four of them with a rubric, the others with a short answer: a smoke test."""
    text = files(__package__ or "").joinpath("mini.jsonl").read_text(encoding="utf-8")
    return Dataset("mini", tuple(samples_in(text, "mini.jsonl", _sample)))


def samples_in(text: str, name: str, read: Any) -> Iterator[Sample]:
    """A sample for each line that is not empty. Raises SettingsError with the line's number."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data: object = json.loads(line)
            if not isinstance(data, dict):
                raise ValueError("it is no JSON object")
            yield read(cast("dict[str, Any]", data))
        except (KeyError, TypeError, ValueError, SettingsError) as exc:
            what = f"{exc} is missing" if isinstance(exc, KeyError) else str(exc)
            raise SettingsError(f"Line {number} of {name} is no sample: {what}.") from exc


def _sample(data: Mapping[str, Any]) -> Sample:
    if unknown := data.keys() - set(FIELDS):
        raise ValueError(f"there is no field {min(unknown)!r}; fields are {', '.join(FIELDS)}")
    target = data.get("target", [])
    return Sample(
        id=str(data["id"]),
        prompt=str(data["prompt"]),
        domain=str(data.get("domain", "")),
        rubric=rubric_of(data.get("sections", [])),
        target=tuple(target) if isinstance(target, list) else (target,),  # pyright: ignore[reportUnknownArgumentType]
        tolerance=float(data.get("tolerance", 0.0)),
        metadata=data.get("metadata", {}),
    )
