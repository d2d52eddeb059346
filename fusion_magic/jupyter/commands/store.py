"""`%fusion store`: what is kept and where, and how to delete it or take it along."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ...chosen import nearest
from ...settings import seconds_of
from ..static.money import counted
from .tables import show

if TYPE_CHECKING:
    from ...store import Store

WORDS = ("prune", "export", "forget")
CENTURY = 100 * 365 * 86_400.0  # seconds: nothing here is older, and what is much longer no calendar holds


def opened() -> Store:
    """The user's store; imported when it is first asked for, as SQLite costs more than the other commands."""
    from ...store import open_store

    return open_store()


def store(words: list[str]) -> None:
    """Show where calls and results are kept and how much, or do what the next word says."""
    match words:
        case []:
            _size()
        case ["prune", "--older", age]:
            number = opened().prune(timedelta(seconds=min(seconds_of(age), CENTURY)))
            print(f"{counted(number, 'run')} older than {age} deleted; what they cost stays in `%fusion costs`.")
        case ["prune", *_]:
            raise UsageError("say how old: %fusion store prune --older 90d")
        case ["export", path]:
            _export(Path(path).expanduser())
        case ["forget", run]:
            _forget(run)
        case [word, *_] if word in WORDS:
            raise UsageError(f"%fusion store {word} takes one {'file' if word == 'export' else 'ID'}")
        case _:
            raise UsageError(f'no word "{words[0]}" of %fusion store{nearest(words[0], WORDS)}')


def _size() -> None:
    size = opened().size()
    since = f"{size.since.astimezone():%Y-%m-%d}" if size.since else "–"
    rows = [
        ["file", str(size.path)],
        ["size", _bytes(size.bytes)],
        ["runs", f"{size.runs:,}"],
        ["calls", f"{size.calls:,}"],
        ["since", since],
    ]
    foot = "Prompts and answers are in it, keys never. To delete or take along: %fusion store prune, forget, export."
    show(rows, (), foot, aligned=True)


def _bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.1f} kB"


def _export(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} is there already; choose another name")
    print(f"{counted(opened().export(path), 'run')} written to {path}, each as a line of JSON.")


def _forget(run: str) -> None:
    number = opened().forget(run)
    print(f"Run {run} is deleted with {counted(number, 'call')}; outputs saved in notebooks still hold it.")
