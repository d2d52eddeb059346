"""What a cell shows of its run: a live view, lines of text, or the result alone; then the result in the same place."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from ..events import Event, RunStarted
from ..results import FusionResult
from .flags import Line
from .live import LiveView
from .markup import escape, plain
from .progress import Progress
from .static import answer_bundle, bundle, framed

if TYPE_CHECKING:
    from .teach import Lesson

REDRAW = 0.08  # seconds between two pictures: twelve a second read as a stream and cost the page little
PLAN_SECONDS = 2.0  # a cell that can't draw must not hold the run for longer
WIDGET = "application/vnd.jupyter.widget-view+json"


class Picture(Protocol):
    """One way of showing a run; drawn by the cell's own thread or, in the background, by one other."""

    def apply(self, event: Event) -> None:
        """Take one event in."""

    def draw(self) -> None:
        """Show what has happened."""

    def finish(self, shown: dict[str, Any]) -> None:
        """Put the result's bundle in the picture's place."""

    def clear(self, text: str) -> None:
        """Take the picture away and put a sentence, or nothing, in its place."""


class Live:
    """The live view, which the result replaces as the same output."""

    def __init__(self, clicks: bool, stop: Callable[[], None], skip: Callable[[str], None]) -> None:
        self._view = LiveView(can_click=clicks, on_stop=stop, on_skip=skip)
        view = {"version_major": 2, "version_minor": 0, "model_id": self._view.model_id}
        # Here and now, in the cell; what follows finds its place by the display's id, from any thread.
        self._handle: Any = display({WIDGET: view, "text/plain": "%%fusion runs …"}, raw=True, display_id=True)

    def apply(self, event: Event) -> None:
        self._view.apply(event)

    def draw(self) -> None:
        self._view.flush()

    def finish(self, shown: dict[str, Any]) -> None:
        self._handle.update(shown, raw=True)
        self._view.finish(shown["text/html"])

    def clear(self, text: str) -> None:
        self.finish(_sentence(text))


class Taught:
    """A lesson, which stays when the run has ended: it becomes HTML with its last stage."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson, self._is_lost = lesson, False
        lesson.show({"text/plain": "%%fusion --teach runs …"})

    def apply(self, event: Event) -> None:
        self._lesson.apply(event)

    def draw(self) -> None:
        self._lesson.flush()

    def finish(self, shown: dict[str, Any]) -> None:
        if self._is_lost:
            self._lesson.replace(shown)
        else:
            self._lesson.flush()

    def clear(self, text: str) -> None:
        self._is_lost = True
        self._lesson.replace(_sentence(text))


class Lines:
    """In a terminal: what takes time, then each seat when its state changes, below one another."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._told: set[str] = set()

    def apply(self, event: Event) -> None:
        self._progress.apply(event)

    def draw(self) -> None:
        for subject, line in self._progress.news():
            if subject not in self._told:
                self._told.add(subject)
                print(line, flush=True)

    def finish(self, shown: dict[str, Any]) -> None:
        print(shown["text/plain"])

    def clear(self, text: str) -> None:
        print(plain(text), end="\n" if text else "")


class Nothing:
    """The result alone; where the cell does not wait for it, a place is kept for it."""

    def __init__(self, prints: bool, *, waits: bool = True) -> None:
        self._prints = prints
        self._place: Any = None if prints or waits else display({"text/plain": ""}, raw=True, display_id=True)

    def apply(self, event: Event) -> None:
        pass

    def draw(self) -> None:
        pass

    def finish(self, shown: dict[str, Any]) -> None:
        if self._prints:
            print(shown["text/plain"])
        elif self._place is not None:
            self._place.update(shown, raw=True)
        else:
            display(shown, raw=True)

    def clear(self, text: str) -> None:
        if text:
            self.finish(_sentence(text))


