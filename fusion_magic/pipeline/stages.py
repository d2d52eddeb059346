"""The steps that strategies are made of: ask the panel, compare, write; each with what it must leave behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import CallError
from ..events import AnalysisReady, CallEnded, ToolEnded
from ..results import Analysis, Response, Status
from .judge import judge
from .kit import Kit
from .one_pass import compare_and_write
from .panel import Briefing, Skips, ask_panel
from .plan import Chair, Plan
from .question import Matter, Run
from .request import FusionRequest
from .synthesis import synthesize

Ending = tuple[Status, str | None]  # how a run ended, and why there is no answer


@dataclass(frozen=True, slots=True)
class Work:
    """What a strategy works with. What a step has brought is on the disk before the next one begins."""

    run: Run
    plan: Plan
    kit: Kit
    request: FusionRequest
    skips: Skips

    @property
    def briefing(self) -> Briefing:
        """What every seat is given."""
        return replace(self.request.briefing(self.kit), task=self.plan.task)

    def matter(self) -> Matter:
        """What judge and synthesizer are told."""
        return self.request.matter()

    def take_over(self) -> None:
        """Tell of the calls whose answers come from an earlier result."""
        given = self.request.given
        for event in (*map(CallEnded, given.calls), *map(ToolEnded, given.tools)):
            self.run.emit(event)

    async def panel(
        self, briefing: Briefing | None = None, seats: tuple[Chair, ...] | None = None
    ) -> tuple[Response, ...]:
        """Ask the panel, or these of its seats; returns the answers in seat order, perhaps none."""
        plan = self.plan if seats is None else replace(self.plan, seats=seats)
        responses = await ask_panel(self.run, plan, briefing or self.briefing, self.skips)
        self.run.memory.settle()
        return responses

    async def analysis(self, responses: tuple[Response, ...], matter: Matter | None = None) -> Analysis | None:
        """Let the judge compare the responses; None if it failed, which is told."""
        given = self.request.given.analysis
        if given is not None:
            self.run.emit(AnalysisReady(given))
            return given
        analysis = await judge(self.run, self.plan, matter or self.matter(), responses, self.kit)
        self.run.memory.settle()
        return analysis

    async def answer(
        self, responses: tuple[Response, ...], analysis: Analysis | None, matter: Matter | None = None
    ) -> Ending:
        """Let the synthesizer write the answer, and end."""
        matter = matter or self.matter()
        try:
            await synthesize(self.run, self.plan, matter, responses, analysis, self.request.schema)
        except CallError as exc:
            return self.unanswered(exc)
        return self.ended()

    async def fused(self, responses: tuple[Response, ...], matter: Matter | None = None) -> Ending:
        """Let the responses be compared and the answer be written, in one call if that was chosen, and end."""
        matter = matter or self.matter()
        if not self.plan.one_pass or self.request.given.analysis:
            return await self.answer(responses, await self.analysis(responses, matter), matter)
        try:
            analysis, is_written = await compare_and_write(self.run, self.plan, matter, responses)
        except CallError as exc:
            return self.unanswered(exc)
        if is_written:
            return self.ended()
        self.run.memory.settle()
        return await self.answer(responses, analysis, matter)

    def judged(self, analysis: Analysis | None) -> Ending:
        """How a run ends that was only to be judged."""
        if analysis is not None:
            return "ok", None
        status: Status = "limited" if self.run.is_limited else "error"
        return status, "The judge wrote no analysis, which was all that was asked."

    def unanswered(self, exc: CallError) -> Ending:
        """How a run ends whose synthesizer failed."""
        status: Status = "limited" if self.run.is_limited else "error"
        return status, f"There is no fused answer: {exc} The responses are kept."

    def nobody(self) -> Ending:
        """How a run ends in which no seat answered."""
        all_skipped = self.skips.labels >= {chair.seat.label for chair in self.plan.seats}
        return ("cancelled", "Every seat was skipped.") if all_skipped else ("error", "No panelist answered.")

    def ended(self) -> Ending:
        """How a run ends that has its answer."""
        return ("limited", self._limited()) if self.run.is_limited else ("ok", None)

    def _limited(self) -> str:
        assert self.run.budget is not None
        limit = self.run.budget.limit
        return f"Limited by the budget ({limit}): not all was asked, or not to its end; `.resume()` goes on."
