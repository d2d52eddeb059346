"""The judge: compares the responses and returns the five fields, or None with a warning that says why.

JSON is asked for in the strongest way the endpoint takes: a schema, then `json_object`, then words alone; the
level that worked is remembered for the model. At most two calls that may be billed are made. An endpoint that
costs nothing gets a last chance: one small question for each field, put together here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import ValidationError

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
)
from ..providers import Message
from ..results import Analysis, Response
from .accounts import Allowance
from .calls import Question, Run, ask, ask_or_fallback
from .kit import Kit
from .plan import Chair, Plan
from .tool_loop import research

LEVELS = ("json_schema", "json_object", "words")
BILLED_AT_MOST = 2
# A reply of braces alone would take a second to search, in the loop that serves every run.
BRACES_AT_MOST = 1000
PUT_TOGETHER = (
    "The judge could not write the whole analysis; it was put together from short questions about shortened answers."
)
ABOUT_FORMAT = re.compile(r"response_format|json_schema|json_object|schema|grammar|structured", re.IGNORECASE)
ABOUT_TEMPERATURE = re.compile(r"temperature", re.IGNORECASE)


async def judge(run: Run, plan: Plan, prompt: str, responses: tuple[Response, ...], kit: Kit) -> Analysis | None:
    """Compare the responses; a judge that fails leaves the run without an analysis, not without an answer."""
    chair, allowance = plan.judge, Allowance(BILLED_AT_MOST)

    async def compare(chair: Chair) -> Analysis:
        return await _compare(Asking(run, chair, prompt, responses, allowance, kit))

    try:
        analysis = await ask_or_fallback(run, "judge", chair, compare, allowance)
    except CallError as exc:
        run.emit(Warned(f"There is no analysis: {exc}"))
        return None
    run.emit(AnalysisReady(analysis))
    return analysis


async def _compare(asking: Asking) -> Analysis:
    if asking.chair.is_tiny:
        return await _field_by_field(asking.run, asking.chair, asking.prompt, asking.responses, first_round=1)
    if asking.run.settings.judge_tools:
        await asking.research()
    return await _in_one_call(asking)


async def _in_one_call(asking: Asking) -> Analysis:
    models = {response.label: response.model for response in asking.responses}
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
            chair = asking.chair
            if chair.endpoint.costs_nothing and not asking.was_billed:
                first_round = asking.round + 1
                return await _field_by_field(asking.run, chair, asking.prompt, asking.responses, first_round)
            raise JudgeUnreadable(f"{chair.model} did not write a readable analysis ({exc}).") from exc
        asking.remember()
        return analysis


class Asking:
    """One judge's attempts at one run: the level of JSON, the round, and what may have been billed."""

    def __init__(
        self,
        run: Run,
        chair: Chair,
        prompt: str,
        responses: tuple[Response, ...],
        allowance: Allowance,
        kit: Kit,
    ) -> None:
        self.run, self.chair = run, chair
        self.prompt, self.responses = prompt, responses
        self.round, self.was_billed = 0, False
        self._kit = kit
        self._looked_up: list[Message] = []
        self._allowance = allowance
        self._texts = {response.label: response.content for response in responses}
        self._place = (chair.endpoint.base_url, chair.slug)
        self._level = run.providers.json_levels.get(self._place, 0)
        self._question = Question(
            "judge",
            self._messages(),
            JUDGE_VERSION,
            temperature=0.0,
            response_format=self._format(),
            allowance=allowance,
            seed=run_digest(prompt, self._texts),
        )

    @property
    def may_go_on(self) -> bool:
        """Whether another call may be billed."""
        return self._allowance.left > 0

    def _messages(self) -> list[dict[str, Any]]:
        rubric = self.run.settings.rubric
        asked = judge_messages(self.prompt, self._texts, rubric=rubric, shape=self._level > 0)
        return [*asked, *map(dict, self._looked_up)]

    async def research(self) -> None:
        """Let the judge look up what the responses disagree on, before it writes; these steps have their own limit."""
        bag = self._kit.bag(self.chair, "judge", "\n".join((self.prompt, *self._texts.values())))
        if not bag:
            return
        told = {"role": "user", "content": LOOK_UP}
        asked = judge_messages(self.prompt, self._texts, rubric=self.run.settings.rubric)
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
        self.was_billed = self.was_billed or bool(outcome.call.cost)
        return outcome.text

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


