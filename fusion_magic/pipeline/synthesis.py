"""The synthesizer: reads every response and the analysis, and writes the answer as it streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from .. import prompts_small
from ..errors import CallError, ContextOverflow, RequestRefused, SettingsError
from ..events import AnswerReady, Warned
from ..prompts import (
    SYNTHESIS_VERSION,
    repair_messages,
    response_format,
    run_digest,
    synthesis_messages,
    version_of,
)
from ..results import Analysis, Response
from .calls import ask, ask_or_fallback, checkpoint
from .plan import Chair, Plan
from .question import Matter, Question, Run
from .reply import first_object


def check_schema(schema: type[BaseModel]) -> None:
    """Raise SettingsError, before anything is paid, for what can't be asked for as one JSON object."""
    from pydantic import RootModel

    if not (isinstance(schema, type) and issubclass(schema, BaseModel)) or issubclass(schema, RootModel):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from the user
        raise SettingsError(f"schema must be a pydantic BaseModel class with named fields, not {schema!r}.")
    try:
        schema.model_json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema) as exc:
        raise SettingsError(f"{schema.__name__} has no JSON schema: {exc.message.splitlines()[0]}") from exc


async def synthesize(
    run: Run,
    plan: Plan,
    matter: Matter,
    responses: tuple[Response, ...],
    analysis: Analysis | None,
    schema: type[BaseModel] | None,
) -> None:
    """Write the answer. Raises CallError if the synthesizer fails; its `text` is what it had written."""
    texts = {response.label: response.content for response in responses}
    await write(run, plan, lambda chair: _question(run, chair, matter, texts, analysis), schema)


async def write(
    run: Run, plan: Plan, question_for: Callable[[Chair], Question], schema: type[BaseModel] | None
) -> None:
    """Ask the synthesizer, or its fallback, and take what it writes as the answer. Raises CallError."""

    async def attempt(chair: Chair) -> None:
        question = question_for(chair)
        if schema is None:
            run.emit(AnswerReady((await ask(run, chair, question)).text.strip()))
        else:
            await _parsed(run, chair, question, schema)

    await ask_or_fallback(run, "synthesis", plan.synthesizer, attempt)
    await checkpoint()  # no call follows in which an interrupt could pass


def _question(run: Run, chair: Chair, matter: Matter, texts: Mapping[str, str], analysis: Analysis | None) -> Question:
    asked, turns, rulings = matter.question, matter.turns, matter.rulings
    if chair.is_tiny:
        return Question(
            "synthesis",
            prompts_small.synthesis_messages(asked, texts, analysis.model_dump() if analysis else None),
            prompts_small.SYNTHESIS_VERSION,
            temperature=0.0,
            max_tokens=min(run.settings.max_tokens, prompts_small.SYNTHESIS_TOKENS),
            extra=prompts_small.SAMPLING["synthesis"],
        )
    system = "\n\n".join(text for text in (chair.seat.system, run.settings.system) if text)
    return Question(
        "synthesis",
        synthesis_messages(asked, texts, analysis, system=system, turns=turns, rulings=rulings, ranking=matter.ranking),
        version_of(SYNTHESIS_VERSION, turns, rulings, matter.ranking),
        temperature=chair.seat.temperature,
        seed=run_digest(asked, texts),
    )


async def _parsed(run: Run, chair: Chair, question: Question, schema: type[BaseModel]) -> None:
    """Ask for JSON of the schema: with `response_format` where it is taken, in words where not, repaired once."""
    shape = schema.model_json_schema()
    told = f"Answer with one JSON object of this schema and nothing else: {json.dumps(shape, ensure_ascii=False)}"
    # A grammar for prose would forbid the braces.
    extra = {name: value for name, value in question.extra.items() if name != "grammar"}
    name = re.sub(r"\W", "_", schema.__name__, flags=re.ASCII)[:64]
    asked = replace(question, extra=extra, response_format=response_format(name, _strict(shape)))
    try:
        outcome = await ask(run, chair, asked)
    except RequestRefused as exc:
        if exc.status_code not in (400, 404, 422, 501) or isinstance(exc, ContextOverflow):
            raise
        asked = replace(asked, round=2, messages=_told(question, told), response_format=None)
        outcome = await ask(run, chair, asked)
    text = outcome.text.strip()
    problem = _fit(run, text, schema)
    if not problem:
        return
    run.emit(AnswerReady(text))  # it is paid for: kept, whatever becomes of the second try
    messages = repair_messages(asked.messages, text, problem, told)
    keys = [outcome.key]
    try:
        again = await ask(run, chair, replace(asked, round=asked.round + 1, messages=messages))
        keys.append(again.key)
        problem = _fit(run, again.text.strip(), schema)
    except CallError as exc:
        problem = str(exc)
    if problem:
        run.memory.disown(keys)
        run.emit(Warned(f"The answer does not fit {schema.__name__}: {problem} `parsed` is None."))


def _fit(run: Run, text: str, schema: type[BaseModel]) -> str:
    """Emit the answer with what the schema makes of it; else say what is wrong."""
    try:
        parsed = schema.model_validate_json(json.dumps(first_object(text, schema.model_fields)))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
    except ValueError as exc:
        return str(exc)
    except Exception as exc:  # the schema is the user's: its validators may raise anything
        return f"{type(exc).__name__}: {exc}."
    run.emit(AnswerReady(text, parsed))
    return ""


def _told(question: Question, instruction: str) -> list[dict[str, Any]]:
    *before, last = (dict(message) for message in question.messages)
    return [*before, {**last, "content": f"{last['content']}\n\n{instruction}"}]


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as strict servers want it: every object closed, every property required."""
    closed = {key: _strict_part(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed |= {"additionalProperties": False, "required": list(schema["properties"])}
    return closed


def _strict_part(value: Any) -> Any:
    match value:
        case dict():
            return _strict(cast(dict[str, Any], value))
        case list():
            return [_strict_part(item) for item in cast(list[Any], value)]
        case _:
            return value
