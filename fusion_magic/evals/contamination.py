"""Keeps a dataset's rubrics away from the models that are evaluated: a screen between them and their tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ..prompts import digest
from .datasets import Dataset

# Measured on 200 real answers to 20 DRACO tasks, which are honest: 4 share 12 words in a row with a requirement, 1 of
# them each, none 15; none has a shorter requirement whole, or an id of three words. A published rubric has dozens.
RUN, LONG_RUN = 12, 15
SHORT = 5  # words; a requirement of fewer is no mark
WITHHELD = "[withheld: this result holds parts of the rubric by which the answer is graded]"
_WORD = re.compile(r"\w+")
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+){2,}")


@dataclass(frozen=True)
class Screen:
    """Tells text that holds a dataset's rubrics, and withholds it; `map(..., screen=Screen.of(dataset))`.

    Rubric text is 15 words in a row of one requirement, or two criteria of one task, each known by 12 words in a row,
    by all of its words where they are 5 to 11, or by an id of three words or more.

    Attributes:
        criteria: (task, criterion, requirement) of every criterion.
    """

    criteria: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Screen:
        """The screen of a dataset's rubrics."""
        return cls(tuple((task.id, each.id, each.requirement) for task in dataset for each in task.rubric))

    def ready(self) -> Screen:
        """Itself, with what it looks up made: 0.2 s for DRACO, which the event loop of runs should not spend."""
        _ = self._long, self._runs, self._short, self._ids
        return self

    def __call__(self, text: str) -> str:
        """The text, or a sentence in its place."""
        return WITHHELD if self.found(text) else text

    def found(self, text: str) -> tuple[str, ...]:
        """The passages by which a text is known to hold a rubric; empty if it holds none."""
        passages: dict[tuple[str, str], str] = {}
        for marks, passage in self._marked(text):
            for mark in marks:
                if len(passage.split()) >= LONG_RUN:
                    return (passage,)
                passages.setdefault(mark, passage)
        tasks = [task for task, _ in passages]
        return tuple(passage for (task, _), passage in passages.items() if tasks.count(task) > 1)

    def _marked(self, text: str) -> Iterator[tuple[set[tuple[str, str]], str]]:
        """(criteria, passage) for every run of words and id of theirs in the text, long runs first."""
        words = _words(text)
        for size, known in ((LONG_RUN, self._long), (RUN, self._runs)):
            for run in _runs(words, size):
                if marks := known.get(hash(run)):
                    yield marks, " ".join(run)
        for place, run in enumerate(_runs(words, SHORT)):
            for mark, whole in self._short.get(hash(run), ()):
                if words[place : place + len(whole)] == whole:
                    yield {mark}, " ".join(whole)
        for found in _ID.findall(text.casefold()):
            if marks := self._ids.get(found):
                yield marks, found

    @cached_property
    def _runs(self) -> dict[int, set[tuple[str, str]]]:
        return self._index(RUN)

    @cached_property
    def _long(self) -> dict[int, set[tuple[str, str]]]:
        return self._index(LONG_RUN)

    @cached_property
    def _short(self) -> dict[int, list[tuple[tuple[str, str], list[str]]]]:
        """Requirements of 5 to 11 words, by their beginning."""
        found: dict[int, list[tuple[tuple[str, str], list[str]]]] = {}
        for task, id, requirement in self.criteria:
            words = _words(requirement)
            if SHORT <= len(words) < RUN:
                found.setdefault(hash(tuple(words[:SHORT])), []).append(((task, id), words))
        return found

    @cached_property
    def _ids(self) -> dict[str, set[tuple[str, str]]]:
        found: dict[str, set[tuple[str, str]]] = {}
        for task, id, _ in self.criteria:
            if _ID.fullmatch(id.casefold()):
                found.setdefault(id.casefold(), set()).add((task, id))
        return found

    def _index(self, size: int) -> dict[int, set[tuple[str, str]]]:
        found: dict[int, set[tuple[str, str]]] = {}
        for task, id, requirement in self.criteria:
            for run in _runs(_words(requirement), size):
                found.setdefault(hash(run), set()).add((task, id))
        return found

    def __getstate__(self) -> dict[str, object]:
        return {"criteria": self.criteria}  # hashes of texts differ between processes

    def __repr__(self) -> str:
        return f"Screen({digest(*(part for each in self.criteria for part in each))[:12]})"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _runs(words: list[str], size: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(size)), strict=False)