class Show:
    """Brings events from the loop thread to a picture, and the result after them.

    The loop thread only leaves events here.

    Args:
        shell: where the cell runs.
        line: its flags.
        clicks: whether a click reaches Python while the run goes on.
    """

    def __init__(self, shell: InteractiveShell, line: Line, *, clicks: bool) -> None:
        self.events: deque[Event] = deque()
        self._shell, self._line, self._clicks = shell, line, clicks
        self._client = client(shell)
        self._picture: Picture = Nothing(prints=True)
        self._result: dict[str, Any] | None = None
        self._drawn_at = 0.0
        self._is_broken = False
        self._plan = "none"  # then "new", then "shown"

    def begin(self, stop: Callable[[], None], skip: Callable[[str], None]) -> None:
        """Open the picture, in the cell's own thread; `stop` and `skip` are what its buttons do."""
        # Progress of a run in the background would be printed over the line that is being typed.
        silent = self._line.static or self._line.quiet or (self._client == "text" and self._line.background)
        silent = silent or (self._client == "text" and self._line.teach)  # progress has names
        watched = self._client == "page" and not isinstance(self._shell.display_pub, CapturingDisplayPublisher)
        if self._client == "text" and not silent:
            self._picture = Lines()
        elif watched and not silent and self._line.teach:
            self._picture, self._plan = self._lesson(), "shown"
        elif watched and not silent:
            self._picture = Live(self._clicks, stop, skip)
        else:
            self._picture, self._plan = Nothing(self._client == "text", waits=not self._line.background), "shown"

    def _lesson(self) -> Taught:
        from .teach import Lesson

        lesson = Lesson(record=self._line.record)
        self._shell.push({"_lesson": lesson})
        return Taught(lesson)

    def redraw(self) -> None:
        """Take in what has happened and show it, unless that was done a moment ago.

        A picture that can't be made costs only the pictures: the run is being paid for.
        """
        try:
            self._redraw()
        except Exception as exc:
            self._clear(f"The progress can't be shown ({exc!r}); the run goes on.")
            self._plan = "shown"

    def _redraw(self) -> None:
        if self._is_broken:
            return
        while self.events:
            event = self.events.popleft()
            self._picture.apply(event)
            if isinstance(event, RunStarted) and self._plan == "none":
                self._plan = "new"
        if time.monotonic() - self._drawn_at < REDRAW and self._plan != "new":
            return
        self._picture.draw()
        self._drawn_at = time.monotonic()
        if self._plan == "new":
            self._plan = "shown"

    async def until_plan_is_shown(self) -> None:
        """Hold the first call back until the reader can see what will be called; in the loop thread."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAN_SECONDS):
                while self._plan != "shown":  # noqa: ASYNC110 - another thread draws
                    await asyncio.sleep(0.01)

    def fail(self, error: BaseException) -> None:
        """Make room for an error; in the background, where it is not raised in the cell, show it."""
        self._clear(str(error) if self._line.background else "")

    def _clear(self, text: str) -> None:
        self._is_broken = True
        with suppress(Exception):  # the error that is on its way says more
            self._picture.clear(text)

    def finish(self, result: FusionResult) -> None:
        """Put the result in the picture's place; one that can't be drawn is kept and named."""
        self._drawn_at = 0.0
        self.redraw()
        try:
            self._result = self._bundle(result)
        except Exception as exc:
            self._result = _sentence(f"The result can't be drawn ({exc!r}); it is kept in _fusion. {result!r}")
        self._picture.finish(self._result)

    def _bundle(self, result: FusionResult) -> dict[str, Any]:
        if self._line.teach and not isinstance(self._picture, Taught):
            from .teach import lesson_bundle

            return lesson_bundle(result, record=self._line.record)
        return answer_bundle(result) if self._line.quiet else bundle(result, record=self._line.record)

    def repeat(self) -> None:
        """Send the result again from the cell that waits for it.

        A program that runs notebooks, such as nbclient, reads only what its present cell sends.
        """
        if self._result is not None and client(self._shell) == "program":
            self._picture.finish(self._result)


def _sentence(text: str) -> dict[str, Any]:
    notice = f'<p class="fm-notice">{escape(text)}</p>'
    return {"text/html": framed(notice) if text else "", "text/plain": plain(text)}


def client(shell: InteractiveShell) -> Literal["text", "page", "program"]:
    """Who asked: a terminal or `jupyter console`, a notebook's page, or a program that runs notebooks.

    A guess from the request: an extension that runs a page's cells on the server looks like a console, and gets text.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    request = kernel.get_parent()
    header, content = request.get("header", {}), request.get("content", {})
    # Python's clients number their requests within a session, pages do not.
    if not str(header.get("msg_id")).startswith(f"{header.get('session')}_"):
        return "page"
    return "text" if content.get("allow_stdin") else "program"
