"""The synthesizer: reads every response and the analysis, and writes the answer as it streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from .. import prompts_small
from ..errors import CallError, RequestRefused
from ..events import AnswerReady, Warned
from ..prompts import SYNTHESIS_VERSION, repair_messages, response_format, synthesis_messages
from ..results import Analysis, Response
from .calls import Question, Run, ask
from .judge import ABOUT_FORMAT, first_object
from .plan import Chair, Plan


async def synthesize(
    run: Run,
    plan: Plan,
    prompt: str,
    responses: tuple[Response, ...],
    analysis: Analysis | None,
    schema: type[BaseModel] | None,
) -> None:
    """Write the answer. Raises CallError if the synthesizer fails; its `text` is what it had written."""
    texts = {response.label: response.content for response in responses}
    question = _question(run, plan.synthesizer, prompt, texts, analysis)
    if schema is None:
        answer = (await ask(run, plan.synthesizer, question)).text
        run.emit(AnswerReady(answer.strip()))
    else:
        await _parsed(run, plan.synthesizer, question, schema)


def _question(
    run: Run, chair: Chair, prompt: str, texts: Mapping[str, str], analysis: Analysis | None
) -> Question:
    if chair.endpoint.is_local:
        return Question(
            "synthesis",
            prompts_small.synthesis_messages(prompt, texts, analysis.model_dump() if analysis else None),
            prompts_small.SYNTHESIS_VERSION,
            temperature=0.0,
            max_tokens=min(run.settings.max_tokens, prompts_small.SYNTHESIS_TOKENS),
            extra=prompts_small.SAMPLING["synthesis"],
        )
    return Question(
        "synthesis",
        synthesis_messages(prompt, texts, analysis, system=run.settings.system),
        SYNTHESIS_VERSION,
        temperature=chair.seat.temperature,
    )


async def _parsed(run: Run, chair: Chair, question: Question, schema: type[BaseModel]) -> None:
    """Ask for JSON of the schema: with `response_format` where it is taken, in words where not, repaired once."""
    told = f"Answer with one JSON object of this schema and nothing else: {schema.model_json_schema()}"
    wanted = response_format(re.sub(r"\W", "_", schema.__name__), _strict(schema.model_json_schema()))
    asked = replace(question, response_format=wanted)
    try:
        text = (await ask(run, chair, asked)).text
    except RequestRefused as exc:
        if exc.status_code not in (400, 404, 422) or not ABOUT_FORMAT.search(str(exc)):
            raise
        asked = replace(question, round=2, messages=_told(question, told))
        text = (await ask(run, chair, asked)).text
    try:
        return run.emit(AnswerReady(text.strip(), schema.model_validate(first_object(text))))
    except ValueError as exc:
        problem = _problem(exc)
    messages = repair_messages(asked.messages, text, problem, told)
    again = await _repaired(run, chair, replace(asked, round=asked.round + 1, messages=messages), schema)
    if again is None:
        run.emit(Warned(f"The answer does not fit {schema.__name__}: {problem} `parsed` is None."))
    run.emit(again or AnswerReady(text.strip()))


async def _repaired(
    run: Run, chair: Chair, question: Question, schema: type[BaseModel]
) -> AnswerReady | None:
    """The second try; the first answer is paid for and stands if this one fails."""
    try:
        text = (await ask(run, chair, question)).text
        return AnswerReady(text.strip(), schema.model_validate(first_object(text)))
    except (CallError, ValueError):
        return None


def _problem(exc: ValueError) -> str:
    if isinstance(exc, ValidationError):
        first = exc.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
    return str(exc)


def _told(question: Question, instruction: str) -> list[dict[str, Any]]:
    *before, last = (dict(message) for message in question.messages)
    return [*before, {**last, "content": f"{last['content']}\n\n{instruction}"}]


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as strict servers want it: every object closed, every property required."""
    if schema.get("type") == "object" and "properties" in schema:
        schema = {**schema, "additionalProperties": False, "required": list(schema["properties"])}
    return {
        key: _strict(value)
        if isinstance(value, dict)
        else [_strict(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in schema.items()
    }
