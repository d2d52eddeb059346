"""Puts values into a prompt: `{name}`, `{df.columns}`, `{rows[0]}`, `{cfg["key"]}`, and nothing else.

Prompts are full of braces that are not for us: code, JSON, LaTeX, templates. So a pair of braces is replaced only if it
holds a path that exists in the namespace; everything else reaches the model untouched, without an error.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .segments import segments

MAX_CHARACTERS = 200_000  # of one value: about 50,000 tokens
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 20, 12, 80  # of a table

_STEP = r"\.[^\W\d]\w*+|\[(?:-?\d{1,9}|'[^'\\\n]*+'|\"[^\"\\\n]*+\")\]"
_STEPS = re.compile(_STEP)
_FIELD = re.compile(
    rf"""\b(?:[fF][rR]?|[rR][fF])(?:"[^"\n]*+"|'(?!\()[^'\n]*+')   # a Python f-string's braces are its own
    | (?<!\{{)\{{(?P<path>(?P<root>[^\W\d]\w*+)(?:{_STEP})*+)\}}(?!\}})""",
    re.VERBOSE,
)
# An argument of TeX (`\frac{a}`, `\sqrt[3]{x}`, `x_{n}`, `{a}{b}`), an escaped brace, or a shell or JavaScript `${x}`.
_NOT_OURS = re.compile(r"(?:\\[A-Za-z]+\*?(?:\[[^\]\n]*\])?|[\^_}\\$])\Z")
_LOOK_BACK = 80  # characters: longer than any TeX command with its optional argument


@dataclass(frozen=True)
class Substitution:
    """One path that was replaced, wherever it occurs in the prompt."""

    expression: str  # as written between the braces
    kind: str  # the name of the value's type
    characters: int  # that took its place
    note: str = ""  # what was left out, such as "first 20 of 1,000 rows"


@dataclass(frozen=True)
class Interpolated:
    """A prompt with its values, and what was put in, in the order of first use."""

    text: str
    used: tuple[Substitution, ...] = ()


@dataclass(frozen=True)
class _Written:
    text: str
    note: str = ""
    block: bool = False  # must stand on lines of its own


def interpolate(prompt: str, namespace: Mapping[str, object]) -> Interpolated:
    """Replace each `{path}` outside code and mathematics that exists in `namespace`.

    A path is a name followed by attributes and by indices that are numbers or quoted strings: no calls, no
    arithmetic, no names that begin with two underscores. What does not exist, raises, or cannot be written as text
    stays as it is. An inserted value is not searched for braces again. Values are bounded by `MAX_CHARACTERS`.
    """
    values: dict[str, tuple[_Written, str] | None] = {}
    parts: list[str] = []
    position = 0
    for kind, part in segments(prompt):
        if kind == "text" and "{" in part:
            parts += _replaced(prompt, position, position + len(part), namespace, values)
        else:
            parts.append(part)
        position += len(part)
    found = {path: value for path, value in values.items() if value}
    used = (Substitution(path, kind, len(value.text), value.note) for path, (value, kind) in found.items())
    return Interpolated("".join(parts), tuple(used))


def fields(prompt: str) -> dict[str, str]:
    """Every path in the prompt that `interpolate` would replace if it existed, with the name it begins with."""
    found: dict[str, str] = {}
    position = 0
    for kind, part in segments(prompt):
        if kind == "text" and "{" in part:
            for field in _FIELD.finditer(prompt, position, position + len(part)):
                if field["path"] and not _belongs_to_something_else(prompt, field.start()):
                    found[field["path"]] = field["root"]
        position += len(part)
    return found


def _replaced(
    prompt: str,
    start: int,
    end: int,
    namespace: Mapping[str, object],
    values: dict[str, tuple[_Written, str] | None],
) -> Iterable[str]:
    done = start
    for found in _FIELD.finditer(prompt, start, end):
        path = found["path"]
        if not path or found["root"] not in namespace or _belongs_to_something_else(prompt, found.start()):
            continue
        if path not in values:
            values[path] = _look_up(path, found["root"], namespace)
        if value := values[path]:
            yield prompt[done : found.start()]
            yield _placed(value[0], prompt[found.start() - 1 : found.start()], prompt[found.end() : found.end() + 1])
            done = found.end()
    yield prompt[done:end]


def _belongs_to_something_else(prompt: str, brace: int) -> bool:
    return bool(_NOT_OURS.search(prompt, max(0, brace - _LOOK_BACK), brace))


def _placed(value: _Written, before: str, after: str) -> str:
    """The value as it stands in the prompt: a table gets lines of its own."""
    if not value.block:
        return value.text
    return ("" if before in ("", "\n") else "\n") + value.text + ("" if after in ("", "\n") else "\n")


def _look_up(path: str, root: str, namespace: Mapping[str, object]) -> tuple[_Written, str] | None:
    """The value as text and the name of its type; None if the path leads nowhere."""
    try:
        value = _follow(namespace, path, root)
        return _written(value), type(value).__name__
    except Exception:  # whatever a property, `__getitem__` or `__str__` of the user's may raise
        return None


def _follow(namespace: Mapping[str, object], path: str, root: str) -> Any:
    _refuse_dunder(root)
    value: Any = namespace[root]
    for step in _STEPS.findall(path, len(root)):
        if step[0] == ".":
            value = getattr(value, _refuse_dunder(step[1:]))
        else:
            value = value[step[2:-2] if step[1] in "'\"" else int(step[1:-1])]
    return value


def _refuse_dunder(name: str) -> str:
    if name.startswith("__"):
        raise AttributeError(name)
    return name


def _written(value: Any) -> _Written:
    if isinstance(value, str):
        return _bounded(str(value))
    if isinstance(value, list | dict | tuple):
        return _collection(value)
    if frame := _as_frame(value):
        return _Written(*_table(*frame), block=True)
    if isinstance(answer := getattr(value, "answer", None), str) and hasattr(value, "responses"):
        return _bounded(answer)  # the result of an earlier run
    return _bounded(str(value))


def _bounded(text: str) -> _Written:
    if len(text) <= MAX_CHARACTERS:
        return _Written(text)
    note = f"first {MAX_CHARACTERS:,} of {len(text):,} characters"
    return _Written(f"{text[:MAX_CHARACTERS]} … ({note})", note)


def _collection(value: Any) -> _Written:
    """JSON if it can be, which models read best; written piece by piece, so that a huge list stops at the limit."""
    try:
        pieces: list[str] = []
        length = 0
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                note = f"first {MAX_CHARACTERS:,} characters"
                return _Written(f"{''.join(pieces)[:MAX_CHARACTERS]} … ({note})", note)
        return _Written("".join(pieces))
    except (TypeError, ValueError):
        return _bounded(repr(value))


_Frame = tuple[list[object], list[tuple[object, ...]], int, int]  # header, first rows, rows in all, columns in all


def _as_frame(value: Any) -> _Frame | None:
    """The beginning of a pandas or polars frame or series; neither library is imported for it."""
    for library, read in (("pandas", _pandas), ("polars", _polars)):
        module = sys.modules.get(library)
        series, frame = getattr(module, "Series", None), getattr(module, "DataFrame", None)
        if series and isinstance(value, series):
            return read(value.to_frame())
        if frame and isinstance(value, frame):
            return read(value)
    return None


def _pandas(frame: Any) -> _Frame:
    shown = frame.iloc[:MAX_ROWS, :MAX_COLUMNS]
    header: list[object] = list(shown.columns)
    rows: list[tuple[object, ...]] = list(shown.itertuples(index=False, name=None))
    if not _is_default(frame.index):
        names = [str(name) for name in frame.index.names if name is not None]
        header = [", ".join(names), *header]
        rows = [(label, *row) for label, row in zip(shown.index, rows or [()] * len(shown), strict=True)]
    return header, rows, *frame.shape


def _is_default(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and (index.start, index.step, index.name) == (0, 1, None)


def _polars(frame: Any) -> _Frame:
    return list(frame.columns[:MAX_COLUMNS]), frame[:MAX_ROWS, :MAX_COLUMNS].rows(), *frame.shape


def _table(header: list[object], rows: list[tuple[object, ...]], height: int, width: int) -> tuple[str, str]:
    """A Markdown table and what it leaves out."""
    if not header:
        return f"(a table of {height:,} rows without columns)", ""
    cut_cells = 0

    def line(cells: Iterable[object]) -> str:
        nonlocal cut_cells
        written = [_cell(cell) for cell in cells]
        cut_cells += sum(cut for _, cut in written)
        return f"| {' | '.join(text for text, _ in written)} |"

    lines = [line(header), f"|{' --- |' * len(header)}", *map(line, rows)]
    note = ", ".join(filter(None, [_of("rows", len(rows), height), _of("columns", MAX_COLUMNS, width)]))
    if cut_cells:
        note = "; ".join(filter(None, [note, f"{cut_cells:,} cells cut to {MAX_CELL} characters"]))
    return "\n".join([*lines, *([f"({note})"] if note else [])]), note


def _of(what: str, shown: int, total: int) -> str:
    return f"first {shown:,} of {total:,} {what}" if shown < total else ""


def _cell(value: object) -> tuple[str, bool]:
    """A cell on one line, and whether it was cut."""
    text = r"\n".join(str(value)[: 2 * MAX_CELL].splitlines()).replace("|", r"\|")
    cut = len(text) > MAX_CELL
    return (text[: MAX_CELL - 1] + "…" if cut else text), cut
