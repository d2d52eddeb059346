"""`%load_ext fusion_magic`: what is registered, once, and taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from IPython.utils.capture import capture_output

from fusion_magic import Settings, scripted
from fusion_magic.events import PlannedCall, RunStarted
from fusion_magic.jupyter import flags
from fusion_magic.jupyter.show import Show

from .conftest import Cells


def test_unloading_takes_the_magics_and_their_settings_away(cell: Cells) -> None:
    before = len(cell.shell.configurables)
    cell("%unload_ext fusion_magic")

    assert "not found" in cell("%%fusion\nWhat?").text
    assert "not found" in cell("%fusion panels").text
    assert len(cell.shell.configurables) == before - 1
    cell("%load_ext fusion_magic")


def test_reloading_leaves_one_of_everything(cell: Cells) -> None:
    before = len(cell.shell.configurables)
    cell("%reload_ext fusion_magic")
    with scripted({"*": "The capital is Paris."}):
        ran = cell("%%fusion -m a/one --quiet\nWhat?")

    assert len(cell.shell.configurables) == before
    assert ran.everything.count("The capital is Paris.") == 1


def test_a_question_mark_lists_every_flag(cell: Cells) -> None:
    told = cell("%%fusion?").everything

    for name in Settings.model_fields:
        assert flags.LONG.get(name, f"--{name.replace('_', '-')}") in told
    for name in ("-p", "-m", "--into", "--static", "--raw", "--quiet"):
        assert name in told


def test_no_call_is_made_before_the_cell_shows_the_plan(cell: Cells) -> None:
    show = Show(cell.shell, flags.parse(""), clicks=False)
    show.begin(lambda: None, lambda label: None)
    plan = (PlannedCall("panel", "A", "vendor/model", None, None),)
    show.events.append(RunStarted("id", datetime.now(UTC), "Why?", {}, plan))

    async def held_back() -> tuple[bool, bool]:
        waiting = asyncio.create_task(show.until_plan_is_shown())
        before = (await asyncio.wait({waiting}, timeout=0.05))[0]
        show.redraw()
        after = (await asyncio.wait({waiting}, timeout=1.0))[0]
        return not before, bool(after)

    with capture_output() as captured:
        assert asyncio.run(held_back()) == (True, True)

    assert "vendor/model" in captured.stdout
