"""What each row is asked: a template that names columns, or a function of the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from ..chosen import nearest
from ..errors import SettingsError
from ..interpolate import fields, interpolate

SHOWN = 12  # columns that an error lists
ADJACENT = re.compile(r"\}\{(\w+)\}")
AS_IT_IS = "Braces that are meant for the model go between backticks."


class Prompt(NamedTuple):
    """What a row is asked, and what the reader should know of how its values were put in."""

    text: str
    notes: tuple[str, ...] = ()


class NoColumn(SettingsError):
    """The template names a column that the row does not have."""


Write = Callable[[Any], Prompt]


def writer(prompt: str | Callable[[Any], str], columns: Iterable[str] | None) -> Write:
    """The function that makes a row's prompt.

    Args:
        prompt: a template such as "Classify {text}", or a function of the row.
        columns: of the frame; None where each row may be a mapping or a plain value.

    Returns:
        A function that raises NoColumn, or SettingsError for a row whose values can't be asked about.

    Raises:
        NoColumn, SettingsError: the template can't be used for any row.
    """
    if not isinstance(prompt, str):
        return _Function(prompt)
    template = _Template(prompt)
    if columns is not None:
        template.check(columns)
    return template


class _Function:
    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function

    def __call__(self, row: Any) -> Prompt:
        try:
            text = self._function(row)
        except Exception as exc:  # the function is the user's
            raise SettingsError(f"The prompt's function failed on this row ({exc!r}); nobody was asked.") from exc
        if not isinstance(text, str):
            raise SettingsError(f"The prompt's function returned a {type(text).__name__}, not a text.")
        return _checked(Prompt(text))


class _Template:
    """The rules are those of a cell: code, mathematics and the braces of JSON stay as they are."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._fields = fields(template)
        self._names = list(dict.fromkeys(self._fields.values()))
        if not self._names:
            raise SettingsError('The prompt names no column, so every row would be asked the same; write "… {column}".')

    def check(self, columns: Iterable[str]) -> None:
        """Raise NoColumn for a name that is none of the columns."""
        known = list(columns)
        for name in self._names:
            if name not in known:
                listed = ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
                raise NoColumn(f'There is no column "{name}"{nearest(name, known)} Columns: {listed}. {AS_IT_IS}')
        for name in ADJACENT.findall(self._template):
            if name in known:
                raise NoColumn(f"{{{name}}} right behind another brace is taken for TeX; put a space between them.")

    def __call__(self, row: Any) -> Prompt:
        values = self._values(row)
        for name in self._names:
            if _is_missing(values[name]):
                raise SettingsError(f'"{name}" is missing in this row, so nobody was asked.')
        written = interpolate(self._template, values)
        lost = self._fields.keys() - {used.expression for used in written.used}
        if lost:
            raise SettingsError(f"This row has no {{{min(lost)}}}, so nobody was asked.")
        notes = tuple(f"Inserted {{{used.expression}}}: {used.note}." for used in written.used if used.note)
        return _checked(Prompt(written.text, notes))

    def _values(self, row: Any) -> Mapping[str, object]:
        """The row's values by name; a plain value is what the template's one name means."""
        if isinstance(row, Mapping):
            values = {str(name): value for name, value in cast("Mapping[object, object]", row).items()}
            self.check(values)
            return values
        if len(self._names) > 1:
            names = ", ".join(f"{{{name}}}" for name in self._names)
            raise NoColumn(f"Each row is one value, and the prompt has several names for it: {names}. {AS_IT_IS}")
        return {self._names[0]: row}


def _checked(prompt: Prompt) -> Prompt:
    if not prompt.text.strip():
        raise SettingsError("The row's prompt is empty, so nobody was asked.")
    return prompt


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA; of these only None equals itself."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # NA has no truth; nor has an array, which is not missing
        return type(value).__name__ == "NAType"
