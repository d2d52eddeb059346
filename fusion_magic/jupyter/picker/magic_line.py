"""A panel as the `%%fusion` line that asks it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import SettingsError
from ...presets import PANEL_NAME, panels
from ...settings import Panel, Panelist

# IPython evaluates {…} and $… in a line, and argparse takes what begins with - for a flag: a name is never to do that.
PLAIN_NAME = re.compile(r"[\w~][\w~./:@+-]*")


def magic_line(panel: Panel) -> str:
    """The `%%fusion` line that asks the panel: by its name where it has one, else with its models written out.

    Raises:
        SettingsError: a seat has a persona, temperature or effort of its own, or a name that no line can hold;
            `save_panel` gives the panel a name.
    """
    if (name := name_of(panel)) is not None:
        return f"%%fusion --panel {name}"
    if unsaid := list(_unsaid(panel)):
        raise SettingsError(f"A line can't say {', '.join(unsaid)}; save the panel and use it by its name.")
    words = ["%%fusion", *(word for seat in panel.models for word in ("-m", seat.model))]
    if panel.judge.model != panel.models[0].model:
        words += ["--judge", panel.judge.model]
    if panel.synthesizer.model != panel.judge.model:
        words += ["--synthesizer", panel.synthesizer.model]
    return " ".join(words)


def name_of(panel: Panel) -> str | None:
    """The name under which this very panel can be asked for: a preset's, or one in `fusion.toml`."""
    usable = {name: other for name, other in panels().items() if PANEL_NAME.fullmatch(name)}
    same = [name for name, other in usable.items() if asks_the_same(panel, other)]
    return panel.name if panel.name in same else next(iter(same), None)


def asks_the_same(one: Panel, other: Panel) -> bool:
    """Whether two panels ask the same models in the same way, whatever they are called."""
    return (one.models, one.judge, one.synthesizer) == (other.models, other.judge, other.synthesizer)


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
