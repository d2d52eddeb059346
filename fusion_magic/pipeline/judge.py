"""The judge: compares the responses and returns the five fields, or None with a warning that says why.

JSON is asked for in the strongest way the endpoint takes: a schema, then `json_object`, then words alone; the
level that worked is remembered for the model. At most two calls that may be billed are made. An endpoint that
costs nothing gets a last chance: one small question for each field, put together here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from .. import prompts_small
from ..errors import CallError, ContextOverflow, JudgeUnreadable, RequestRefused
from ..events import AnalysisReady, Warned
from ..prompts import (
    JUDGE_VERSION,
    LOOK_UP,
    REPORT,
    SHAPE,
    TOOLS_VERSION,
    judge_messages,
    judge_schema,
    repair_messages,
    response_format,
    run_digest,
    shuffled,
    version_of,
)
from ..providers import Message
from ..results import Analysis, Response
from .accounts import Allowance
from .calls import ask, ask_or_fallback, is_remembered
from .kit import Kit
from .plan import Chair, Plan
from .question import Matter, Question, Run
from .reply import read_analysis, validated
from .tool_loop import research

LEVELS = ("json_schema", "json_object", "words")
BILLED_AT_MOST = 2
PUT_TOGETHER = (
    "The judge could not write the whole analysis; it was put together from short questions about shortened answers."
)
ABOUT_FORMAT = re.compile(r"response_format|json_schema|json_object|schema|grammar|structured", re.IGNORECASE)
ABOUT_TEMPERATURE = re.compile(r"temperature", re.IGNORECASE)


async def judge(run: Run, plan: Plan, matter: Matter, responses: tuple[Response, ...], kit: Kit) -> Analysis | None:
    """Compare the responses; a judge that fails leaves the run without an analysis, not without an answer."""
    chair, allowance = plan.judge, Allowance(BILLED_AT_MOST)

    async def compare(chair: Chair) -> Analysis:
        return await _compare(Asking(run, chair, matter, responses, allowance, kit))

    try:
        analysis = await ask_or_fallback(run, "judge", chair, compare, allowance)
    except CallError as exc:
        run.emit(Warned(f"There is no analysis: {exc}"))
        return None
    run.emit(AnalysisReady(analysis))
    return analysis


async def _compare(asking: Asking) -> Analysis:
    if asking.chair.is_tiny:
        return await _field_by_field(asking.run, asking.chair, asking.matter, asking.responses, first_round=1)
    if asking.run.settings.judge_tools:
        await asking.research()
    return await _in_one_call(asking)


async def _in_one_call(asking: Asking) -> Analysis:
    models = {response.label: response.model for response in asking.responses}
    await asking.find_remembered()
    while True:
        try:
            reply = await asking.ask()
        except RequestRefused as exc:
            if not asking.take_refusal(exc):
                raise
            continue
        try:
            analysis = read_analysis(reply, models)
        except ValueError as exc:
            if asking.may_go_on:
                asking.repair(reply, str(exc))
                continue
            asking.disown()
            chair = asking.chair
            if chair.endpoint.costs_nothing and not asking.was_billed:
                first_round = asking.round + 1
                return await _field_by_field(asking.run, chair, asking.matter, asking.responses, first_round)
            raise JudgeUnreadable(f"{chair.model} did not write a readable analysis ({exc}).") from exc
        asking.remember()
        return analysis


class Asking:
    """One judge's attempts at one run: the level of JSON, the round, and what may have been billed."""

    def __init__(
        self,
        run: Run,
        chair: Chair,
        matter: Matter,
        responses: tuple[Response, ...],
        allowance: Allowance,
        kit: Kit,
    ) -> None:
        self.run, self.chair = run, chair
        self.matter, self.responses = matter, responses
        self.round, self.was_billed = 0, False
        self._kit = kit
        self._looked_up: list[Message] = []
        self._keys: list[str] = []
        self._allowance = allowance
        self._texts = {response.label: response.content for response in responses}
        self._place = (chair.endpoint.base_url, chair.slug)
        self._level = run.providers.json_levels.get(self._place, 0)
        self._question = Question(
            "judge",
            self._messages(),
            version_of(JUDGE_VERSION, matter.turns),
            temperature=0.0,
            response_format=self._format(),
            allowance=allowance,
            seed=run_digest(matter.question, self._texts, matter.sample),
            sample=matter.sample,
        )

    @property
    def may_go_on(self) -> bool:
        """Whether another call may be billed."""
        return self._allowance.left > 0

    def _messages(self) -> list[dict[str, Any]]:
        return [*self._asked(shape=self._level > 0), *map(dict, self._looked_up)]

    def _asked(self, *, shape: bool = False) -> list[dict[str, Any]]:
        matter = self.matter
        return judge_messages(
            matter.question,
            self._texts,
            rubric=self.run.settings.rubric,
            shape=shape,
            sample=matter.sample,
            turns=matter.turns,
        )

    async def research(self) -> None:
        """Let the judge look up what the responses disagree on, before it writes; these steps have their own limit."""
        bag = self._kit.bag(self.chair, "judge", "\n".join((self.matter.question, *self._texts.values())))
        if not bag:
            return
        told = {"role": "user", "content": LOOK_UP}
        asked = self._asked()
        question = replace(
            self._question, messages=(*asked, told), response_format=None, allowance=Allowance(), version=TOOLS_VERSION
        )
        talk = await research(self.run, self.chair, question, bag)
        self.round += len(talk.calls)
        if talk.outcome:
            talk.messages.append({"role": "assistant", "content": talk.outcome.text})
        self._looked_up = [*talk.messages[len(asked) :], {"role": "user", "content": REPORT}]
        self._question = replace(self._question, messages=self._messages())

    def _format(self) -> dict[str, Any] | None:
        match LEVELS[self._level]:
            case "json_schema":
                return response_format("analysis", judge_schema(sorted(self._texts)))
            case "json_object":
                return {"type": "json_object"}
            case _:
                return None

    async def ask(self) -> str:
        self.round += 1
        outcome = await ask(self.run, self.chair, replace(self._question, round=self.round))
        self._keys.append(outcome.key)
        self.was_billed = self.was_billed or bool(outcome.call.cost)
        return outcome.text

    async def find_remembered(self) -> None:
        """Begin with the way of asking that an earlier run was answered in: refusals are not remembered."""
        if not self.run.memory.recalls("judge"):
            return
        asked, level = self._question, self._level
        for self._level in range(level, len(LEVELS)):
            shaped = replace(asked, messages=self._messages(), response_format=self._format())
            for self._question in (shaped, replace(shaped, temperature=None)):
                if await is_remembered(self.run, self.chair, self._question):
                    return
        self._question, self._level = asked, level

    def disown(self) -> None:
        """What was written can't be used, so the next run asks again."""
        self.run.memory.disown(self._keys)

    def take_refusal(self, exc: RequestRefused) -> bool:
        """Whether the request was changed so that it is worth sending again; a refusal is not billed."""
        if not self.may_go_on or isinstance(exc, ContextOverflow):
            return False
        if self._question.temperature is not None and ABOUT_TEMPERATURE.search(str(exc)):
            self.run.emit(Warned(f"The judge {self.chair.model} does not take a temperature; it ran with its own."))
            self._question = replace(self._question, temperature=None)
            return True
        # Many servers say only "bad request" where a format is not taken; others name it under another status.
        about_format = exc.status_code in (400, 422) or (
            exc.status_code in (404, 501) and ABOUT_FORMAT.search(str(exc))
        )
        if not about_format or self._level + 1 == len(LEVELS):
            return False
        self._level += 1
        self._question = replace(self._question, messages=self._messages(), response_format=self._format())
        return True

    def repair(self, reply: str, problem: str) -> None:
        messages = repair_messages(self._messages(), reply, problem, SHAPE)
        self._question = replace(self._question, messages=messages)

    def remember(self) -> None:
        self.run.providers.json_levels[self._place] = self._level


