"""What a run is asked to do, and what it tells each stage of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..providers import Notify
from ..settings import Settings
from .given import NOTHING, Given, Turn
from .kit import Kit, open_kit
from .material import Material
from .panel import Briefing
from .plan import Plan
from .question import Matter

if TYPE_CHECKING:
    from ..store import Store


@dataclass(frozen=True, slots=True)
class FusionRequest:
    """What a run is asked to do.

    Attributes:
        given: parts of an earlier result that are not asked again.
        turns: the conversation so far.
        notebook: where it was asked, for the accounts.
        any_age: reuse finished calls however old they are.
        sample: which order of the responses the judge reads; see `Matter`.
        before_calls: awaited between the plan and the first call.
        plan: who is asked, where that is settled already; it has the settings of this request.
    """

    prompt: str
    settings: Settings
    default_panel: str | None = None
    schema: type[BaseModel] | None = None
    parent: str | None = None
    notes: tuple[str, ...] = ()
    material: Material = field(default_factory=Material)
    given: Given = NOTHING
    turns: tuple[Turn, ...] = ()
    notebook: str = ""
    any_age: bool = False
    sample: int = 0
    before_calls: Callable[[], Awaitable[None]] | None = None
    plan: Plan | None = None

    def briefing(self, kit: Kit) -> Briefing:
        """What every seat is given."""
        return Briefing(
            self.prompt, kit, self.material.attachments, self.given, self.turns, usable=self.material.usable
        )

    def tools(self, plan: Plan, notify: Notify, store: Store | None) -> AbstractAsyncContextManager[Kit]:
        """The kit of the run; none is opened where nobody is asked who might use it."""
        is_used = plan.settings.judge_tools or any(seat.seat.label not in self.given.labels for seat in plan.seats)
        return open_kit(plan, self.material, notify, store) if is_used else nullcontext(Kit())

    def matter(self) -> Matter:
        """What judge and synthesizer are told."""
        return Matter(self._question(), self.turns, self.given.rulings, sample=self.sample)

    def _question(self) -> str:
        if not self.material.attachments:
            return self.prompt
        from ..attachments import names_for_others

        return f"{self.prompt}\n\n{names_for_others(self.material.attachments)}"

    def told(self, plan: Plan) -> Iterator[str]:
        """What the reader should know of how the plan's models take this."""
        if self.turns and any(chair.is_tiny for chair in plan.chairs()):
            yield "Of the conversation the embedded model sees the last words as panelist, else nothing."
        if self.given.rulings and plan.synthesizer.is_tiny:
            yield "The embedded model does not follow rulings."
        attachments = self.material.attachments
        if attachments:
            from ..attachments import message_parts, told

            yield from told({seat.seat.label: message_parts("", attachments, seat.inputs)[1] for seat in plan.seats})
