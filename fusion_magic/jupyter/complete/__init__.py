"""What Tab offers in `%%fusion` and `%fusion`: flags and their values, panels, models, variables, files and words."""

from __future__ import annotations

import re
from typing import Any

from IPython.core import completer
from IPython.core.interactiveshell import InteractiveShell

from .command_line import command_line
from .flag_line import flag_line
from .values import NONE, Candidates, Namespace, beginning, is_text, variables

IDENTIFIER = "fusion_magic"
FIRST = 1000  # before IPython's own matchers: the slowest of them are then not asked at all
CELL = re.compile(r"\s*%%fusion(?=\s)")
LINE = re.compile(r"(?:\s*[^\W\d]\w*\s*=)?\s*%fusion(?=\s)")
WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\\.|[^\s"'\\])+""")
BRACE = re.compile(r"(?<![{}\\$^_])\{([^\W\d]\w*)?$")  # of a prompt: where a variable's name is being written


def attach(shell: InteractiveShell) -> None:
    """Let Tab complete `%%fusion` in a shell; in IPython before 8.6 nothing happens."""
    matcher = getattr(completer, "context_matcher", None)
    if matcher is None:
        return
    detach(shell)

    @matcher(identifier=IDENTIFIER, priority=FIRST)
    def fusion(context: Any) -> dict[str, Any]:
        found = _quietly(context.full_text, context.cursor_line, context.cursor_position, shell.user_ns)
        return {
            "completions": [completer.SimpleCompletion(text, type=found.kind) for text in found.texts],
            "matched_fragment": found.typed,
            "ordered": True,
            "suppress": True,  # only where something is offered
        }

    _matchers(shell).append(fusion)


def detach(shell: InteractiveShell) -> None:
    """Take back what `attach` did."""
    known = _matchers(shell)
    known[:] = [matcher for matcher in known if getattr(matcher, "matcher_identifier", None) != IDENTIFIER]


def _matchers(shell: InteractiveShell) -> list[Any]:
    return getattr(shell.Completer, "custom_matchers", [])


def _quietly(text: str, line: int, column: int, namespace: Namespace) -> Candidates:
    """Pressing Tab never shows an error, whatever a file or a variable of the user's does."""
    try:
        return offered(text, line, column, namespace)
    except Exception:
        return NONE


def offered(text: str, line: int, column: int, namespace: Namespace) -> Candidates:
    """What completes a cell at the cursor; nothing is asked over the network.

    Args:
        text: the whole cell.
        line, column: where the cursor stands, both from 0.
        namespace: the notebook's variables.
    """
    lines = text.split("\n")
    here, head = lines[line], _head(lines)
    if head is not None and line > head:
        return _in_prompt(here[:column], namespace)
    opening = (CELL if line == head else LINE).match(here)
    if opening is None or opening.end() >= column:
        return NONE
    before, typed, after = _words(here[opening.end() : column], here[column:])
    values = flag_line if line == head else command_line
    return values(before, typed, after, namespace)


def _head(lines: list[str]) -> int | None:
    """The number of the `%%fusion` line; other cell magics, such as %%time, may stand above it."""
    for number, line in enumerate(lines):
        if CELL.match(f"{line} "):
            return number
        if line.strip() and not line.lstrip().startswith("%%"):
            return None
    return None


def _words(before: str, after: str) -> tuple[list[str], str, list[str]]:
    """The words before the cursor's, what of that one is typed, and the words behind it.

    A quote that is open stays where it is: what is typed begins behind it.
    """
    words = WORD.findall(before)
    typed = words.pop() if words and before.endswith(words[-1]) else ""
    behind = WORD.findall(after)
    if typed and after[:1].strip():
        behind = behind[1:]  # the rest of the cursor's own word
    return [word.strip("\"'") for word in words], typed, behind


def _in_prompt(before: str, namespace: Namespace) -> Candidates:
    brace = BRACE.search(before)
    return beginning(variables(namespace, is_text), brace[1] or "", "variable") if brace else NONE
