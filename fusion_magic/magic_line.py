"""A panel as the `%%fusion` line that asks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .errors import SettingsError
from .pipeline.kit import web_names
from .presets import PANEL_NAME, panels
from .settings import Panel, Panelist

# IPython evaluates {…} and $… in a line, and argparse takes what begins with - for a flag: a name is never to do that.
CHANGED = " (changed)"  # behind the name of the panel that one was made from
PLAIN_NAME = re.compile(r"[\w~][\w~./:@+-]*")


def magic_line(panel: Panel) -> str:
    """The `%%fusion` line that asks the panel: by its name where it has one, else with its models written out.

    Raises:
        SettingsError: a seat has a persona, temperature or effort of its own, or a name that no line can hold;
            `save_panel` gives the panel a name.
    """
    tools = ["--tools", ",".join(panel.tools or ()) or "none"]
    if (name := name_of(panel)) is not None:
        return f"%%fusion --panel {name}"
    if (name := _name_without_tools(panel)) is not None:
        return " ".join(["%%fusion", "--panel", name, *tools])
    if unsaid := list(_unsaid(panel)):
        raise SettingsError(f"A line can't say {', '.join(unsaid)}; save the panel and use it by its name.")
    return " ".join([*written_out(panel), *(tools if panel.tools else ())])


def can_be_written_out(panel: Panel) -> bool:
    """Whether a line can name the panel's models and say all that is asked of them."""
    return not list(_unsaid(panel))


def written_out(panel: Panel) -> list[str]:
    """The words of a line that names each model of the panel, judge and synthesizer where they need it."""
    words = ["%%fusion", *(word for seat in panel.models for word in ("-m", seat.model))]
    if panel.judge.model != panel.models[0].model:
        words += ["--judge", panel.judge.model]
    if panel.synthesizer.model != panel.judge.model:
        words += ["--synthesizer", panel.synthesizer.model]
    return words


def name_of(panel: Panel) -> str | None:
    """The name under which this very panel can be asked for: a preset's, or one in `fusion.toml`."""
    return _first_named(panel, asks_the_same)


def _name_without_tools(panel: Panel) -> str | None:
    """The name of a panel that differs in its tools alone."""
    return _first_named(panel, lambda one, other: _members(one) == _members(other))


def _first_named(panel: Panel, fits: Callable[[Panel, Panel], bool]) -> str | None:
    usable = {name: other for name, other in panels().items() if PANEL_NAME.fullmatch(name)}
    fitting = [name for name, other in usable.items() if fits(panel, other)]
    own = panel.name.removesuffix(CHANGED)
    return own if own in fitting else next(iter(fitting), None)


def asks_the_same(one: Panel, other: Panel) -> bool:
    """Whether two panels ask the same models in the same way and with the same tools, whatever they are called."""
    return _members(one) == _members(other) and web_names(one.tools or ()) == web_names(other.tools or ())


def _members(panel: Panel) -> tuple[object, ...]:
    return panel.models, panel.judge, panel.synthesizer


def _unsaid(panel: Panel) -> Iterator[str]:
    """What of a panel no flag can say."""
    places = [(f"seat {seat.label}", seat) for seat in panel.models]
    for place, seat in [*places, ("the judge", panel.judge), ("the synthesizer", panel.synthesizer)]:
        if own := ", ".join(_own(seat)):
            yield f"the {own} of {place}"
        if not PLAIN_NAME.fullmatch(seat.model):
            yield f"the name of {place}"


def _own(seat: Panelist) -> list[str]:
    given = seat.model_dump(exclude_none=True, exclude={"model", "label"})
    return ["persona" if name == "system" else name.replace("_", " ") for name in given]
