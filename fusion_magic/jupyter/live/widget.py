"""The live view of a run: one widget, fed with batched changes, that a page which was reloaded finds again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ...events import Event
from .cards import Board

HERE = Path(__file__).parent
# How many ended runs a page that is loaded anew can still ask for: each keeps its result's HTML twice, here and there.
ENDED_KEPT = 4
_ended: deque[LiveView] = deque()


def _nothing(*_: object) -> None:
    """What a click does after the run has ended."""


class LiveView(anywidget.AnyWidget):
    """Shows a run while it goes on: `apply` its events, `flush` ten to twenty times a second, then `finish`.

    Every message to the page has a number. A page that missed one, or has just been loaded, gets the whole.

    Args:
        can_click: whether messages of the page are heard while the run goes on; without, no buttons are shown.
        on_stop: called when the reader stops the run, in the thread that hears the page.
        on_skip: called with a seat's letter when the reader skips it.
    """

    # As text: for a path anywidget keeps every instance alive, waiting for the file to change.
    _esm = (HERE / "widget.js").read_text(encoding="utf-8")
    _css = (HERE / "widget.css").read_text(encoding="utf-8")
    # Never set: it is only asked for, when the widget is opened and when a page connects.
    state = traitlets.Any(None).tag(sync=True, to_json=lambda _, view: view._whole())
    layout = traitlets.Any(None).tag(sync=True)  # else a second widget would be opened, to say nothing

    def __init__(self, *, can_click: bool, on_stop: Callable[[], None], on_skip: Callable[[str], None]) -> None:
        self._board = Board()
        self._lock = threading.RLock()  # a page may connect in the main thread while another one draws
        self._can_click, self._on_stop, self._on_skip = can_click, on_stop, on_skip
        self._number = 0
        self._pages = 0
        self._html: str | None = None
        super().__init__()
        self.on_msg(self._hear)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        with self._lock:
            self._board.apply(event)

    def flush(self) -> None:
        """Send what has changed as one message, if anything has."""
        with self._lock:
            news = self._board.news()
            if news:
                self._number += 1
                self.send(self._whole() if self._is_whole_due() else {"number": self._number, **news})

    def finish(self, html: str) -> None:
        """The run has ended and `html`, which is safe, is shown in the view's place.

        A page that was reloaded meanwhile gets it through the widget. So the last widgets stay open: after a reload
        JupyterLab may find them only when the cell has ended, for until then the kernel does not say what there is.
        """
        with self._lock:
            self._html, self._board = html, Board()  # the widget stays, but not the run
            self._on_stop = self._on_skip = _nothing
            self._number += 1
            if self._pages > 1:
                self.send(self._whole())
        _ended.append(self)
        if len(_ended) > ENDED_KEPT:
            _ended.popleft().close()

    def _is_whole_due(self) -> bool:
        """Whether to send all instead of the changes.

        At the beginning the page may not listen yet, nor can it say so while the cell's thread waits. So until it
        has, all is sent with the 1st, 2nd, 4th, 8th … message: no more than twice the text in the end.
        """
        is_power_of_two = self._number & (self._number - 1) == 0
        return not self._pages and is_power_of_two

    def _whole(self) -> dict[str, Any]:
        with self._lock:
            if self._html is not None:
                return {"number": self._number, "html": self._html}
            return {"number": self._number, "click": self._can_click, "whole": True, **self._board.whole()}

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        match message:
            case {"hello": int(number)}:
                with self._lock:
                    self._pages += 1
                    if number != self._number:
                        self.send(self._whole())
            case {"missed": int()}:
                self.send(self._whole())
            case {"stop": True}:
                self._on_stop()
            case {"skip": str(label)} if label in self._board.cards:
                self._on_skip(label)
