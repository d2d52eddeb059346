"""What can be done with a result: methods that import their room when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

    from .examine.audits import LeaveOneOut
    from .examine.baseline import Baseline
    from .examine.claims_audit import ClaimsAudit
    from .examine.diff import Diff
    from .examine.extra_runs import Confirm
    from .examine.frames import Frames
    from .examine.judge_audit import JudgeAudit
    from .examine.plots import Plots
    from .recipe import Recipe
    from .results import FusionResult
    from .settings import Panelist


class Workable:
    """The verbs of a `FusionResult`. Each that asks somebody gives a new result and prints what was saved."""

    @property
    def _result(self) -> FusionResult:
        return cast("FusionResult", self)

    def rejudge(self, judge: str | Panelist | None = None, rubric: str | None = None, **settings: Any) -> FusionResult:
        """Compare the same responses anew and write a new answer; only judge and synthesizer are asked.

        Args:
            judge: another model to compare them; without it the same, which then compares them afresh.
            rubric: what the judge should weigh.
        """
        from . import verbs

        return verbs.carried_out(verbs.rejudge(self._result, judge, rubric, **settings))

    def resynthesize(
        self,
        synthesizer: str | Panelist | None = None,
        rulings: Mapping[str, str] | str | None = None,
        **settings: Any,
    ) -> FusionResult:
        """Write a new answer from the same responses and analysis; a result without an analysis is judged first.

        Args:
            synthesizer: another model to write it.
            rulings: what you have decided where responses contradict each other: by topic, or as a text.
        """
        from . import verbs

        return verbs.carried_out(verbs.resynthesize(self._result, synthesizer, rulings, **settings))

    def add(self, model: str | Panelist, **settings: Any) -> FusionResult:
        """Ask one more model; then judge and synthesizer. The others keep their answers and letters."""
        from . import verbs

        return verbs.carried_out(verbs.add(self._result, model, **settings))

    def drop(self, seat: str, **settings: Any) -> FusionResult:
        """Leave a seat out, by its letter; judge and synthesizer are asked again. Later seats move up a letter."""
        from . import verbs

        return verbs.carried_out(verbs.drop(self._result, seat, **settings))

    def retry_failed(self, **settings: Any) -> FusionResult:
        """Ask the seats again that failed or were stopped, not those that you skipped; then judge and synthesizer."""
        from . import verbs

        return verbs.carried_out(verbs.retry_failed(self._result, **settings))

    def resume(self, **settings: Any) -> FusionResult:
        """Go on with a run that was interrupted, cut off or stopped by a budget; what has ended is not asked again.

        A budget can be raised with it: `resume(max_usd=2)`. Seats that failed stay so; `retry_failed` asks them.
        """
        from . import verbs

        return verbs.carried_out(verbs.resume(self._result, **settings))

    def ask(self, seat: str, question: str, **settings: Any) -> FusionResult:
        """Go on with one panelist, who sees the prompt, its own answer and the question, and nothing of the others.

        Returns:
            A result with that seat as its only one; `answer` is what it wrote. Nobody judges it.
        """
        from . import verbs

        return verbs.carried_out(verbs.ask(self._result, seat, question, **settings))

    def recipe(self) -> Recipe:
        """The magic line and a Python script that ask the same again, with models, costs, prompt versions and seeds."""
        from .recipe import recipe

        return recipe(self._result)

    @property
    def frames(self) -> Frames:
        """This run as DataFrames: `frames.calls`, `frames.contradictions`, …; needs the extra `data`."""
        from .examine.frames import frames

        return frames(self._result)

    @property
    def plot(self) -> Plots:
        """Pictures of this run: `plot.timeline()`, `plot.agreement()`, …; needs the extra `data`."""
        from .examine.plots import Plots

        return Plots(self._result)

    @property
    def agreement(self) -> DataFrame:
        """Seat × seat, computed; formula and limits in `examine.agreement.agreement`."""
        from .examine.agreement import agreement

        return agreement(self._result)

    @property
    def effective_votes(self) -> float:
        """How many independent opinions the panel amounted to; see `examine.agreement.effective_votes`."""
        from .examine.agreement import effective_votes

        return effective_votes(self._result)

    def audit_judge(self, k: int = 3, judge: str | Panelist | None = None, *, confirm: Confirm = False) -> JudgeAudit:
        """Let the judge read the responses in `k` other orders, and a second judge once: which findings hold.

        Only judges are asked; the price is printed first, and `confirm=True` asks before anything is spent.
        """
        from .examine.audits import audit_judge

        return audit_judge(self._result, k, judge, confirm=confirm)

    def audit_claims(self, judge: str | Panelist | None = None, *, confirm: Confirm = False) -> ClaimsAudit:
        """Let a model say which responses state each sentence of the answer, beside what comparing words says.

        Only that model is asked; the price is printed first.
        """
        from .examine.claims_audit import audit_claims

        return audit_claims(self._result, judge, confirm=confirm)

    def leave_one_out(self, *, confirm: Confirm = False) -> LeaveOneOut:
        """What each seat changed: judge and synthesizer without it, once for each seat that answered."""
        from .examine.audits import leave_one_out

        return leave_one_out(self._result, confirm=confirm)

    def baseline(self, model: str | Panelist | None = None, *, confirm: Confirm = False) -> Baseline:
        """One model alone, and the same model as often as the panel's price allows, beside this run."""
        from .examine.baseline import baseline

        return baseline(self._result, model, confirm=confirm)

    def diff(self, other: FusionResult) -> Diff:
        """What another result has that this one has not, and the other way round. Nobody is asked."""
        from .examine.diff import diff

        return diff(self._result, other)
