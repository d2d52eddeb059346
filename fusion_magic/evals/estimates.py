"""What an evaluation would ask and cost, and whether it can be asked at all, before anybody is."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._loop import loop_thread
from ..api import TICK, estimate_for
from ..errors import FusionError, SettingsError
from ..examine.columns import Columns, documented, table
from ..pipeline.estimate import RunEstimate, Span
from ..pipeline.given import Given
from ..pipeline.plan import Plan
from ..pipeline.request import FusionRequest
from ..prices import roughly
from ..request import request_for
from ..settings import Panelist
from .batches import Asked, Batching, check_batching
from .datasets import Dataset
from .graders import Grader, Marking
from .runs import Shield, System, settings_of

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

ANSWERS, GRADING = "answers", "grading"
CHARACTERS = 4  # of a token of English, by which the length of an answer is guessed
COLUMNS: Columns = {
    "config": ("text", "name of what would be evaluated"),
    "what": ("text", "answers or grading"),
    "runs": ("count", "tasks, or criteria"),
    "calls": ("count", "the least number of calls; repairs and steps with tools come on top"),
    "low": ("number", "US dollars; missing if a model has no known price"),
    "expected": ("number", "US dollars"),
    "high": ("number", "US dollars"),
    "batched": ("flag", "asked in batches; the cost is at half price"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """The answers of one system, or their grading.

    Attributes:
        cost: US dollars, None if a model has no known price; `batched` ones are at half price.
    """

    config: str
    what: str
    runs: int
    calls: int
    cost: Span | None
    batched: bool = False


@dataclass(frozen=True)
class EvaluationEstimate:
    """What an evaluation would cost if nothing of it were in the store; `print` shows it."""

    parts: tuple[Part, ...]

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for the answers of each system, and one for their grading."""
        rows = (
            {name: getattr(part, name) for name in ("config", "what", "runs", "calls", "batched")}
            | dict(zip(("low", "expected", "high"), part.cost or (None, None, None), strict=True))
            for part in self.parts
        )
        return table(COLUMNS, rows)

    @property
    def cost(self) -> Span:
        """US dollars in all; a lower bound if a part has no known price."""
        return sum((part.cost for part in self.parts if part.cost), Span(0, 0, 0))

    def __str__(self) -> str:
        lines = [
            f"{part.config}, {part.what}: {part.calls:,} calls{' in batches' * part.batched}, {_shown(part.cost)}"
            + ", at half price" * part.batched
            for part in self.parts
        ]
        unknown = any(part.cost is None for part in self.parts)
        return "\n".join([*lines, f"Together {'at least ' if unknown else ''}{_shown(self.cost)}."])


