"""A fusion that OpenRouter runs itself, in one call: the same events, the same result, one bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import CallError, SettingsError
from ...events import CUT_OFF, AnswerReady, Told, Warned
from ...prompts import panel_messages, version_of
from ...providers.responses import told_again
from ...settings import Panel, Settings
from ...votes import Decision
from ..accounts import Allowance
from ..calls import ask
from ..places import Place, judging, seated, writing
from ..plan import Plan
from ..question import Outcome, Question
from ..served import same_model
from ..stages import Ending, Work
from ..strategies.strategy import Strategy
from .form import check, form_of, is_preset, is_theirs, outer, warnings
from .inside import Inside

if TYPE_CHECKING:
    from pydantic import BaseModel

VERSION = "openrouter"  # of prompts that are not ours
PAID = "What was answered is kept, and paid for: .resume() goes on with it on this machine."


def places(plan: Plan) -> Iterator[Place]:
    """Seats, analyst and writer, which OpenRouter calls, if it is told whom; then the one call that is made."""
    if not is_preset(plan):
        for place in (*seated(plan.seats), *judging(plan), *writing(plan)):
            yield place._replace(inner=True)
    yield Place("hosted", "", outer(plan))


async def carry_out(work: Work) -> Ending:
    """Ask, tell what goes on inside, and end with OpenRouter's answer."""
    plan, run = work.plan, work.run
    chair = outer(plan)
    writer = plan.synthesizer.model
    seats = () if is_preset(plan) else plan.seats
    inside = Inside(run, seats, writer, work.kit.permits, work.skips)
    for text in _notes(work):
        run.emit(Warned(text))
    settings = run.settings
    # An analyst tells nothing until it has compared, and it may read for minutes. The one call holds three, one after
    # the other, that have `timeout` each on this machine: seats, analyst and writer.
    patience = {
        "gap_timeout": max(settings.gap_timeout, settings.first_token_timeout),
        "timeout": 3 * settings.timeout,
    }
    try:
        patient = replace(run, settings=settings.model_copy(update=patience))
        outcome = await ask(patient, chair, _question(work, inside))
    except CallError as exc:
        return _failed(inside, exc)
    if outcome.call.reused:
        _retell(inside, outcome)
    return _ended(work, inside, outcome)


def _question(work: Work, inside: Inside) -> Question:
    plan, briefing = work.plan, work.briefing
    chair, form = outer(plan), form_of(plan, work.kit.server)
    settings = plan.settings
    is_forced = settings.strategy == "fusion" or settings.must_ask
    system = (plan.panel.synthesizer.system, settings.system)
    return Question(
        "hosted",
        panel_messages(briefing.content(chair), *system, turns=briefing.turns),
        version_of(VERSION, briefing.turns),
        temperature=chair.seat.temperature,
        tools=form.tools,
        tool_choice="required" if is_forced else None,
        extra=form.extra,
        # A fusion is paid for once: what broke off after it began is not asked again.
        allowance=Allowance(1),
        listener=lambda: lambda text: "",  # told as the synthesizer's
        overhear=inside.overhear,
    )


def _notes(work: Work) -> Iterator[str]:
    """What is less certain than on this machine: who sits, what the panel sees, and what it may cost."""
    panel = work.plan.panel
    if is_preset(work.plan):
        yield f"OpenRouter chooses who sits in {panel.name}, and what that costs."
    elif is_theirs(panel):
        yield f"OpenRouter takes {panel.name} only as it is; the models of our reading of it are asked instead."
    if work.run.budget:
        # Its `max_cost` stops turns after a fusion, of which there is one, and not what goes on inside.
        yield "OpenRouter's Fusion has no limit in dollars: the run's is compared with the estimate; it may cost more."
    given = {
        "the system text": work.plan.settings.system,
        "the earlier turns": work.request.turns,
        "the attachments": work.request.material.attachments,
    }
    if unsure := [name for name, value in given.items() if value]:
        yield f"OpenRouter's model gets {' and '.join(unsure)}; whether its panel does, OpenRouter does not say."


def _retell(inside: Inside, outcome: Outcome) -> None:
    """Tell a kept response like one that comes now."""
    for use in outcome.server_uses:
        for inner in told_again(use):
            inside.take(inner)
    inside.write(outcome.text.removeprefix(inside.before))


def _failed(inside: Inside, exc: CallError) -> Ending:
    why = f"{exc} OpenRouter says: {inside.broke}" if inside.broke else str(exc)
    if not inside.fused:
        return "error", why
    inside.lose_rest(CUT_OFF)
    return "error", f"There is no fused answer: {why} {PAID}" if inside.responses else why


def _ended(work: Work, inside: Inside, outcome: Outcome) -> Ending:
    answer = outcome.text.removeprefix(inside.before).strip()
    _tell_decision(work, inside, outcome)
    if inside.fused:
        _tell_fusion(work, inside)
    if not answer:
        return "error", f"OpenRouter's model wrote no answer after its panel. {PAID}"
    work.run.emit(AnswerReady(answer))
    return work.ended()


def _tell_decision(work: Work, inside: Inside, outcome: Outcome) -> None:
    plan, emit = work.plan, work.run.emit
    served = outcome.call.served_model
    model = served or outcome.call.model
    if served and not is_preset(plan) and not same_model(plan.synthesizer.slug, served):
        emit(Warned(f"{plan.synthesizer.model} was to write the answer, {served} did."))
    if inside.fused and plan.settings.strategy == "fusion":
        return
    did = "asked the panel" if inside.fused else "answered without asking the panel"
    emit(Told(Decision(asked=inside.fused, reason=f"{model} {did}.")))
    if not inside.fused and (plan.settings.strategy == "fusion" or plan.settings.must_ask):
        emit(Warned(f"{model} answered without asking the panel, although it was told to; nothing was compared."))


def _tell_fusion(work: Work, inside: Inside) -> None:
    """What is missing of a fusion."""
    inside.lose_rest()
    why = f"{inside.error.rstrip('.')} ({inside.reason})" if inside.reason else inside.error.rstrip(".")
    if not inside.responses:
        work.run.emit(Warned(f"No seat answered{f': {why}' if why else ''}; the answer is {NOBODY}."))
    elif not inside.has_analysis:
        work.run.emit(Warned(f"There is no analysis{f': {why}' if why else ''}; the answer was written without it."))


NOBODY = "the model's own, from no panel"


class Hosted(Strategy):
    """The engine `openrouter`, seen as a way of putting models together."""

    def seat(self, panel: Panel, settings: Settings) -> Panel:
        """The panel. Raises SettingsError for what OpenRouter's Fusion can't honour."""
        check(panel, settings)
        return panel

    def check(self, schema: type[BaseModel] | None) -> None:
        """Raise SettingsError for a schema."""
        if schema is not None:
            raise SettingsError(
                "OpenRouter's Fusion does not keep to a schema; ask without one, then .resynthesize(schema=…) does."
            )

    def unread(self, settings: Settings) -> Iterator[str]:
        """A warning for the settings that were chosen and change nothing here."""
        return warnings(settings)


_PARTS: dict[str, Any] = {"does": "OpenRouter's own Fusion runs the panel.", "cost": "1 call", "evidence": ()}
HOSTED = Hosted("openrouter", places=places, carry_out=carry_out, options=("must_ask",), **_PARTS)
