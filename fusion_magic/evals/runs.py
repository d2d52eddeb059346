"""What an evaluation asks of `map`: the systems for answers, then the grader for verdicts, within one sum of money."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import batch
from ..batch import Row
from ..errors import SettingsError
from ..examine.costs import full_cost, full_seconds
from ..examine.families import family
from ..results import FusionResult, dollars
from ..settings import ASKED, Panelist
from .batches import Batching
from .contamination import Screen
from .datasets import Dataset, Sample
from .graders import Grader, Marking, Opinion, Replies, is_readable, opinion_in

System = str | Panelist | Mapping[str, Any]
# An evaluation may take days, and is finished by the same call: what it has is not asked again for being old.
MAX_AGE = "4w"
# Settings of the systems that the grader is asked with too.
SHARED = ("store", "reuse", "max_age", "private", "allow_unpriced", "retries", "timeout", "gap_timeout")


class GraderKin(UserWarning):
    """The grader is of the family of a model that it grades; graders favour their own kind (arXiv:2604.06996)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is taken from the run of an answer.

    Attributes:
        cost: US dollars with all of its parts, those reused at what they had cost; None if not known.
        tokens: read and written; None if no server reported them.
        seconds: from the prompt to the answer; None if not known.
        models: who was asked.
        lost: why seats did not answer.
    """

    cost: float | None
    tokens: int | None
    seconds: float | None
    models: tuple[str, ...]
    lost: tuple[str, ...]

    @classmethod
    def of(cls, result: FusionResult) -> Answered:
        """What there is in a result."""
        used = [call.usage.total_tokens for call in result.calls if call.usage]
        return cls(
            full_cost(result),
            sum(used) if used else None,
            full_seconds(result),
            tuple(dict.fromkeys(call.model for call in result.calls)),
            tuple(f"{seat.label}: {seat.error}" for seat in result.failed_models),
        )


@dataclass(frozen=True, slots=True)
class Marked:
    """What came of one marking.

    Attributes:
        opinions: one for each pass.
        unread: places of the passes whose reply can't be read; those that failed are asked again by the next call.
        cost: US dollars; None if not known.
        error: why passes failed; empty if none did.
    """

    opinions: tuple[Opinion, ...]
    unread: tuple[int, ...]
    cost: float | None
    error: str = ""

    @classmethod
    def of(cls, row: Row, passes: int) -> Marked:
        """What a row of the grader brought."""
        told = row.parsed if isinstance(row.parsed, Replies) else Replies(())
        texts = [*told.texts, *(None,) * (passes - len(told.texts))]
        opinions = tuple(map(opinion_in, texts))
        unread = [place for place, text in enumerate(texts) if text is not None and opinions[place].met is None]
        error = next(iter(told.errors), None) or row.error or ""
        return cls(opinions, tuple(unread), told.cost, error)

    def mended(self, again: Marked) -> Marked:
        """With what came when it was asked again in place of what could not be read."""
        instead = dict(zip(self.unread, again.opinions, strict=True))
        opinions = tuple(instead.get(place, opinion) for place, opinion in enumerate(self.opinions))
        cost = None if self.cost is None or again.cost is None else self.cost + again.cost
        return Marked(opinions, again.unread, cost, self.error or again.error)


@dataclass
class Money:
    """US dollars of a whole evaluation; None is no limit."""

    limit: float | None
    paid: float = 0.0

    @property
    def left(self) -> float | None:
        """What may still be paid; None without a limit."""
        return None if self.limit is None else self.limit - self.paid

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing left."""
        return self.left is not None and self.left <= 0