def estimate(
    dataset: Dataset,
    systems: Mapping[str, System],
    *,
    grader: str | Panelist | Grader | None = None,
    protocol: str = "official",
    passes: int = 1,
    tasks: Iterable[str] | int | None = None,
    blocked: Sequence[str] | None = None,
    batch: Batching = False,
    **settings: Any,
) -> EvaluationEstimate:
    """What `evaluate` with these arguments would ask and cost if nothing were in the store; nobody is asked.

    The task with the middle length stands for all of them, and for an answer one as long as the system's last call is
    expected to write. Raises SettingsError as `evaluate`.
    """
    chosen = chosen_tasks(dataset, systems, tasks)
    marker = None if grader is None else Grader.of(grader, protocol, passes)
    check_batching(batch, has_grader=marker is not None)
    middle = sorted(chosen, key=lambda sample: len(sample.prompt))[len(chosen) // 2]
    shield, parts = Shield.of(dataset, blocked), list[Part]()
    for name, system in systems.items():
        asked = shield.over(settings_of(name, system, settings))
        answering = Asked(request_of_system(name, middle.prompt, asked), batch is True, name)
        one = _estimated(answering)
        parts.append(_part(answering, name, ANSWERS, len(chosen), one))
        graded = [each for each in chosen if each.rubric and not each.target]
        if marker is None or not graded:
            continue
        rubric = sorted(graded, key=lambda sample: len(sample.prompt))[len(graded) // 2]
        words = "word " * round(one.planned[-1].output_tokens.expected * CHARACTERS / len("word "))
        marking = Marking(name, rubric.id, rubric.rubric[0], rubric.prompt, words, marker.protocol)
        grading = Asked(request_of(str(marking), marker.asked()), bool(batch))
        parts.append(_part(grading, name, GRADING, sum(len(sample.rubric) for sample in graded), _estimated(grading)))
    return EvaluationEstimate(tuple(parts))


def request_of(prompt: str, chosen: Mapping[str, Any]) -> FusionRequest:
    """The request of a row whose arguments of `map` are these. Raises SettingsError, KeyMissing."""
    own = {name: value for name, value in chosen.items() if name not in ("alone", "read", "screen")}
    request = request_for(prompt, **own)
    return replace(request, given=Given(alone=True)) if chosen.get("alone") else request


def request_of_system(name: str, prompt: str, chosen: Mapping[str, Any]) -> FusionRequest:
    """The same of a system. Raises SettingsError also where the screen can't be held before what it reads."""
    request = request_of(prompt, chosen)
    if chosen.get("screen") and request.settings.engine == "openrouter":
        raise SettingsError(
            f'The system {name!r} has engine="openrouter", and the dataset has rubrics: what OpenRouter\'s panel reads '
            "passes neither the screen against leaked rubrics nor the list of blocked sites. Leave engine out."
        )
    return request


def chosen_tasks(dataset: Dataset, systems: Mapping[str, System], tasks: Iterable[str] | int | None) -> Dataset:
    """The tasks to be evaluated. Raises SettingsError if there are none, or no systems."""
    if not systems:
        raise SettingsError("There is no system to evaluate; write {'name': 'vendor/model'}.")
    chosen = dataset.select(tasks)
    if not len(chosen):
        raise SettingsError(f"The dataset {dataset.name} has no tasks to evaluate.")
    return chosen


def check_ready(asked: Iterable[Asked], *, must_be_priced: bool) -> None:
    """Find what would stop these runs before their first call.

    Raises:
        SettingsError: a setting can't be used, or a model has no known price and has to have one.
        KeyMissing, LocalModelError: somebody can't be asked.
        FusionError: called in the thread of the runs.
    """
    if loop_thread().is_current:
        raise FusionError("evaluate() can't wait inside a run's own event loop; call it in another thread.")
    for each in asked:
        plan = _waited(each.plan(asks=True))
        unpriced = [chair.model for chair in plan.chairs() if not chair.price.is_known]
        if must_be_priced and unpriced:
            raise SettingsError(
                f"{unpriced[0]} has no known price, so max_usd can't be kept. Write the price into [prices] of "
                "fusion.toml, or run with allow_unpriced=True."
            )


def _waited(work: Coroutine[Any, Any, Plan]) -> Plan:
    under_way = loop_thread().submit(work)
    try:
        while not wait([under_way.future], timeout=TICK).done:
            pass
    except KeyboardInterrupt:
        under_way.cancel()
        raise
    return under_way.future.result()


def _estimated(asked: Asked) -> RunEstimate:
    """The estimate of one row, if nothing is in the store."""
    settings = asked.request.settings.model_copy(update={"reuse": "never", "fresh": None})
    new = replace(asked, request=replace(asked.request, settings=settings))
    return estimate_for(replace(new.request, plan=_waited(new.plan(asks=False))))


def _part(asked: Asked, config: str, what: str, runs: int, one: RunEstimate) -> Part:
    calls = one.count.least if one.count else len(one.planned)
    cost = None if one.unpriced else one.cost * Span(runs, runs, runs)
    return Part(config, what, runs, runs * calls, cost, asked.batched)


def _shown(cost: Span | None) -> str:
    if cost is None:
        return "cost not known"
    low, expected, high = map(roughly, cost)
    return f"about {expected} ({low} to {high})" if cost.high else "no cost"
