"""`%%fusion` and `%fusion`: the cell and line magics, and the settings behind `%config FusionMagics`."""

from __future__ import annotations

from typing import Any

from IPython.core.formatters import IPythonDisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display
from traitlets import Any as AnyTrait
from traitlets import TraitError, validate

from ..api import request_for
from ..errors import SettingsError
from ..presets import default_panel, user_file
from ..results import FusionResult
from ..settings import Settings, build_settings
from . import commands, complete, flags
from .cell import Background, Cell
from .interpolate import Interpolated, Substitution, interpolate
from .show import Show
from .static import bundle
from .toplevel import ASYNC_MAGIC, TopLevel, clicks_arrive

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

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.toplevel = TopLevel(shell)

    @cell_magic
    def fusion(self, line: str, cell: str) -> FusionResult | Background:
        asked = flags.parse(line)
        begun = self._begin(asked, cell, clicks=asked.background)
        return _drawn(self._in_background(begun, asked) if asked.background else begun.wait())

    @cell_magic(ASYNC_MAGIC)
    async def fusion_async(self, line: str, cell: str) -> FusionResult | Background:
        """`%%fusion` as a cell of its own, which `toplevel` turns into this."""
        asked = flags.parse(line)
        begun = self._begin(asked, cell, clicks=asked.background or clicks_arrive())
        return _drawn(self._in_background(begun, asked) if asked.background else await begun.wait_async())

    def _begin(self, asked: flags.Line, cell: str, *, clicks: bool) -> Cell:
        prompt = Interpolated(cell.removesuffix("\n")) if asked.raw else interpolate(cell.strip(), self.shell.user_ns)
        chosen = dict(asked.settings)
        if (panel := commands.panel_in(self.shell.user_ns.get(chosen.get("panel", "")))) is not None:
            chosen["panel"] = panel
        fallback = None if default_panel() else "local"
        told = _no_key(fallback, {**user_file().settings, **self.defaults(), **chosen})
        request = request_for(
            prompt.text,
            without_key="local",
            defaults=[self.defaults()],
            notes=(*told, *map(_inserted, prompt.used)),
            namespace=self.shell.user_ns,
            **chosen,
        )
        into = None if asked.background else asked.into
        return Cell(request, Show(self.shell, asked, clicks=clicks), lambda result: self._keep(result, into))

    def _keep(self, result: FusionResult, into: str | None) -> None:
        names = {"_fusion": result} | ({into: result} if into else {})
        self.shell.push(names)

    def _in_background(self, begun: Cell, asked: flags.Line) -> Background:
        handle = begun.in_background()
        if asked.into:
            self.shell.push({asked.into: handle})
        return handle

    @line_magic("fusion")
    def command(self, line: str) -> Any:
        """`%fusion` alone lists its words: pick, panels, models, login, logout, doctor."""
        return commands.run(line, self.shell)


def _no_key(fallback: str | None, chosen: dict[str, Any]) -> tuple[str, ...]:
    return (NO_KEY,) if fallback and not (chosen.get("panel") or chosen.get("models")) else ()


def _inserted(used: Substitution) -> str:
    note = f", {used.note}" if used.note else ""
    return f"Inserted {{{used.expression}}}: {used.kind}, {used.characters:,} characters{note}."


# What the present cell has drawn: its value is then not drawn once more.
_drawn_already: list[object] = []


def _drawn(value: FusionResult | Background) -> FusionResult | Background:
    _drawn_already.append(value)
    return value


def _forget_drawn(_: object) -> None:
    _drawn_already.clear()


def _display_once(value: FusionResult | Background) -> None:
    if any(value is drawn for drawn in _drawn_already):
        return
    display(bundle(value) if isinstance(value, FusionResult) else {"text/plain": repr(value)}, raw=True)


def _own_displays(shell: InteractiveShell) -> IPythonDisplayFormatter:
    formatter: Any = shell.display_formatter
    return formatter.ipython_display_formatter


def load(shell: InteractiveShell) -> None:
    """Register the magics, their settings and the display of results."""
    if any(isinstance(known, FusionMagics) for known in shell.configurables):
        unload(shell)
    magics = FusionMagics(shell)
    magics.fusion.__func__.__doc__ = flags.parser().format_help()
    shell.register_magics(magics)
    for kind in (FusionResult, Background):
        _own_displays(shell).for_type(kind, _display_once)
    shell.events.register("post_run_cell", _forget_drawn)
    magics.toplevel.attach()
    complete.attach(shell)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` registered."""
    for magics in [known for known in shell.configurables if isinstance(known, FusionMagics)]:
        magics.toplevel.detach()
        shell.configurables.remove(magics)
    for kind, name in (("cell", "fusion"), ("cell", ASYNC_MAGIC), ("line", "fusion")):
        shell.magics_manager.magics[kind].pop(name, None)
    for kind in (FusionResult, Background):
        _own_displays(shell).pop(kind)
    shell.events.unregister("post_run_cell", _forget_drawn)
    complete.detach(shell)