async def _field_by_field(
    run: Run, chair: Chair, matter: Matter, responses: tuple[Response, ...], first_round: int
) -> Analysis:
    """Five small questions instead of one large one; for models that can't write the whole JSON."""
    prompt, texts, seed = matter.question, {response.label: response.content for response in responses}, ""
    if matter.sample:
        seed = run_digest(prompt, texts, matter.sample)
        texts = {label: texts[label] for label in shuffled(list(texts), seed)}
    found: dict[str, Any] = {}
    for number, field in enumerate(prompts_small.FIELDS):
        found[field.name] = []
        if not field.applies(list(texts)):
            continue
        grammar = {"grammar": field.grammar(list(texts))} if chair.is_tiny else {}
        question = Question(
            stage="judge",
            round=first_round + number,
            messages=field.messages(prompt, texts),
            version=prompts_small.JUDGE_VERSION,
            temperature=0.0,
            max_tokens=prompts_small.FIELD_TOKENS,
            seed=seed,
            sample=matter.sample,
            extra={**prompts_small.SAMPLING["judge"], **grammar} if chair.is_tiny else {},
        )
        text = (await ask(run, chair, question)).text
        if not prompts_small.echoes_example(text, prompt, texts):
            found[field.name] = field.parse(text, list(texts))
    if not any(found.values()):
        raise JudgeUnreadable(f"{chair.model} found nothing to say in any of the five fields.")
    try:
        analysis = validated(found, {response.label: response.model for response in responses})
    except ValueError as exc:
        raise JudgeUnreadable(f"{chair.model} did not write a readable analysis ({exc}).") from exc
    if not chair.is_tiny:
        run.emit(Warned(PUT_TOGETHER))
    return analysis
