"""An ablation: one model alone, the same model several times, and a panel, evaluated on shared answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..chosen import checked
from ..errors import SettingsError
from ..examine.drawing import name
from ..presets import choose_panel
from ..request import request_for
from ..settings import LABELS, Panel, Panelist, Settings
from .datasets import Dataset
from .gains import Ablation, ablation_of
from .runner import evaluate


def ablation(dataset: Dataset, *, level: float = 0.95, **arguments: Any) -> Ablation:
    """Evaluate one model alone, its own fusion and a panel, and split the panel's gain; see `ablation_of`.

        ablation(tasks, panel="frontier", grader="google/gemini-3.1-pro-preview", passes=3, max_usd=200)

    What the model answers alone is also the first answer in its own fusion and its seat's response in the panel: with a
    store it is asked once for that. Run the same call again to finish what was stopped.

    Args:
        dataset: what is asked.
        level: of the intervals.
        arguments: those of `ablation_systems`, those of `evaluate`, and settings of all three systems.

    Raises:
        SettingsError: fewer than two tasks, or as `ablation_systems`, `evaluate` and `ablation_of`.
    """
    own = ("panel", "models", "judge", "synthesizer", "solo", "copies")
    members = {key: arguments.pop(key) for key in own if key in arguments}
    shared = {key: value for key, value in arguments.items() if key in Settings.model_fields and key != "max_usd"}
    systems = ablation_systems(**members, **shared)
    solo, self_fusion, panel = systems
    if len(dataset.select(arguments.get("tasks"))) < 2:
        raise SettingsError("An ablation takes two tasks or more, as one has no interval; choose more tasks.")
    scores = evaluate(dataset, systems, **arguments)
    found = ablation_of(scores, solo=solo, self_fusion=self_fusion, panel=panel, level=level)
    return replace(found, notes=(*found.notes, *_on_roles(systems[panel]["panel"], systems[solo]["model"])))


def ablation_systems(
    *,
    panel: str | Panel | None = None,
    models: Iterable[str | Panelist] | None = None,
    judge: str | Panelist | None = None,
    synthesizer: str | Panelist | None = None,
    solo: str | Panelist | None = None,
    copies: int | None = None,
    **settings: Any,
) -> dict[str, dict[str, Any]]:
    """The three systems of an ablation for `evaluate` or `estimate`: solo, self-fusion and panel, in this order.

    Both fusions have the same judge and synthesizer.

    Args:
        panel, models, judge, synthesizer: the panel, as for `fuse`; it has two seats or more.
        solo: the model that is asked alone. A seat of the panel keeps its own settings. Without it the seat whose model
            is the synthesizer's, else the first.
        copies: how often it is asked for its own fusion, 2 to 8; without it as often as the panel has seats.
        settings: of the run, as for `fuse`; they say which panel is meant, and are not in what is returned.

    Raises:
        SettingsError: a panel of one, or a number of copies that can't be.
    """
    members: dict[str, Any] = {"panel": panel, "models": models and tuple(models)}
    members |= {"judge": judge, "synthesizer": synthesizer}
    request = request_for("Which panel?", **{**settings, **members})
    chosen = choose_panel(request.settings, default=request.default_panel)
    seat = _solo(chosen, solo)
    count = len(chosen.models) if copies is None else copies
    if len(chosen.models) < 2 or not 2 <= count <= len(LABELS):
        raise SettingsError(
            f"An ablation needs a panel of two or more seats and 2 to {len(LABELS)} copies of one model; "
            f"the panel has {len(chosen.models)}, copies are {count}."
        )
    own = Panel(models=(seat,) * count, judge=chosen.judge, synthesizer=chosen.synthesizer, tools=chosen.tools)
    tools: dict[str, Any] = {"tools": chosen.tools} if chosen.tools and "tools" not in settings else {}
    one, several = name(seat.model), chosen.name or " + ".join(name(each.model) for each in chosen.models)
    # In this order: what was answered alone is in the store when a fusion asks for it.
    return {
        one: {"model": seat, **tools},
        f"{one} × {count}": {"panel": own},
        f"{several} (panel)" if several == one else several: {"panel": chosen},
    }


def _solo(panel: Panel, solo: str | Panelist | None) -> Panelist:
    """Who is asked alone, without a letter: a seat of the panel if it is one, as it sits there."""
    if isinstance(solo, Panelist):
        return solo
    wanted = panel.synthesizer.model if solo is None else solo
    seat = next((seat for seat in panel.models if seat.model == wanted), None)
    if seat is None:
        seat = panel.models[0] if solo is None else checked(Panelist, {"model": solo})
    return seat.model_copy(update={"label": ""})


def _on_roles(panel: Panel, seat: Panelist) -> Iterable[str]:
    if seat.model not in {each.model for each in panel.models}:
        yield f"{seat.model} is not on the panel, so the panel has other models and not one more."
    if panel.synthesizer.model != seat.model:
        yield f"{panel.synthesizer.model} writes both fusions, so the part of synthesis holds what that model brings."
