"""A table as the commands show it: HTML with plain text beside it, from texts that are not yet escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from IPython.display import display

from ..markup import escape, plain
from ..static import framed, table

BAR = 20  # characters of the longest bar
EIGHTHS = "▏▎▍▌▋▊▉█"
AMOUNT = re.compile(r"[\d,]*|(at least )?\$[\d.]+|not priced")  # what stands to the right in its column


def show(
    rows: Sequence[Sequence[str | float]], head: tuple[str, ...], foot: str = "", *, aligned: bool = False
) -> None:
    """Show rows; a number in them is a share of 1, drawn as a bar. `aligned` gives the text columns of one width."""
    shown = [[bar(cell) if isinstance(cell, float | int) else one_line(cell) for cell in row] for row in rows]
    lines = (
        _columns([*([head] if head else []), *shown])
        if aligned and rows
        else ["  ".join(filter(None, row)) for row in shown]
    )
    note = f"<p>{escape(foot)}</p>" if foot else ""
    text = plain("\n".join([*lines, foot] if foot else lines))
    display({"text/html": framed((table(head, rows) if rows else "") + note), "text/plain": text}, raw=True)


def one_line(text: str) -> str:
    """Text on one line, without what hides or reorders it."""
    return " ".join(plain(text).split())


def bar(share: float) -> str:
    """A bar of block characters, in eighths of one."""
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = [_column(column) for column in zip(*rows, strict=True)]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]


def _column(cells: Sequence[str]) -> list[str]:
    width, is_amount = max(map(len, cells)), all(AMOUNT.fullmatch(cell) for cell in cells[1:])
    return [cell.rjust(width) if is_amount else cell.ljust(width) for cell in cells]
