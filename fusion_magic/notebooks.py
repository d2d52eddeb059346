"""Results that a saved notebook keeps in its outputs, read without a kernel and on any machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .results import RECORD, FusionResult


def from_notebook(path: str | Path) -> list[FusionResult]:
    """The results that a saved notebook keeps in its outputs, in order, each once.

    Raises:
        OSError: the file can't be read.
        SettingsError: it is no notebook, or a record in it is damaged or of a later version.
    """
    try:
        cells = json.loads(Path(path).read_bytes())["cells"]
        records = list(_records(cells))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise SettingsError(f"{path} is not a notebook of format 4.") from exc
    found = [FusionResult.from_record(record, f"Cell {number} of {path}") for number, record in records]
    return list({result.id: result for result in found}.values())


def _records(cells: list[dict[str, Any]]) -> Iterator[tuple[int, object]]:
    """(number of the cell, counted from 1; record) of each output that has one."""
    for number, cell in enumerate(cells, 1):
        for output in cell.get("outputs", ()):
            if RECORD in output.get("data", ()):
                yield number, output["data"][RECORD]
