"""`%fusion WORD …`: pick, panels, models, login, logout and doctor."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Callable
from typing import Any

from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from pydantic import SecretStr

from .. import doctor, keys
from ..presets import endpoints, panels
from ..settings import Panel, nearest
from .markup import escape, plain
from .static import framed, table

GUIDE = """%%fusion [-p PANEL] [-m MODEL …]   ask a panel the text of the cell (%%fusion? lists the flags)
    --tools web|none|FUNCTION,…    what the panel may use; --data, --corpus, --attach, --mcp
%fusion pick [PANEL]               put a panel together by searching and clicking; it is in `_picker`
%fusion panels [--check]           the named panels; --check compares them with the live catalogue
%fusion models [WORD]              models of OpenRouter's catalogue whose name has the word
%fusion login [ENDPOINT]           store a key without showing it
%fusion logout [ENDPOINT]          delete a stored key
%fusion doctor                     what works and what to do about the rest"""
MODELS_SHOWN = 40
ABOUT_PANELS = (
    "web: the panel searches and reads pages; --tools none does without. "
    "* percent, as published, measured with tools, DRACO only"
)


def run(line: str, shell: InteractiveShell) -> Any:
    """Carry out a `%fusion` line. Raises UsageError for a word it does not know."""
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"the line can't be read: {str(exc).lower()}") from exc
    if not words:
        return display({"text/html": f"<pre>{escape(GUIDE)}</pre>", "text/plain": GUIDE}, raw=True)
    known: dict[str, Callable[[list[str]], None]] = {
        "pick": lambda words: _pick(words, shell),
        "panels": _panels,
        "models": _models,
        "login": _login,
        "logout": _logout,
        "doctor": _doctor,
    }
    if words[0] not in known:
        raise UsageError(f'no command "{words[0]}"{nearest(words[0], known)} `%fusion` alone lists them.')
    return known[words[0]](words[1:])


def panel_in(value: object) -> Panel | None:
    """The panel that a variable holds: itself, or what is picked in a picker."""
    panel = getattr(value, "panel", value)
    return panel if isinstance(panel, Panel) else None


def _pick(words: list[str], shell: InteractiveShell) -> None:
    """Show a picker; `_picker` holds it, so that `%%fusion --panel _picker` asks what is picked."""
    if len(words) > 1:
        raise UsageError("%fusion pick takes the name of one panel, or of a variable that holds one, or nothing")
    if getattr(shell, "kernel", None) is None:
        raise UsageError(
            "the picker needs a notebook; here `%fusion panels` and `%fusion models WORD` look around, and "
            "fusion_magic.save_panel(NAME, Panel(models=[…])) keeps a panel"
        )
    from .picker import pick_panel

    word = words[0] if words else None
    picker = pick_panel(panel_in(shell.user_ns.get(word)) or word)
    shell.push({"_picker": picker})
    display(picker)


def _panels(words: list[str]) -> None:
    if words not in ([], ["--check"]):
        raise UsageError("%fusion panels takes --check or nothing")
    standing = doctor.check_panels() if words else {}
    head = ("panel", "models", "judged and written by", "web", "DRACO*", "about", *(("catalogue",) if words else ()))
    rows = [[*_panel_row(name, panel), *([standing[name]] if words else [])] for name, panel in panels().items()]
    _show(rows, head, ABOUT_PANELS)


def _panel_row(name: str, panel: Panel) -> list[str]:
    members = ", ".join(seat.model for seat in panel.models) if panel.name != "free" else "chosen when it runs"
    chairs = dict.fromkeys(seat.model for seat in (panel.judge, panel.synthesizer))
    read = ", ".join(chairs) if panel.name != "free" else "the first of them"
    score = f"{panel.score:.1f}" if panel.score is not None else "–"
    about = f"{panel.about} ({panel.source})" if panel.source else panel.about
    web = "web" if panel.tools else "–"
    return [name, members, read, web, score, about]


def _models(words: list[str]) -> None:
    found = doctor.find_models(" ".join(words))
    rows = [
        [model.id, str(model.price), f"{model.context:,}" if model.context else "–"] for model in found[:MODELS_SHOWN]
    ]
    more = len(found) - len(rows)
    _show(rows, ("model", "price (input / output)", "context"), f"and {more} more; add a word" if more > 0 else "")


def _login(words: list[str]) -> None:
    name = _endpoint_name(words)
    key = _asked_key(name)
    if not key.get_secret_value():
        raise UsageError("no key was given; nothing is stored")
    print(f"The key for {name} is in {keys.store_key(name, key)}.")


def _asked_key(name: str) -> SecretStr:
    try:
        # Looked up now: a kernel puts its own getpass in the module while a cell runs.
        return SecretStr(getpass.getpass(f"Key for {name} (not shown): ").strip())
    except StdinNotImplementedError as exc:
        raise UsageError("nobody can be asked for a key here; set its variable instead") from exc


def _logout(words: list[str]) -> None:
    name = _endpoint_name(words)
    print(f"The key for {name} is deleted." if keys.forget_key(name) else f"No key for {name} was stored.")


def _endpoint_name(words: list[str]) -> str:
    if len(words) > 1:
        raise UsageError("give the endpoint's name only; the key is asked for without being shown")
    name, known = words[0] if words else "openrouter", endpoints()
    if name not in known:
        raise UsageError(f'no endpoint "{name}"{nearest(name, known)}')
    return name


def _doctor(words: list[str]) -> None:
    if words:
        raise UsageError("%fusion doctor takes nothing")
    rows = [["✓" if check.ok else "✗", check.subject, check.said, check.fix] for check in doctor.examine()]
    _show(rows, ("", "what", "found", "what to do"))


def _show(rows: list[list[str]], head: tuple[str, ...], foot: str = "") -> None:
    """Rows as an HTML table with plain text beside it."""
    lines = ["  ".join(filter(None, row)) for row in rows]
    note = f"<p>{escape(foot)}</p>" if foot else ""
    text = plain("\n".join([*lines, foot] if foot else lines))
    display({"text/html": framed(table(head, rows) + note), "text/plain": text}, raw=True)