def read_analysis(text: str, models: Mapping[str, str]) -> Analysis:
    """The analysis in a judge's reply, models' names put in by their letters.

    Raises:
        ValueError: no JSON object in it, or not of this shape; the message tells the model what is wrong.
    """
    data = first_object(text, Analysis.model_fields)
    missing = [name for name in Analysis.model_fields if name not in data]
    if missing:
        raise ValueError(f"the JSON lacks {', '.join(missing)}.")
    return _validated(data, models)


def _validated(data: Mapping[str, Any], models: Mapping[str, str]) -> Analysis:
    try:
        return Analysis.model_validate(_named({name: data[name] for name in Analysis.model_fields}, models))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from exc
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError("a list holds something of another shape.") from exc


def first_object(text: str, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """The first JSON object in a text that has one of the wanted names, else the first one.

    Raises:
        ValueError: there is no whole one.
    """
    found = list(_objects(text))
    if not found:
        raise ValueError("there is no whole JSON object in it.")
    return next((data for data in found if not set(wanted).isdisjoint(data)), found[0])


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object in a text, whatever stands around it."""
    decoder, start = json.JSONDecoder(), text.find("{")
    for _ in range(BRACES_AT_MOST):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except RecursionError:
            return
        except ValueError:
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _named(data: dict[str, Any], models: Mapping[str, str]) -> dict[str, Any]:
    """The judge's letters with the models they stand for.

    Some judges write OpenRouter's `model` and `models` for our `label` and `labels`, with the letter in them.
    """

    def seats(items: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        return [
            {"label": label, "model": models[label], text: item[text]}
            for item in items
            for label in _seats(item, "label", "model", models)
        ]

    def covered(item: dict[str, Any]) -> dict[str, Any]:
        labels = _seats(item, "labels", "models", models)
        return {"labels": labels, "models": [models[label] for label in labels], "point": item["point"]}

    return {
        "consensus": data["consensus"],
        "contradictions": [
            {"topic": item["topic"], "stances": seats(item["stances"], "stance")} for item in data["contradictions"]
        ],
        "partial_coverage": [covered(item) for item in data["partial_coverage"]],
        "unique_insights": seats(data["unique_insights"], "insight"),
        "blind_spots": data["blind_spots"],
    }


def _seats(item: Mapping[str, Any], ours: str, theirs: str, models: Mapping[str, str]) -> list[str]:
    """The seats that an item names under our key or OpenRouter's.

    Raises:
        ValueError: a list of letters is no list, or our key names nobody's letter. Under OpenRouter's a stranger is
            dropped: it may be the name of a model, which is what that key is for.
    """
    key = ours if ours in item else theirs
    given = item[key] if key.endswith("s") else [item[key]]
    if not isinstance(given, list):
        raise ValueError(f'{key} must be a list of letters, such as ["{min(models)}"].')
    found: dict[str, None] = {}
    for name in cast("list[Any]", given):
        letters = _letters(name)
        if letters and all(letter in models for letter in letters):
            found |= dict.fromkeys(letters)
        elif key == ours:
            raise ValueError(
                f'{key}: "{str(name)[:20]}" is not the letter of a response ({", ".join(sorted(models))}).'
            )
    return list(found)


def _letters(name: Any) -> list[str]:
    """ "Response B" and "b" are B; "A, B" and "Responses A and B" are A and B."""
    parts = str(name).upper().replace(" AND ", ",").replace("&", ",").split(",")
    bare = (re.sub(r"^RESPONSES? ", "", part.strip("[]() ")).strip("[]() ") for part in parts)
    return [letter for letter in bare if letter]


async def _field_by_field(
    run: Run, chair: Chair, prompt: str, responses: tuple[Response, ...], first_round: int
) -> Analysis:
    """Five small questions instead of one large one; for models that can't write the whole JSON."""
    texts = {response.label: response.content for response in responses}
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
            extra={**prompts_small.SAMPLING["judge"], **grammar} if chair.is_tiny else {},
        )
        text = (await ask(run, chair, question)).text
        if not prompts_small.echoes_example(text, prompt, texts):
            found[field.name] = field.parse(text, list(texts))
    if not any(found.values()):
        raise JudgeUnreadable(f"{chair.model} found nothing to say in any of the five fields.")
    try:
        analysis = _validated(found, {response.label: response.model for response in responses})
    except ValueError as exc:
        raise JudgeUnreadable(f"{chair.model} did not write a readable analysis ({exc}).") from exc
    if not chair.is_tiny:
        run.emit(Warned(PUT_TOGETHER))
    return analysis
