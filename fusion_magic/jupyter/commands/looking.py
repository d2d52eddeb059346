"""`%fusion pick`, `panels` and `models`: whom one can ask."""

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from ... import doctor
from ...presets import panels
from ...settings import Panel
from .tables import show

MODELS_SHOWN = 40
ABOUT_PANELS = (
    "web: the panel searches and reads pages; --tools none does without. "
    "* percent, as published, measured with tools, DRACO only"
)


def panel_in(value: object) -> Panel | None:
    """The panel that a variable holds: itself, or what is picked in a picker."""
    panel = getattr(value, "panel", value)
    return panel if isinstance(panel, Panel) else None


def pick(words: list[str], shell: InteractiveShell) -> None:
    """Show a picker; `_picker` holds it, so that `%%fusion --panel _picker` asks what is picked."""
    if len(words) > 1:
        raise UsageError("%fusion pick takes the name of one panel, or of a variable that holds one, or nothing")
    if getattr(shell, "kernel", None) is None:
        raise UsageError(
            "the picker needs a notebook; here `%fusion panels` and `%fusion models WORD` look around, and "
            "fusion_magic.save_panel(NAME, Panel(models=[…])) keeps a panel"
        )
    from ..picker import pick_panel

    word = words[0] if words else None
    picker = pick_panel(panel_in(shell.user_ns.get(word)) or word)
    shell.push({"_picker": picker})
    display(picker)


def panels_table(words: list[str]) -> None:
    """Show the named panels, and with --check which of them stand."""
    if words not in ([], ["--check"]):
        raise UsageError("%fusion panels takes --check or nothing")
    standing = doctor.check_panels() if words else {}
    head = ("panel", "models", "judged and written by", "web", "DRACO*", "about", *(("catalogue",) if words else ()))
    rows = [[*_panel_row(name, panel), *([standing[name]] if words else [])] for name, panel in panels().items()]
    show(rows, head, ABOUT_PANELS)


def _panel_row(name: str, panel: Panel) -> list[str]:
    members = ", ".join(seat.model for seat in panel.models) if panel.name != "free" else "chosen when it runs"
    chairs = dict.fromkeys(seat.model for seat in (panel.judge, panel.synthesizer))
    read = ", ".join(chairs) if panel.name != "free" else "the first of them"
    score = f"{panel.score:.1f}" if panel.score is not None else "–"
    about = f"{panel.about} ({panel.source})" if panel.source else panel.about
    web = "web" if panel.tools else "–"
    return [name, members, read, web, score, about]


def models_table(words: list[str]) -> None:
    """Show the models whose name has the word, with their prices."""
    found = doctor.find_models(" ".join(words))
    rows = [
        [model.id, str(model.price), f"{model.context:,}" if model.context else "–"] for model in found[:MODELS_SHOWN]
    ]
    more = len(found) - len(rows)
    show(rows, ("model", "price (input / output)", "context"), f"and {more} more; add a word" if more > 0 else "")
