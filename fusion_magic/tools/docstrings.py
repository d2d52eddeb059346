"""Reads what a docstring says of a function and of its parameters, in Google's and in numpy's form."""

from __future__ import annotations

import re

GOOGLE = re.compile(r"(Args|Arguments|Parameters|Params):\s*")
NUMPY = re.compile(r"Parameters\s*")
ENTRY = re.compile(r"(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)")  # name (type): text
NUMPY_ENTRY = re.compile(r"(?P<name>\w+)\s*(?::.*)?")  # name : type


def described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The docstring without its section of parameters, and what that section says of each parameter."""
    lines = (docstring or "").splitlines()
    for at, line in enumerate(lines):
        if GOOGLE.fullmatch(line):
            end = _end(lines, at + 1)
            return _joined(lines, at, end), _entries(lines[at + 1 : end], ENTRY)
        if NUMPY.fullmatch(line) and at + 1 < len(lines) and re.fullmatch(r"-{3,}\s*", lines[at + 1]):
            end = next(
                (after - 1 for after in range(at + 3, len(lines)) if re.fullmatch(r"-{3,}\s*", lines[after])),
                len(lines),
            )
            return _joined(lines, at, end), _entries(lines[at + 2 : end], NUMPY_ENTRY)
    return "\n".join(lines).strip(), {}


def _end(lines: list[str], begin: int) -> int:
    """The first line that is neither empty nor indented."""
    return next((at for at in range(begin, len(lines)) if lines[at][:1].strip()), len(lines))


def _joined(lines: list[str], begin: int, end: int) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*lines[:begin], *lines[end:]])).strip()


def _entries(lines: list[str], entry: re.Pattern[str]) -> dict[str, str]:
    found, name = dict[str, list[str]](), ""
    filled = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    for line in filled:
        begins = entry.fullmatch(line.strip()) if not line[margin].isspace() else None
        if begins:
            name = begins["name"]
            found[name] = [begins.groupdict().get("text") or ""]
        elif name:
            found[name].append(line.strip())
    return {each: " ".join(filter(None, parts)) for each, parts in found.items()}
