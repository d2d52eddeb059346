"""A model as grader: one criterion in one call, blind to its weight and to its siblings, as DRACO has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ..chosen import checked
from ..errors import SettingsError
from ..examine.costs import full_cost
from ..pipeline.reply import first_object
from ..prompts import digest, fenced
from ..results import FusionResult
from ..settings import LABELS, Panelist
from .rubrics import Criterion

Protocol = Literal["official", "response_first"]
PROTOCOLS = ("official", "response_first")
# As OpenRouter's harness and the paper's Gemini 3 Pro grader: table 16 of arXiv:2602.11685.
TEMPERATURE, EFFORT = 0.2, "low"
MOST_PASSES = len(LABELS)  # a pass is a seat of one run
AGAIN = "Your last reply was not readable JSON. Return only the raw JSON object, starting with {."
_STATUS = re.compile(r'"criterion_status"\s*:\s*"(MET|UNMET)"')


@dataclass(frozen=True, slots=True)
class Grader:
    """Who grades, and how.

    Attributes:
        seat: the model with its settings.
        protocol: "official" is the order of the paper's prompt. "response_first" puts question and response before the
            criterion, so that a provider's prompt cache has to read them once for all criteria; its scores are not
            comparable with the official ones.
        passes: how often every criterion is graded, 1 to 8; the paper took 5.
    """

    seat: Panelist
    protocol: Protocol = "official"
    passes: int = 1

    @classmethod
    def of(cls, model: str | Panelist | Grader, protocol: str = "official", passes: int = 1) -> Grader:
        """The grader that this means; a model by its name is asked at temperature 0.2 and with little reasoning.

        Raises:
            SettingsError: no such protocol, or a number of passes that can't be.
        """
        if isinstance(model, Grader):
            return model
        if protocol not in PROTOCOLS:
            raise SettingsError(f'There is no protocol "{protocol}"; there are {" and ".join(PROTOCOLS)}.')
        if not 1 <= passes <= MOST_PASSES:
            raise SettingsError(f"passes is how often a criterion is graded, 1 to {MOST_PASSES}; it is {passes}.")
        named = {"model": model, "temperature": TEMPERATURE, "effort": EFFORT}
        seat = model if isinstance(model, Panelist) else checked(Panelist, named)
        return cls(seat, "official" if protocol == "official" else "response_first", passes)

    @property
    def told(self) -> str:
        """Its settings, as they stand in every row: "temperature 0.2, effort low, max_tokens default, prompt …"."""
        seat = self.seat
        chosen = {"temperature": seat.temperature, "effort": seat.effort, "max_tokens": seat.max_tokens}
        parts = [f"{name} {'default' if value is None else value}" for name, value in chosen.items()]
        parts += [f"system {digest(seat.system)[:8]}"] if seat.system else []
        return ", ".join([*parts, f"prompt {digest(system_prompt())[:8]}"])

    def asked(self, passes: int | None = None) -> dict[str, Any]:
        """The settings of `map` that ask it, so many times for each row, and nobody else."""
        return {
            "models": (self.seat,) * (passes or self.passes),
            "alone": True,
            "system": system_prompt(),
            "strategy": "fusion",
            "engine": "kernel",
            "one_pass": False,
            "tools": "none",
            "read": Replies.of,
        }


@dataclass(frozen=True, slots=True)
class Marking:
    """One criterion to be marked in one answer.

    Attributes:
        config: whose answer it is.
        task: the sample's id.
        query, response: what was asked, and the answer.
        protocol: the order of the prompt.
        again: whether replies to it could not be read.
    """

    config: str
    task: str
    criterion: Criterion
    query: str
    response: str
    protocol: Protocol = "official"
    again: bool = False

    def __str__(self) -> str:
        """What the grader is asked; `official` is, to the byte, what `rubric`'s PerCriterionGrader sends."""
        kind = f"<criterion_type>\n{self.criterion.kind}\n</criterion_type>"
        criterion = f"<criterion>\n{self.criterion.requirement}\n</criterion>"
        query = f"<query>{self.query}</query>"
        if self.protocol == "official":
            parts = [kind, criterion, query, f"<response>\n{self.response}\n</response>"]
        else:  # the response is a stranger's text: here it can't close its own fence
            parts = [query, fenced("response", self.response, digest(self.response)[:8]), kind, criterion]
        return "\n\n".join([*parts, *([AGAIN] if self.again else [])])


@dataclass(frozen=True, slots=True)
class Replies:
    """What the seats of one run replied, one for each pass.

    Attributes:
        texts: None where a seat failed.
        errors: why those failed.
        cost: US dollars, what was reused at what it had cost; None if not known.
    """

    texts: tuple[str | None, ...]
    errors: tuple[str, ...] = ()
    cost: float | None = None

    @classmethod
    def of(cls, result: FusionResult) -> Replies:
        """The replies in a run's result."""
        said = {seat.label: seat.content for seat in result.responses}
        labels = sorted({*said, *(seat.label for seat in result.failed_models)})
        return cls(
            tuple(said.get(label) for label in labels),
            tuple(seat.error for seat in result.failed_models),
            full_cost(result),
        )


@dataclass(frozen=True, slots=True)
class Opinion:
    """A grader's verdict on a criterion and its reason; `met` is None where there is none that can be read."""

    met: bool | None
    explanation: str = ""


def opinion_in(reply: str | None) -> Opinion:
    """The verdict in a reply: JSON wherever it stands, or broken JSON that states one status only."""
    if reply is None:
        return Opinion(None)
    try:
        data: Mapping[str, Any] = first_object(reply, ("criterion_status",))
    except ValueError:
        data = {}
    status = str(data.get("criterion_status", "")).strip().upper()
    if status not in ("MET", "UNMET"):
        stated = set(_STATUS.findall(reply))
        status = stated.pop() if len(stated) == 1 else ""
    if not status:
        return Opinion(None, reply.strip()[:200])
    return Opinion(status == "MET", str(data.get("explanation", "")))


def is_readable(reply: str) -> bool:
    """Whether there is a verdict in a reply."""
    return opinion_in(reply).met is not None


def markings(
    config: str, task: str, query: str, response: str, rubric: Iterable[Criterion], protocol: Protocol
) -> list[Marking]:
    """Every criterion of a rubric to be marked in an answer."""
    return [Marking(config, task, criterion, query, response, protocol) for criterion in rubric]


@cache
def system_prompt() -> str:
    """The grader's system prompt: appendix C.5 of the DRACO paper, as the MIT-licensed package `rubric` has it."""
    return files(__package__ or "").joinpath("grading_prompt.txt").read_text(encoding="utf-8")
