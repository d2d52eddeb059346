"""`%%fusion` and `%fusion`: the cell and line magics, and the settings behind `%config FusionMagics`."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import Any

from IPython.core.formatters import IPythonDisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import DisplayHandle, display
from traitlets import Any as AnyTrait
from traitlets import TraitError, validate

from ..api import Running, request_for
from ..errors import FusionInterrupted, PanelFailed, SettingsError
from ..events import Event
from ..presets import default_panel
from ..results import FusionResult
from ..settings import Panel, Settings, build_settings
from . import commands, flags
from .interpolate import Interpolated, Substitution, interpolate
from .markup import plain
from .progress import Progress
from .static import answer_bundle, bundle

REDRAW = 0.25  # seconds between two pictures of the progress
PLAN_SECONDS = 2.0  # a cell that can't draw must not hold the run for longer
DIGITS = re.compile(r"[\d.,]+")  # a download that goes on is told once in a terminal
NO_KEY = (
    "No key was found, so the tiny embedded model answers. For a real panel set OPENROUTER_API_KEY or type "
    "`%fusion login`; Ollama and other servers need none: -m llama3.2@ollama."
)


def _traits() -> dict[str, AnyTrait]:
    """A trait for every setting, so that `%config FusionMagics.max_tokens = 4000` sets a default."""
    return {
        name: AnyTrait(None, allow_none=True, help=field.description or "").tag(config=True)
        for name, field in Settings.model_fields.items()
    }


class _Defaults(Magics):
    locals().update(_traits())

    @validate(*Settings.model_fields)
    def _valid(self, proposal: Any) -> Any:
        if proposal["value"] is None:
            return None
        try:
            build_settings({proposal["trait"].name: proposal["value"]})
        except SettingsError as exc:
            raise TraitError(str(exc)) from exc
        return proposal["value"]

    def defaults(self) -> dict[str, Any]:
        """Settings given by %config."""
        return {name: value for name in Settings.model_fields if (value := getattr(self, name)) is not None}


@magics_class
class FusionMagics(_Defaults):
    """Settings for `%%fusion`; `%%fusion?` explains each."""

    shell: InteractiveShell

    @cell_magic
    def fusion(self, line: str, cell: str) -> FusionResult:
        asked = flags.parse(line)
        prompt = Interpolated(cell.removesuffix("\n")) if asked.raw else interpolate(cell.strip(), self.shell.user_ns)
        chosen = dict(asked.settings)
        if isinstance(self.shell.user_ns.get(chosen.get("panel", "")), Panel):
            chosen["panel"] = self.shell.user_ns[chosen["panel"]]
        fallback = None if default_panel() else "local"
        request = request_for(
            prompt.text,
            without_key="local",
            defaults=[self.defaults()],
            notes=(*_no_key(fallback, {**self.defaults(), **chosen}), *map(_inserted, prompt.used)),
            **chosen,
        )
        show = Show(self.shell, asked)
        running = Running(replace(request, before_calls=show.until_plan_is_shown), show.events.append)
        try:
            result = running.wait(show.redraw)
        except (PanelFailed, FusionInterrupted) as exc:
            if exc.result is None:
                show.clear()
                raise
            self._keep(exc.result, asked.into)
            show.finish(exc.result)
            raise
        except BaseException:
            if (kept := running.result()) is not None:
                self._keep(kept, asked.into)
            show.clear()
            raise
        self._keep(result, asked.into)
        show.finish(result)
        return result

    def _keep(self, result: FusionResult, into: str | None) -> None:
        names = {"_fusion": result} | ({into: result} if into else {})
        self.shell.push(names)

    @line_magic("fusion")
    def command(self, line: str) -> Any:
        """`%fusion panels | models [WORD] | login [ENDPOINT] | doctor`: look around and set up."""
        return commands.run(line, self.shell)


def _no_key(fallback: str | None, chosen: dict[str, Any]) -> tuple[str, ...]:
    return (NO_KEY,) if fallback and not (chosen.get("panel") or chosen.get("models")) else ()


def _inserted(used: Substitution) -> str:
    note = f", {used.note}" if used.note else ""
    return f"Inserted {{{used.expression}}}: {used.kind}, {used.characters:,} characters{note}."


class Show:
    """What the cell shows: the progress, redrawn a few times a second, then the result in the same place.

    Drawing is done by the cell's own thread; the loop thread only leaves events here.
    """

    def __init__(self, shell: InteractiveShell, line: flags.Line) -> None:
        self.events: deque[Event] = deque()
        self.line = line
        self._progress = Progress()
        self._drawn_at = 0.0
        self._shell = shell
        self._is_kernel = getattr(shell, "kernel", None) is not None
        self._handle: DisplayHandle | None = None
        self._told: set[str] = set()
        self._is_live = not (line.static or line.quiet)
        self._plan_is_shown = False

    def redraw(self) -> None:
        """Take in what has happened and show it, unless that was done a moment ago.

        A picture that can't be made costs only the pictures: the run is being paid for.
        """
        try:
            self._redraw()
        except Exception as exc:
            self._is_live = False
            print(f"The progress can't be shown ({exc!r}); the run goes on.")

    def _redraw(self) -> None:
        if not self._is_live:
            return
        self._take()
        now, plan_is_new = time.monotonic(), bool(self._progress.seats) and not self._plan_is_shown
        if now - self._drawn_at < REDRAW and not plan_is_new:
            return
        self._drawn_at = now
        self._draw()
        self._plan_is_shown = bool(self._progress.seats)

    async def until_plan_is_shown(self) -> None:
        """Hold the first call back until the reader can see what will be called; in the loop thread."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAN_SECONDS):
                while self._is_live and not self._plan_is_shown:  # noqa: ASYNC110 - another thread draws
                    await asyncio.sleep(0.01)

    def _draw(self) -> None:
        if not self._is_kernel:
            self._tell_news()
        elif self._handle is None:
            self._handle = display(self._progress.draw(), raw=True, display_id=True)
        else:
            self._handle.update(self._progress.draw(), raw=True)

    def _take(self) -> None:
        while self.events:
            self._progress.apply(self.events.popleft())

    def _tell_news(self) -> None:
        """In a terminal: what takes time, then each seat when its state changes, below one another."""
        news = {f"notice {DIGITS.sub('', self._progress.notice)}": self._progress.notice}
        for seat in self._progress.seats.values():
            news[f"{seat.name} {seat.model} {seat.state}"] = "  ".join(filter(None, seat.cells()))
        for subject, line in news.items():
            if line and subject not in self._told:
                self._told.add(subject)
                print(plain(line), flush=True)

    def clear(self) -> None:
        """Take the progress away: an error stands in its place."""
        if self._handle is not None:
            self._handle.update({"text/html": "", "text/plain": ""}, raw=True)

    def finish(self, result: FusionResult) -> None:
        """Put the result in the place of the progress; the cell's value is then not drawn once more."""
        shown = answer_bundle(result) if self.line.quiet else bundle(result)
        if self._handle is not None:
            self._handle.update(shown, raw=True)
        elif self._is_kernel:
            display(shown, raw=True)
        else:
            print(shown["text/plain"])
        _shown_already.add(result.id)


# Results that the present cell has drawn: its value is then passed over.
_shown_already: set[str] = set()


def _forget_shown(_: object) -> None:
    _shown_already.clear()


def _display_once(result: FusionResult) -> None:
    if result.id not in _shown_already:
        display(bundle(result), raw=True)


def _own_displays(shell: InteractiveShell) -> IPythonDisplayFormatter:
    formatter: Any = shell.display_formatter
    return formatter.ipython_display_formatter


def load(shell: InteractiveShell) -> None:
    """Register the magics, their settings and the display of results."""
    magics = FusionMagics(shell)
    magics.fusion.__func__.__doc__ = flags.parser().format_help()
    shell.register_magics(magics)
    _own_displays(shell).for_type(FusionResult, _display_once)
    shell.events.register("post_run_cell", _forget_shown)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` registered."""
    shell.configurables[:] = [known for known in shell.configurables if not isinstance(known, FusionMagics)]
    for kind in ("cell", "line"):
        shell.magics_manager.magics[kind].pop("fusion", None)
    _own_displays(shell).pop(FusionResult)
    shell.events.unregister("post_run_cell", _forget_shown)
