"""Judge and synthesizer in one call: the analysis as JSON first, then the answer, told apart as they stream.

The responses are read once instead of twice. What is lost is the judge's fixed temperature of 0, its schema, and that
another model than the writer compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from ..events import AnalysisReady, AnswerReady, Warned
from ..prompts import ONE_PASS_VERSION, one_pass_messages, run_digest, version_of
from ..results import Analysis, Response
from .calls import ask, ask_or_fallback, checkpoint
from .plan import Chair, Plan
from .question import Matter, Question, Run
from .reply import validated

AS_PROSE = 2_000  # characters without a brace after which a reply is taken for the answer alone
_BRACE = re.compile(r'[{}"\\]')
_FENCE = re.compile(r"```\w*\s*$")
_BELOW = re.compile(r"\}[ \t]*(?:\n```[ \t]*)?\n[ \t]*\n(?=[^{}\s\"])")


class TwoParts:
    """Hears a reply as it streams: first an analysis in JSON, then the answer, which it gives back.

    A reply without an analysis is the answer as a whole.

    Args:
        models: the seats' letters, and the models they stand for.
        on_analysis: called once the analysis is whole.
    """

    def __init__(self, models: Mapping[str, str], on_analysis: Callable[[Analysis], None]) -> None:
        self._models, self._on_analysis = models, on_analysis
        self._held = ""  # what may yet belong to the analysis
        self._seen = 0  # characters of it that were looked at
        self._start = -1  # of the object in it
        self._depth, self._in_text, self._in_fence = 0, False, False
        self._is_after, self._has_begun = False, False
        self.analysis: Analysis | None = None
        self.problem = "it wrote none"

    def hear(self, text: str) -> str:
        """What of the text belongs to the answer."""
        if self._is_after:
            return self._answer(text)
        self._held += text
        end = self._end_of_object()
        if end is not None:
            return self._after_object(self._held[self._start : end], end)
        if self._start < 0 and len(self._held) > AS_PROSE:
            return self.end()
        return ""

    def end(self) -> str:
        """What was held back for an object that never came; an object that was never closed is nobody's answer."""
        if self._is_after:
            return ""
        self._is_after = True
        if self._start >= 0 and _looks_like_analysis(self._held[self._start :]):
            self.problem = "its JSON never ended"
            # A quote too many hides where it ends; what stands below it is paid for all the same.
            below = _BELOW.search(self._held, self._start)
            return self._answer(self._held[below.end() :]) if below else ""
        return self._answer(self._held)

    def _end_of_object(self) -> int | None:
        """Where the first object ends, if it has ended."""
        skip = -1
        for found in _BRACE.finditer(self._held, self._seen):
            at, sign = found.start(), found[0]
            if self._start < 0:
                if sign != "{":
                    continue
                self._start = at
            if at == skip:
                continue
            if self._in_text and sign == "\\":
                if at + 1 == len(self._held):  # what it escapes is still to come
                    self._seen = at
                    return None
                skip = at + 1
            elif sign == '"':
                self._in_text = not self._in_text
            elif not self._in_text and sign in "{}":
                self._depth += 1 if sign == "{" else -1
                if not self._depth:
                    return at + 1
        self._seen = len(self._held)
        return None

    def _after_object(self, written: str, end: int) -> str:
        self._is_after = True
        before, rest = self._held[: self._start], self._held[end:]
        try:
            self.analysis = validated(json.loads(written), self._models)
        except (ValueError, KeyError, RecursionError) as exc:
            if not _looks_like_analysis(written):  # a brace of the answer's own, or of what leads to the report
                return self._go_on(end)
            self.problem = f"its JSON can't be read ({' '.join(str(exc).split())[:200].rstrip('.')})"
        else:
            self._on_analysis(self.analysis)
        self._in_fence = bool(_FENCE.search(before))
        return self._answer(rest)

    def _go_on(self, end: int) -> str:
        """Look for the report behind an object that is none, as long as it may yet come."""
        self._is_after, self._start, self._seen = False, -1, end
        following = self._end_of_object()
        if following is not None:
            return self._after_object(self._held[self._start : following], following)
        return self.end() if self._start < 0 and len(self._held) > AS_PROSE else ""

    def _answer(self, text: str) -> str:
        if not self._has_begun:
            text = text.lstrip()
            if self._in_fence and text.startswith("`"):
                text = text.lstrip("`").lstrip()
            self._has_begun = bool(text)
        return text


def _looks_like_analysis(text: str) -> bool:
    return any(f'"{name}"' in text for name in Analysis.model_fields)


async def compare_and_write(
    run: Run, plan: Plan, matter: Matter, responses: tuple[Response, ...]
) -> tuple[Analysis | None, bool]:
    """The analysis, if there is one that can be read, and whether the answer was written too.

    Raises:
        CallError: the call failed; its `text` is what was written.
    """
    texts = {response.label: response.content for response in responses}
    models = {response.label: response.model for response in responses}
    heard: list[tuple[TwoParts, list[str]]] = []

    def listener() -> Callable[[str], str]:
        parts, answer = TwoParts(models, lambda analysis: run.emit(AnalysisReady(analysis))), list[str]()
        heard.append((parts, answer))

        def hear(text: str) -> str:
            answer.append(parts.hear(text))
            return answer[-1]

        return hear

    async def attempt(chair: Chair) -> tuple[Analysis | None, bool]:
        outcome = await ask(run, chair, _question(run, chair, matter, texts, listener))
        parts, written = heard[-1]
        answer = "".join((*written, parts.end())).strip()
        # An attempt that broke off below its report has compared, and that is shown.
        analysis = next((each.analysis for each, _ in reversed(heard) if each.analysis), None)
        if parts.analysis is None:
            run.memory.disown([outcome.key])  # the next run asks for it anew
        if analysis is None:
            run.emit(Warned(f"There is no analysis: {chair.model} was to compare first, but {parts.problem}."))
        if answer:
            run.emit(AnswerReady(answer))
        else:
            run.emit(Warned(f"{chair.model} wrote no answer; it was asked again for that alone."))
        return analysis, bool(answer)

    found = await ask_or_fallback(run, "synthesis", plan.synthesizer, attempt)
    await checkpoint()
    return found


def _question(
    run: Run, chair: Chair, matter: Matter, texts: Mapping[str, str], listener: Callable[[], Callable[[str], str]]
) -> Question:
    system = "\n\n".join(text for text in (chair.seat.system, run.settings.system) if text)
    messages = one_pass_messages(
        matter.question, texts, rubric=run.settings.rubric, system=system, turns=matter.turns, rulings=matter.rulings
    )
    return Question(
        "synthesis",
        messages,
        version_of(ONE_PASS_VERSION, matter.turns, matter.rulings),
        temperature=chair.seat.temperature,
        seed=run_digest(matter.question, texts),
        listener=listener,
    )
