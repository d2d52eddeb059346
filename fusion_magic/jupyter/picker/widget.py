"""`pick_panel()`: a panel put together by searching and clicking; Python holds the truth, the page proposes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anywidget import AnyWidget
from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from traitlets import Bool, Dict, List, TraitType, Unicode, observe

from ... import prices
from ..._loop import Work, loop_thread
from ...api import providers
from ...characters import plain
from ...chosen import checked
from ...errors import FusionError, SettingsError
from ...magic_line import CHANGED, asks_the_same, magic_line
from ...presets import FREE_MEMBER, default_panel, panel_named, panels, save_panel, user_file
from ...prices import Estimate
from ...providers.catalogue import DAY
from ...settings import Panel, Panelist
from .offer import kept_offer, look

Chosen = Panel | str | Iterable[str | Panelist]
HERE = Path(__file__).parent
OTHER_PAGE = (
    "This page was loaded after the picker was shown, so a run would show nothing here. "
    "Show the picker in a new cell, or copy the line into one."
)


class PanelTrait(TraitType[Panel, Any]):
    """A trait that is a `Panel`, from whatever can be one; else it raises SettingsError."""

    info_text = "a Panel, a panel's name or models"

    def validate(self, obj: Any, value: Any) -> Panel:
        return _as_panel(value)


class Picker(AnyWidget):
    """A panel that is being picked. `panel` is always a valid `Panel`, and takes one, a panel's name, or models.

        picker = pick_panel("budget")
        picker.panel = ["openai/gpt-5.5", "llama3.2@ollama"]
        picker.observe(lambda change: print(change.new), "panel")

    Everything that the page can do has a method here, so it works without a browser too.

    Attributes:
        panel: what is picked now. A value that is no panel raises SettingsError and changes nothing.
        prompt: what Run would ask.
    """

    # As text: for a path anywidget keeps every instance alive, waiting for the file to change.
    _esm = (HERE / "widget.js").read_text(encoding="utf-8")
    _css = (HERE / "widget.css").read_text(encoding="utf-8")

    panel = PanelTrait()
    prompt = Unicode("").tag(sync=True)
    _state = Dict().tag(sync=True)
    _rows = List().tag(sync=True)
    _sources = List().tag(sync=True)
    _named = List().tag(sync=True)
    _asking = Bool(False).tag(sync=True)
    _message = Dict().tag(sync=True)

    _looking: Work[None] | None = None

    def __init__(
        self, panel: Chosen | None = None, prompt: str | None = None, run: Callable[[Panel, str], object] | None = None
    ) -> None:
        self._lock = threading.RLock()  # the list of models comes from the loop thread
        self._offer = kept_offer()
        self._answered: tuple[object, object] = ("", 0)  # the page and the number of its latest proposal
        self._asks = run or self._run_below
        self._parent, self._page = _current_parent(), None
        first = panel if panel is not None else default_panel() or "local"
        super().__init__(panel=_as_panel(first), prompt=prompt or "")
        self.on_msg(self._on_message)
        self._show_named()
        self._show_offer()
        self.refresh(max_age=DAY)

    # --- what one can do -----------------------------------------------------------------------------

    def estimate(self) -> Estimate:
        """What a run would cost, from the list prices that are known here; see `fusion_magic.prices.estimate`.

        The fees of web searches, and the tokens of what they bring, are not in it.
        """
        return prices.estimate(self.panel, self._offer.price_of)

    def magic_line(self) -> str:
        """The `%%fusion` line that asks this panel. Raises SettingsError for a panel that needs a name first."""
        return magic_line(self.panel)

    def doubts(self) -> list[str]:
        """What speaks against this panel, a sentence each."""
        return self._offer.doubts(self.panel)

    def save(self, name: str, *, replace: bool = False) -> Path:
        """Keep the panel in the user's `fusion.toml`; returns the file. Raises as `save_panel`."""
        path = save_panel(name, self.panel, replace=replace)
        self.panel = panel_named(name)
        self._show_named()
        return path

    def run(self, prompt: str | None = None) -> object:
        """Ask the panel the prompt given, else `prompt`; returns what `run` of `pick_panel` returns.

        Raises:
            FusionError: there is no prompt, or nothing to run it in.
        """
        if not (text := self.prompt if prompt is None else prompt).strip():
            raise FusionError("Write a prompt first.")
        self.prompt = text
        return self._asks(self.panel, text)

    def refresh(self, *, max_age: float = 0.0) -> Future[None]:
        """Ask every endpoint anew for its models, OpenRouter if its list is older than `max_age` seconds.

        Returns at once; the future is done when the lists are here.
        """
        self._asking = True
        self._looking = loop_thread().submit(self._look(max_age))
        return self._looking.future

    def close(self) -> None:
        """Take the picker from every page; `panel` stays."""
        if self._looking is not None:
            self._looking.cancel()
        super().close()

    def __repr__(self) -> str:
        return plain(f"Picker({', '.join(seat.model for seat in self.panel.models)})")

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """A notebook's widget, and for whatever can't show one the panel as text."""
        self._parent, self._page = _current_parent(), None
        bundle: Any = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        cost = f"{self.estimate()}{' without web searches' if self.panel.tools else ''}"
        data["text/plain"] = (
            f"{self!r}, a run: {cost}. This place shows no widgets: set .panel, then .run() or .save(NAME)."
        )
        return bundle

    # --- the truth, and what the page is told of it --------------------------------------------------

    @observe("panel")
    def _show_panel(self, _: object = None) -> None:
        with self._lock:
            panel, cost = self.panel, self.estimate()
            parts = (("panel", cost.panel), ("judge", cost.judge), ("synthesizer", cost.synthesizer))
            self._state = {
                "panel": {
                    "models": [_seat(seat) for seat in panel.models],
                    "judge": _seat(panel.judge),
                    "synthesizer": _seat(panel.synthesizer),
                    "tools": list(panel.tools or ()),
                },
                "name": panel.name,
                "about": panel.about,
                "score": panel.score,
                "source": panel.source,
                "cost": str(cost),
                "parts": [f"{stage} {prices.roughly(amount)}" for stage, amount in parts] if cost.total else [],
                "unpriced": list(cost.unpriced),
                "line": _line(panel),
                "doubts": self.doubts(),
                "answered": list(self._answered),
            }

    def _show_offer(self) -> None:
        with self._lock:
            self._rows, self._sources = self._offer.rows(), self._offer.sources()

    def _show_named(self) -> None:
        own = user_file().panels
        self._named = [{"name": name, "score": panel.score, "own": name in own} for name, panel in panels().items()]

    async def _look(self, max_age: float) -> None:
        try:
            offer = await look(providers(), max_age=max_age)
        except Exception as exc:  # nobody reads the future
            self._say(str(exc) if isinstance(exc, FusionError) else repr(exc), "problem")
            return
        finally:
            self._asking = False
        with self._lock:
            self._offer = offer
            self._show_offer()
            self._show_panel()

    def _say(self, text: str, tone: str = "", **more: object) -> None:
        self._message = {"text": plain(text), "tone": tone, "number": self._message.get("number", 0) + 1, **more}

    # --- what the page asks for ----------------------------------------------------------------------

    def _on_message(self, _: object, content: Any, __: object) -> None:
        answers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "hello": self._on_hello,
            "propose": self._on_proposal,
            "named": self._on_named,
            "refresh": self._on_refresh,
            "save": self._on_save,
            "run": self._on_run,
        }
        try:
            answers[content["do"]](content)
        except (FusionError, UsageError) as exc:
            self._say(str(exc), "problem")
        except Exception as exc:  # an error in a callback would be shown nowhere
            self._say(f"{type(exc).__name__}: {exc}", "problem")

    def _on_hello(self, content: Mapping[str, Any]) -> None:
        self._page = self._page or content["page"]

    def _on_proposal(self, content: Mapping[str, Any]) -> None:
        self._answered = (content["view"], content["number"])
        try:
            self.panel = self._renamed(checked(Panel, self._with_free(content["panel"])))
        finally:
            self._show_panel()  # also when it is refused: the page then shows what is true

    def _renamed(self, panel: Panel) -> Panel:
        """A changed panel does not keep the name, the sentence and the score of the one it was."""
        name = self.panel.name.removesuffix(CHANGED)
        if (named := panels().get(name)) and asks_the_same(panel, named):
            return named
        return panel.model_copy(update={"name": f"{name}{CHANGED}" if name else ""})

    def _with_free(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The members of `free` are chosen when it runs; beside other models they must be named now."""
        seats = given["models"]
        if len(seats) == 1 or not any(map(_is_free, seats)):
            return dict(given)
        members = [{"model": name} for name in self._offer.free_members()]
        if not members:
            raise SettingsError("The members of `free` are not known without OpenRouter's list of models; refresh it.")
        written = [other for seat in seats for other in (members if _is_free(seat) else [seat])]
        chairs = {name: members[0] if _is_free(given[name]) else given[name] for name in ("judge", "synthesizer")}
        return {**given, "models": written, **chairs}

    def _on_refresh(self, _: Mapping[str, Any]) -> None:
        self.refresh()

    def _on_named(self, content: Mapping[str, Any]) -> None:
        self.panel = panel_named(content["name"])

    def _on_save(self, content: Mapping[str, Any]) -> None:
        name, replace = content["name"].strip(), content.get("replace") is True
        if name in user_file().panels and not replace:
            return self._say(f'There is a panel "{name}" already.', "problem", replace=name)
        path = self.save(name, replace=replace)
        return self._say(f"Saved in {path}; `%%fusion --panel {name}` asks it.", "done", saved=True)

    def _on_run(self, content: Mapping[str, Any]) -> None:
        if self._asks == self._run_below and content["page"] != self._page:
            raise FusionError(OTHER_PAGE)
        self.run(content["prompt"])
        self._say("Asked; `_fusion` has the result when it is there.", "done")

    def _run_below(self, _: Panel, prompt: str) -> object:
        """The run as a `%%fusion` cell of its own, below the picker; other cells go on meanwhile."""
        shell = get_ipython()
        if shell is None or "fusion" not in shell.magics_manager.magics["cell"]:
            raise FusionError("Run needs a notebook with `%load_ext fusion_magic`; in Python: fuse(…, panel=….panel).")
        shell.push({"_picker": self})
        with _output_in(shell, self._parent):
            return shell.run_cell_magic("fusion", "--background --panel _picker", prompt)


def pick_panel(
    panel: Chosen | None = None, prompt: str | None = None, *, run: Callable[[Panel, str], object] | None = None
) -> Picker:
    """A widget to pick a panel with, over the live catalogue; `%%fusion --panel my_variable` takes it.

    Args:
        panel: what to begin with: a panel's name, a `Panel`, or models; default the panel that `%%fusion` would use.
        prompt: what Run asks, to begin with.
        run: called with the panel and the prompt by the Run button; default is `%%fusion --background` below.

    Raises:
        SettingsError: no such panel, or a `fusion.toml` that can't be used.
    """
    return Picker(panel, prompt, run)


def _as_panel(value: Any) -> Panel:
    """A panel from a panel, a name, a table or models. Raises SettingsError."""
    match value:
        case Panel():
            return value
        case str():
            return panel_named(value)
        case Mapping():
            return checked(Panel, value)
        case Panelist() | Iterable():
            return checked(Panel, {"models": value if isinstance(value, Panelist) else tuple(value)})
        case _:
            raise SettingsError(f"A panel is a Panel, a panel's name or a list of models, not {type(value).__name__}.")


def _seat(seat: Panelist) -> dict[str, Any]:
    return seat.model_dump(exclude_none=True, exclude={"label"})


def _is_free(seat: Mapping[str, Any]) -> bool:
    return seat["model"] == FREE_MEMBER


def _line(panel: Panel) -> dict[str, str]:
    try:
        return {"text": magic_line(panel), "problem": ""}
    except SettingsError as exc:
        return {"text": "", "problem": str(exc)}


def _current_parent() -> Any:
    """The message that runs the present cell, by which a notebook knows where output belongs; None elsewhere."""
    shell = get_ipython()
    parent = getattr(shell, "get_parent", dict[str, Any])()
    return parent or None


@contextmanager
def _output_in(shell: Any, parent: Any) -> Iterator[None]:
    """Let output appear in the cell that the message ran, not with the click, which belongs to none."""
    if parent is None:
        yield
        return
    before = shell.get_parent()
    shell.set_parent(parent)
    try:
        yield
    finally:
        shell.set_parent(before)
