"""`evaluate`: systems over a dataset, graded, as scores; run the same call again to finish what was stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..batch import Row
from ..settings import Panelist
from .batches import Asked, Batching, check_batching
from .datasets import Dataset, Sample
from .estimates import check_ready, chosen_tasks, request_of, request_of_system
from .graders import Grader, Marking, markings
from .rubrics import Graded, over_passes
from .runs import Answered, Asking, Marked, Money, Shield, System, warn_of_kin
from .scores import AXIS, Scores
from .targets import is_right, protocol_of


def evaluate(
    dataset: Dataset,
    systems: Mapping[str, System],
    *,
    grader: str | Panelist | Grader | None = None,
    protocol: str = "official",
    passes: int = 1,
    tasks: Iterable[str] | int | None = None,
    max_usd: float | None = None,
    concurrency: int | None = None,
    client: Any = None,
    batch: Batching = False,
    blocked: Sequence[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Scores:
    """Let systems answer the tasks of a dataset, and have the answers graded.

        tasks = evals.draco.load()
        scores = evals.evaluate(
            tasks,
            {"Opus alone": "anthropic/claude-opus-4.8", "panel": {"panel": "frontier"}},
            grader="google/gemini-3.1-pro-preview", passes=3, tools="web", max_tool_calls=16, max_usd=200,
        )

    Every answer and every verdict is a run in the store, so the same call again goes on where it was stopped, and
    another system is added without paying for the first. Nothing is taken for a score that is none: a task without an
    answer is `failed`, one without verdicts enough is `ungraded`, and both have no number.

    Args:
        dataset: what is asked.
        systems: by name: a model (or Panelist) that is asked alone, or settings as of `fuse`, in which `model` is one
            asked alone.
        grader: the model that grades rubrics, or a `Grader`, which has its own protocol and passes; tasks with a
            target need none.
        protocol: "official", or "response_first"; see `Grader`.
        passes: how often each criterion is graded, 1 to 8.
        tasks: ids or their beginnings, or how many.
        max_usd: US dollars of answers and grading together.
        concurrency: rows under way at a time; see `map`.
        client: a `distributed.Client`; see `map`.
        batch: ask in the batches of endpoints that have them, such as openai, at half price and within a day; "grading"
            sends only the grading there, for systems that can't go, such as those with tools.
        blocked: sites that tools may not read; None takes those of the dataset, () none.
        progress: show how far it is.
        settings: of every system that does not say otherwise, such as `tools="web"`.

    Raises:
        SettingsError, KeyMissing: nothing can be asked like this.
        BatchInterrupted: interrupted; what was answered is in the store.
    """
    chosen = chosen_tasks(dataset, systems, tasks)
    judge = None if grader is None else Grader.of(grader, protocol, passes)
    check_batching(batch, has_grader=judge is not None)
    how = {"concurrency": concurrency, "progress": progress}
    asking = Asking(Money(max_usd), Shield.of(dataset, blocked), settings, how, client, batch)
    priced = max_usd is not None and not settings.get("allow_unpriced")
    check_ready(_asked(asking, systems, judge), must_be_priced=priced)
    cells: list[Cell] = []
    for name, system in systems.items():
        rows = asking.answers(name, system, chosen.samples)
        cells += [Cell(name, sample, row) for sample, row in zip(chosen, rows, strict=True)]
    if judge is not None:
        _grade(asking, judge, cells)
    return Scores.of([cell.row(judge) for cell in cells], [row for cell in cells for row in cell.verdicts(judge)])


def _asked(asking: Asking, systems: Mapping[str, System], grader: Grader | None) -> Iterable[Asked]:
    """A run of each system and one of the grader, to see what is wrong with them before anything is paid."""
    for name, system in systems.items():
        request = request_of_system(name, "?", asking.to_answer(name, system))
        yield Asked(request, asking.batch is True, name, asking.client)
    if grader is not None:
        yield Asked(request_of("?", asking.to_grade(grader)), bool(asking.batch))


@dataclass
class Cell:
    """One system on one task.

    Attributes:
        answer: as `map` brought it.
        marked: what the grader said of each criterion.
    """

    config: str
    sample: Sample
    answer: Row
    marked: dict[str, Marked] = field(default_factory=dict[str, Marked])

    @property
    def text(self) -> str | None:
        """The answer, if the system gave a whole one."""
        return self.answer.answer if self.answer.status == "ok" else None

    def markings(self, grader: Grader) -> list[Marking]:
        """What the grader is asked about it."""
        sample = self.sample
        if self.text is None or sample.target:
            return []
        return markings(self.config, sample.id, sample.prompt, self.text, sample.rubric, grader.protocol)

    def row(self, grader: Grader | None) -> dict[str, Any]:
        """Its row of the frame of scores."""
        told = self.answer.parsed if isinstance(self.answer.parsed, Answered) else None
        return {
            "config": self.config,
            "task": self.sample.id,
            "domain": self.sample.domain or None,
            "cost": told and told.cost,
            "tokens": told and told.tokens,
            "seconds": told and told.seconds,
            "run": self.answer.run,
            **self._score(grader, told),
        }

    def _score(self, grader: Grader | None, told: Answered | None) -> dict[str, Any]:
        if self.text is None:
            return {"status": "failed", "error": self.answer.error or f"There is no answer ({self.answer.status})."}
        lost = f"Of its seats failed {' '.join(told.lost)}" if told and told.lost else None
        if self.sample.target:
            right = 100.0 * is_right(self.sample, self.text)
            told_by = {"protocol": protocol_of(self.sample), "passes": 1, "coverage": 1.0, "grading_cost": 0.0}
            return {"status": "ok", "score": right, "pass_rate": right, "error": lost, **told_by}
        if grader is None or not self.sample.rubric:
            why = "no grader was given" if self.sample.rubric else "the task has neither a target nor a rubric"
            return {"status": "ungraded", "error": f"There is no score: {why}."}
        return {**_graded(self.graded(grader)), "error": lost, **self._graded_by(grader), **self._unscored(grader)}

    def graded(self, grader: Grader) -> Graded:
        """Its score by the opinions there are."""
        passes = [
            {id: each.opinions[number].met for id, each in self.marked.items()} for number in range(grader.passes)
        ]
        return over_passes(self.sample.rubric, passes)

    def _graded_by(self, grader: Grader) -> dict[str, Any]:
        costs = [each.cost for each in self.marked.values()]
        known = [cost for cost in costs if cost is not None]
        return {
            "grader": grader.seat.model,
            "grader_settings": grader.told,
            "protocol": grader.protocol,
            "grading_cost": sum(known) if known and len(known) == len(costs) else None,
        }

    def _unscored(self, grader: Grader) -> dict[str, Any]:
        graded = self.graded(grader)
        if graded.has_score:
            return {"status": "ok"}
        why = next((each.error for each in self.marked.values() if each.error), "The grader's replies can't be read.")
        text = f"Only {graded.coverage:.0%} of the verdicts exist; run the same call again. {why}"
        return {"status": "ungraded", "error": text}

    def verdicts(self, grader: Grader | None) -> Iterable[dict[str, Any]]:
        """Its rows of the frame of verdicts."""
        for criterion in self.sample.rubric:
            if criterion.id not in self.marked:
                continue
            cost = self.marked[criterion.id].cost
            for number, opinion in enumerate(self.marked[criterion.id].opinions, 1):
                yield {
                    "config": self.config,
                    "task": self.sample.id,
                    "domain": self.sample.domain or None,
                    "criterion": criterion.id,
                    "section": criterion.section,
                    "weight": criterion.weight,
                    "passno": number,
                    "met": opinion.met,
                    "explanation": opinion.explanation,
                    "grader": grader and grader.seat.model,
                    "protocol": grader and grader.protocol,
                    "cost": cost and cost / grader.passes if grader else None,
                }


def _grade(asking: Asking, grader: Grader, cells: Sequence[Cell]) -> None:
    """Put the grader's opinions into the cells."""
    by_place = {(cell.config, cell.sample.id): cell for cell in cells}
    for name in dict.fromkeys(cell.config for cell in cells):
        told = [cell.answer.parsed for cell in cells if cell.config == name and cell.markings(grader)]
        warn_of_kin(grader, name, [model for each in told if isinstance(each, Answered) for model in each.models])
    asked = [marking for cell in cells for marking in cell.markings(grader)]
    for marking, marked in zip(asked, asking.opinions(grader, asked), strict=True):
        by_place[marking.config, marking.task].marked[marking.criterion.id] = marked


def _graded(graded: Graded) -> dict[str, Any]:
    return {
        "score": graded.normalized,
        "raw": graded.raw,
        "pass_rate": graded.pass_rate,
        "negative_penalty": graded.negative_penalty,
        "sd_passes": graded.sd,
        "flip_rate": graded.flip_rate,
        "passes": graded.passes,
        "coverage": graded.coverage,
        **{f"{AXIS}{title}": share for title, share in graded.sections.items()},
    }
