"""The tool loop: a model calls tools, reads what they bring and calls again, until it answers or its steps are over."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from ..errors import EmptyResponse, RequestRefused, ToolError
from ..events import ToolEnded, ToolStarted, Warned, merge_sources
from ..prompts import NO_MORE_TOOLS, digest, fenced
from ..providers import Message, ToolCall
from ..results import Call, Source, ToolUse, Usage
from ..tools import MAX_OUTPUT, Output, Tool
from .calls import ask, is_remembered
from .leaks import without_tool_markup
from .plan import Chair
from .question import Outcome, Question, Run

AT_ONCE = 8  # calls of one step that are run; a model that asks for more is told so
KEPT = 2_000  # characters of arguments and output that the result keeps of each call
ABOUT_TOOLS = re.compile(r"\btools?\b|tool_choice|function.?call", re.IGNORECASE)
REFUSALS = (400, 404, 422, 500, 501)  # 500 is llama.cpp's for a model without a template for tools


@dataclass(frozen=True, slots=True)
class Bag:
    """The tools of one chair: those that run here, by name, and those that its server runs, in the server's form.

    `keys` is what no output may carry to a model; `screen` reads every output before the model does.
    """

    own: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    server: tuple[Mapping[str, Any], ...] = ()
    keys: tuple[str, ...] = ()
    screen: Callable[[str], str] | None = None

    def __bool__(self) -> bool:
        return bool(self.own or self.server)

    def specs(self) -> tuple[Mapping[str, Any], ...]:
        """All of them as a request has them."""
        functions = (
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in self.own.values()
        )
        return (*self.server, *({"type": "function", "function": function} for function in functions))


@dataclass(slots=True)
class Talk:
    """A chair's way to its answer: the messages so far, every call, and the pages that its tools brought.

    `outcome` is None as long as no text without tool calls has come.
    """

    messages: list[Message]
    outcome: Outcome | None = None
    calls: list[Call] = field(default_factory=list[Call])
    read: list[Source] = field(default_factory=list[Source])
    found: list[Source] = field(default_factory=list[Source])
    reasoning: list[str] = field(default_factory=list[str])

    def take(self, outcome: Outcome) -> None:
        self.calls.append(outcome.call)
        self.read.extend(outcome.sources)
        self.reasoning.append(outcome.reasoning)

    def spent(self) -> tuple[Usage | None, float | None, float]:
        """Tokens, US dollars and seconds of all calls; None where nothing was reported or a price is unknown."""
        usages = [call.usage for call in self.calls if call.usage]
        costs = [call.cost for call in self.calls if call.cost is not None]
        cost = sum(costs) if len(costs) == len(self.calls) else None
        last = self.calls[-1]
        return sum(usages, Usage()) if usages else None, cost, last.started + last.duration - self.calls[0].started

    def sources(self, text: str) -> tuple[Source, ...]:
        """Pages that were cited or read, and those found ones that the text names."""
        return merge_sources((*self.read, *(page for page in self.found if _names(text, page.url))))


def _names(text: str, url: str) -> bool:
    """Whether a text has this very address, and not only one that begins like it."""
    return re.search(rf"{re.escape(url.rstrip('/'))}/?(?![\w/?#=&%~-])", text) is not None


async def converse(run: Run, chair: Chair, question: Question, bag: Bag) -> tuple[Outcome, Talk]:
    """Ask with tools until there is an answer; after the last step comes one turn without them.

    Raises:
        CallError: as `ask`.
    """
    talk = await research(run, chair, question, bag)
    outcome = talk.outcome or await _last_turn(run, chair, question, bag, talk)
    text = without_tool_markup(outcome.text)
    if not text.strip() and talk.outcome:  # nothing but leaked calls: there is one more chance to write
        outcome = await _last_turn(run, chair, question, bag, talk)
        text = without_tool_markup(outcome.text)
    if not text.strip():
        raise EmptyResponse(f"{chair.model} wrote tool calls where an answer was due.", text=outcome.text)
    return outcome if text == outcome.text else replace(outcome, text=text), talk


async def research(run: Run, chair: Chair, question: Question, bag: Bag) -> Talk:
    """Ask, run the tools that are called, and ask again: at most `max_tool_calls` times.

    A model or server that refuses tools is asked without, and that is told.
    """
    talk = Talk(list(question.messages))
    for step in range(1, run.settings.max_tool_calls + 1):
        bag = Bag() if _place(chair) in run.providers.without_tools else bag
        asked = replace(question, messages=tuple(talk.messages), round=question.round + step - 1, tools=bag.specs())
        if bag and await _was_answered_without(run, chair, asked):
            asked = replace(asked, tools=())
        try:
            outcome = await ask(run, chair, asked)
        except RequestRefused as exc:
            if not (bag and refuses_tools(exc)):
                raise
            run.providers.without_tools.add(_place(chair))
            run.emit(Warned(no_tools(chair)))
            outcome = await ask(run, chair, replace(asked, tools=()))
        except EmptyResponse:
            if step == 1:
                raise
            break  # after tools some models say nothing: the last turn asks them to
        talk.take(outcome)
        _keep_server_uses(run, question, outcome, step)
        if not outcome.tool_calls or not bag.own:
            talk.outcome = outcome
            break
        await _answer_calls(run, question, bag, talk, outcome, step)
    return talk


async def _was_answered_without(run: Run, chair: Chair, asked: Question) -> bool:
    """Whether an earlier run was refused with tools and answered without: refusals are not remembered."""
    return await is_remembered(run, chair, replace(asked, tools=())) and not await is_remembered(run, chair, asked)


def no_tools(chair: Chair) -> str:
    """The sentence about a model that has to do without."""
    return f"{chair.model} does not take tools; it answers without."


def refuses_tools(exc: RequestRefused) -> bool:
    """Whether a refusal is about the tools that were offered."""
    return exc.status_code in REFUSALS and ABOUT_TOOLS.search(str(exc)) is not None


def _place(chair: Chair) -> tuple[str, str]:
    return chair.endpoint.base_url, chair.slug


async def _last_turn(run: Run, chair: Chair, question: Question, bag: Bag, talk: Talk) -> Outcome:
    """A turn in which no tool can be called.

    OpenRouter wants the tools of earlier calls listed all the same; other servers may not know `tool_choice`.
    """
    listed = bag.specs() if chair.endpoint.is_openrouter else ()
    choice: Literal["none"] | None = "none" if listed else None
    messages = (*talk.messages, {"role": "user", "content": NO_MORE_TOOLS})
    step = question.round + len(talk.calls)
    outcome = await ask(run, chair, replace(question, messages=messages, round=step, tools=listed, tool_choice=choice))
    talk.take(outcome)
    return outcome


def _keep_server_uses(run: Run, question: Question, outcome: Outcome, step: int) -> None:
    for number, use in enumerate(outcome.server_uses, 1):
        kept = _use(question, step, number, ToolCall("", use.tool, use.arguments), run.now())
        run.emit(ToolEnded(kept.model_copy(update={"output": use.result[:KEPT], "size": len(use.result)})))


async def _answer_calls(run: Run, question: Question, bag: Bag, talk: Talk, outcome: Outcome, step: int) -> None:
    """Run the calls of one step side by side and put their results into the conversation, in their order."""
    calls = [_named(call, step, number) for number, call in enumerate(outcome.tool_calls, 1)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_use_tool(run, question, bag, call, step, number)) for number, call in enumerate(calls, 1)
        ]
    outputs = [task.result() for task in tasks]
    said = {"role": "assistant", "content": outcome.text or None, "tool_calls": [_on_wire(call) for call in calls]}
    talk.messages.append({**said, **outcome.echo})
    for call, output in zip(calls, outputs, strict=True):
        talk.messages.append({"role": "tool", "tool_call_id": call.id, "content": _as_data(call, output.text)})
        talk.read.extend(output.sources)
        talk.found.extend(output.found)


def _named(call: ToolCall, step: int, number: int) -> ToolCall:
    """The call with an id, which some servers do not give."""
    return call if call.id else replace(call, id=f"call_{step}_{number}")


def _on_wire(call: ToolCall) -> dict[str, Any]:
    # Arguments that are no JSON would make servers refuse the whole conversation.
    arguments = call.arguments if _object(call.arguments) is not None else "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments or "{}"}}


def _as_data(call: ToolCall, text: str) -> str:
    """The output between tags with a code that its author could not know: a digest of all of it."""
    nonce = digest(call.id, call.arguments, text)[:8]
    return fenced("result", text, nonce)


async def _use_tool(run: Run, question: Question, bag: Bag, call: ToolCall, step: int, number: int) -> Output:
    run.emit(ToolStarted(question.stage, question.label, step, number, call.name, call.arguments[:KEPT]))
    begun = run.now()
    error: str | None = None
    try:
        output = _bounded(_screened(await _called(bag, call, number), bag.screen), bag.keys)
    except ToolError as exc:
        error = _bounded(Output(str(exc)), bag.keys).text
        output = Output(f"Error: {error}")
    except asyncio.CancelledError:
        cut = _use(question, step, number, call, begun)
        run.emit(ToolEnded(cut.model_copy(update={"error": "Cancelled.", "duration": run.now() - begun})))
        raise
    told = {"output": output.text[:KEPT], "size": len(output.text), "error": error and error[:KEPT]}
    kept = _use(question, step, number, call, begun)
    run.emit(ToolEnded(kept.model_copy(update={**told, "duration": run.now() - begun})))
    return output


def _use(question: Question, step: int, number: int, call: ToolCall, begun: float) -> ToolUse:
    return ToolUse(
        stage=question.stage,
        label=question.label,
        step=step,
        number=number,
        tool=call.name[:64],
        arguments=call.arguments[:KEPT],
        started=begun,
    )


async def _called(bag: Bag, call: ToolCall, number: int) -> Output:
    """What the tool brings. Raises ToolError for whatever goes wrong: the model reads it and goes on."""
    tool = bag.own.get(call.name)
    if tool is None:
        raise ToolError(f'There is no tool "{call.name[:64]}"; there are {", ".join(bag.own)}.')
    if number > AT_ONCE:
        raise ToolError(f"Only {AT_ONCE} calls of a step are run; call this one again.")
    arguments = _object(call.arguments)
    if arguments is None:
        raise ToolError("The arguments are not a JSON object.")
    try:
        async with asyncio.timeout(tool.timeout):
            return await tool.call(arguments)
    except ToolError:
        raise
    except TimeoutError as exc:
        raise ToolError(f"{tool.name} took more than {tool.timeout:g} s.") from exc
    except Exception as exc:  # a tool of the user's own may raise anything, and that must not cost the seat
        raise ToolError(f"{type(exc).__name__}: {exc}") from exc


def _object(arguments: str) -> dict[str, Any] | None:
    """The arguments as an object; none at all are an empty one."""
    try:
        data: object = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _screened(output: Output, screen: Callable[[str], str] | None) -> Output:
    """The output as the run's screen leaves it; what is changed names no pages."""
    text = screen(output.text) if screen else output.text
    return output if text == output.text else Output(text)


def _bounded(output: Output, keys: tuple[str, ...]) -> Output:
    """The output without keys, which a function may bring by printing the environment, and cut off where it is long."""
    text = output.text
    for key in keys:
        text = text.replace(key, "[key]")
    if len(text) > MAX_OUTPUT:
        text = f"{text[:MAX_OUTPUT]}\n[cut off: {len(text):,} characters in all]"
    return replace(output, text=text)
