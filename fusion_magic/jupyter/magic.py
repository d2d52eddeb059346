"""`%%fusion` and `%fusion`: the cell and line magics, and the settings behind `%config FusionMagics`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.formatters import IPythonDisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display
from traitlets import Any as AnyTrait
from traitlets import TraitError, validate

from ..errors import SettingsError
from ..interpolate import Interpolated, Substitution, interpolate
from ..pipeline.request import FusionRequest
from ..presets import default_panel, user_file
from ..progress import Watcher, show_with
from ..request import request_for
from ..results import FusionResult
from ..settings import Settings, build_settings
from ..verbs import told
from . import commands, complete, flags
from .cell import Background, Cell
from .place import notebook_of
from .price import is_confirmed, show_price
from .show import Show
from .static import bundle
from .static.estimates import estimate_bundle
from .toplevel import ASYNC_MAGIC, TopLevel, clicks_arrive

if TYPE_CHECKING:
    from ..pipeline.estimate import RunEstimate

    Value = FusionResult | Background | RunEstimate

T = TypeVar("T")
ESTIMATE = "fusion_magic.pipeline.estimate.RunEstimate"  # by its name: few cells need the room it is in
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
    def fusion(self, line: str, cell: str) -> Value | None:
        asked = flags.parse(line)
        return self._carried_out(asked, self._request(asked, cell))

    def _carried_out(self, asked: flags.Line, request: FusionRequest) -> Value | None:
        if asked.dry_run or (asked.confirm and not is_confirmed(request)):
            return self._price(asked, request)
        begun = self._begin(asked, request, clicks=asked.background)
        return _drawn(self._in_background(begun, asked) if asked.background else begun.wait())

    @cell_magic(ASYNC_MAGIC)
    async def fusion_async(self, line: str, cell: str) -> Value | None:
        """`%%fusion` as a cell of its own, which `toplevel` turns into this."""
        asked = flags.parse(line)
        request = self._request(asked, cell)
        if asked.dry_run or (asked.confirm and not is_confirmed(request)):
            return self._price(asked, request)
        begun = self._begin(asked, request, clicks=asked.background or clicks_arrive())
        return _drawn(self._in_background(begun, asked) if asked.background else await begun.wait_async())

    def _price(self, asked: flags.Line, request: FusionRequest) -> RunEstimate | None:
        """The value of a cell that asks nobody: with --dry-run the estimate, after a "no" nothing."""
        if not asked.dry_run:
            return None
        estimate = show_price(request)
        if asked.into:
            self.shell.push({asked.into: estimate})
        return _drawn(estimate)

    def _request(self, asked: flags.Line, cell: str) -> FusionRequest:
        prompt = Interpolated(cell.removesuffix("\n")) if asked.raw else interpolate(cell.strip(), self.shell.user_ns)
        chosen = dict(asked.settings)
        if (panel := commands.panel_in(self.shell.user_ns.get(chosen.get("panel", "")))) is not None:
            chosen["panel"] = panel
        fallback = None if default_panel() else "local"
        said = _no_key(fallback, {**user_file().settings, **self.defaults(), **chosen})
        return request_for(
            prompt.text,
            without_key="local",
            defaults=[self.defaults()],
            notes=(*said, *map(_inserted, prompt.used)),
            namespace=self.shell.user_ns,
            notebook=notebook_of(self.shell.user_ns),
            **chosen,
        )

    def _begin(self, asked: flags.Line, request: FusionRequest, *, clicks: bool) -> Cell:
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
    def command(self, line: str) -> Value | None:
        """`%fusion` alone lists its words: panels and models, keys, earlier runs, what they cost, and the store."""
        found = commands.run(line, self.shell)
        if isinstance(found, FusionResult):
            self._keep(found, None)
            return _drawn(found)
        return self._again(found) if found else None

    def _again(self, again: commands.Again) -> Value | None:
        request = replace(again.request, notebook=notebook_of(self.shell.user_ns))
        value = self._carried_out(again.asked, request)
        if isinstance(value, FusionResult) and not (again.asked.static or again.asked.quiet):
            print(told(value))
        return value


def _no_key(fallback: str | None, chosen: dict[str, Any]) -> tuple[str, ...]:
    return (NO_KEY,) if fallback and not (chosen.get("panel") or chosen.get("models")) else ()


def _inserted(used: Substitution) -> str:
    note = f", {used.note}" if used.note else ""
    return f"Inserted {{{used.expression}}}: {used.kind}, {used.characters:,} characters{note}."


# What the present cell has drawn: its value is then not drawn once more.
_drawn_already: list[object] = []


def _drawn(value: T) -> T:
    _drawn_already.append(value)
    return value


def _forget_drawn(_: object) -> None:
    _drawn_already.clear()


def _display_once(value: Value) -> None:
    if any(value is drawn for drawn in _drawn_already):
        return
    display(_bundle(value), raw=True)


def _bundle(value: Value) -> dict[str, Any]:
    if isinstance(value, Background):
        return {"text/plain": repr(value)}
    return bundle(value) if isinstance(value, FusionResult) else estimate_bundle(value)


def batch_watcher() -> Watcher:
    """Who shows a batch; imported when there is one."""
    from .batch_bar import watcher

    return watcher()


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
    for kind in (FusionResult, Background, ESTIMATE):
        _own_displays(shell).for_type(kind, _display_once)
    shell.events.register("post_run_cell", _forget_drawn)
    magics.toplevel.attach()
    complete.attach(shell)
    show_with(batch_watcher)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` registered."""
    for magics in [known for known in shell.configurables if isinstance(known, FusionMagics)]:
        magics.toplevel.detach()
        shell.configurables.remove(magics)
    for kind, name in (("cell", "fusion"), ("cell", ASYNC_MAGIC), ("line", "fusion")):
        shell.magics_manager.magics[kind].pop(name, None)
    for kind in (FusionResult, Background, ESTIMATE):
        _own_displays(shell).pop(kind)
    shell.events.unregister("post_run_cell", _forget_drawn)
    complete.detach(shell)
    show_with(None)