@dataclass(frozen=True)
class Shield:
    """What keeps a dataset's rubrics from the systems: sites that are blocked, and a screen before tool results.

    It is of the whole dataset, whichever tasks are chosen, so that more tasks ask nobody anew.
    """

    blocked: tuple[str, ...] = ()
    screen: Screen | None = None

    @classmethod
    def of(cls, dataset: Dataset, blocked: Sequence[str] | None) -> Shield:
        """The shield of a dataset; `blocked` in place of its sites, unless None."""
        has_rubrics = any(sample.rubric for sample in dataset)
        sites = dataset.blocked if blocked is None else tuple(blocked)
        return cls(sites, Screen.of(dataset).ready() if has_rubrics else None)

    def over(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with it in force.

        Only tools of this machine can be held to it, so `web` is "client" unless it was chosen. OpenRouter's servers
        take hosts alone, so there a blocked page blocks its host.
        """
        given: Any = chosen.get("block_domains") or ()
        own = [given] if isinstance(given, str) else list(given)
        web = chosen.get("web", "client")
        sites = self.blocked if web == "client" else [site.partition("/")[0] for site in self.blocked]
        told = {**chosen, "block_domains": tuple(dict.fromkeys([*own, *sites])), "screen": self.screen}
        return {**told, "web": web} if self.blocked else told


@dataclass(frozen=True)
class Asking:
    """How an evaluation calls `map`.

    Attributes:
        money: what it may spend, and has spent.
        shield: what it keeps from the systems.
        shared: settings of every system.
        how: arguments of `map` that change nothing in the answers: concurrency, progress.
        client: of a cluster, or None; what goes into batches is sent from here.
        batch: what goes into batches.
    """

    money: Money
    shield: Shield
    shared: Mapping[str, Any] = field(default_factory=dict[str, Any])
    how: Mapping[str, Any] = field(default_factory=dict[str, Any])
    client: Any = None
    batch: Batching = False

    def answers(self, name: str, system: System, samples: Sequence[Sample]) -> list[Row]:
        """A row for each sample. Raises as `map`."""
        how = {"client": self.client, "batch": self.batch is True}
        return self._map(samples, prompt_of, read=Answered.of, **how, **self.to_answer(name, system))

    def to_answer(self, name: str, system: System) -> dict[str, Any]:
        """The arguments of `map` that ask a system. Raises SettingsError as `settings_of`."""
        return self.shield.over(settings_of(name, system, self.shared))

    def opinions(self, grader: Grader, asked: Sequence[Marking]) -> list[Marked]:
        """What came of each marking. A reply that can't be read is asked for again, once. Raises as `map`.

        The first reply stays in the store, so that a verdict that came with the second is not paid twice. A second one
        that can't be read either does not, so the next evaluation asks for that one anew, and for no other.
        """
        found = [Marked.of(row, grader.passes) for row in self._marked(grader, asked, grader.passes)]
        unread = {number: each.unread for number, each in enumerate(found) if each.unread}
        for count in sorted(set(map(len, unread.values()))):
            numbers = [number for number, places in unread.items() if len(places) == count]
            markings = [replace(asked[number], again=True) for number in numbers]
            again = self._marked(grader, markings, count, usable=is_readable)
            for number, row in zip(numbers, again, strict=True):
                found[number] = found[number].mended(Marked.of(row, count))
        return found

    def _marked(self, grader: Grader, asked: Sequence[Marking], passes: int, **more: Any) -> list[Row]:
        how = {"client": None if self.batch else self.client, "batch": bool(self.batch)}
        return self._map(asked, str, **how, **self.to_grade(grader, passes), **more)

    def to_grade(self, grader: Grader, passes: int | None = None) -> dict[str, Any]:
        """The arguments of `map` that ask the grader."""
        shared = {name: value for name, value in self.shared.items() if name in SHARED}
        return {"max_age": MAX_AGE, **shared, **grader.asked(passes)}

    def _map(self, rows: Sequence[Any], prompt: Any, **chosen: Any) -> list[Row]:
        if self.money.is_empty:
            return [Row(status="limited", error=self._empty) for _ in rows]
        if not rows:
            return []
        try:
            found: list[Row] = batch.map(list(rows), prompt, max_usd=self.money.left, **self.how, **chosen)
        except SettingsError as exc:
            if not self.money.paid:
                raise
            return [Row(status="limited", error=str(exc)) for _ in rows]  # what is paid for is not thrown away
        self.money.paid += sum(row.cost or 0.0 for row in found)
        return found

    @property
    def _empty(self) -> str:
        return (
            f"Of the evaluation's limit ({dollars(self.money.limit or 0.0)}) nothing is left. "
            "Run the same call with a higher max_usd to go on."
        )


def prompt_of(sample: Sample) -> str:
    """What a sample asks."""
    return sample.prompt


def settings_of(name: str, system: System, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `map` for a system: a model asked alone, or settings as of `fuse`.

    Raises:
        SettingsError: it is neither, or has settings that an evaluation sets itself.
    """
    if isinstance(system, str | Panelist):
        system = {"model": system}
    if not isinstance(system, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from the user
        raise SettingsError(f"The system {name!r} is no model name, no Panelist and no mapping of settings.")
    own: dict[str, Any] = dict(system)
    # Who sits on the panels of the others is nothing to a model that is asked alone.
    for_it = {key: value for key, value in shared.items() if "model" not in own or key not in ASKED}
    chosen = {"max_age": MAX_AGE, **for_it, **own}
    if taken := chosen.keys() & {"schema", "read", "screen", "usable", "alone", "max_usd", "thread", "batch", "client"}:
        raise SettingsError(f"The system {name!r} can't set {min(taken)}; an evaluation sees to that itself.")
    if "model" in chosen:
        if others := chosen.keys() & set(ASKED):
            raise SettingsError(f"The system {name!r} has a model to be asked alone, so leave {min(others)} out.")
        chosen |= {"models": (chosen.pop("model"),), "alone": True, "strategy": "fusion", "engine": "kernel"}
    return chosen


def warn_of_kin(grader: Grader, name: str, models: Iterable[str]) -> None:
    """Warn with `GraderKin` of models of the grader's family."""
    kin = [model for model in dict.fromkeys(models) if family(model) == family(grader.seat.model)]
    if kin:
        text = f"The grader {grader.seat.model} is of the same family as {', '.join(kin)} in {name!r}."
        warnings.warn(f"{text} Graders favour their own kind; take one of another family.", GraderKin, stacklevel=4)
