"""`teach(result)` and `%%fusion --teach`: a lesson whose stages open one by one; Python holds it, the page draws it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anywidget import AnyWidget
from IPython.core.getipython import get_ipython
from IPython.display import display
from traitlets import Dict, List

from ...errors import FusionError
from ...events import AnalysisReady, CallStarted, Event, Fold, RunEnded
from ...results import FusionResult
from ..static import framed
from .ballots import HANDS_AT_MOST, NOTE_AT_MOST, PREDICTIONS, Ballots, Support, supported
from .stages import STAGES, TITLES, lesson_bundle, part

HERE = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
COMING = {
    "answers": "The answers are still being written.",
    "judge": "The judge still compares them.",
    "answer": "The answer is still being written.",
    "reveal": "The run goes on.",
}


class Lesson(AnyWidget):
    """A run as a lesson: predict, answers without names, vote, judge, answer, and who it was.

        lesson = teach(result)
        lesson.predict("differ", 12)
        lesson.next()
        lesson.vote("A", 7)

    Everything that the page can do has a method here, so it works without a browser too. When the last stage opens
    the page's output becomes plain HTML, with what the class said, which stays in the saved notebook.

    Args:
        result: a finished run; without it, feed `apply` with a run's events.
        record: whether the output holds what `FusionResult.from_record` rebuilds the run from.
    """

    # As text: for a path anywidget keeps every instance alive, waiting for the file to change.
    _esm = (HERE / "widget.js").read_text(encoding="utf-8")
    _css = (HERE / "widget.css").read_text(encoding="utf-8")

    _stages = List().tag(sync=True)  # the open ones
    _titles = List(list(TITLES.values())).tag(sync=True)
    _next = Dict().tag(sync=True)  # the title of the next stage, and why it can't be opened yet
    _said = Dict().tag(sync=True)

    def __init__(self, result: FusionResult | None = None, *, record: bool = True) -> None:
        self._lock = threading.RLock()  # a run in the background is drawn by another thread than clicks are heard in
        self._result, self._record = result, record
        self._fold, self._ready = Fold(), set[str]()
        self._ballots = Ballots()
        self._support: Support | None = None
        self._handle: Any = None
        super().__init__()
        self.on_msg(self._on_message)
        if result is not None:
            self._ready |= set(STAGES)
            self._show_stage("predict")
        self._tell()

    # --- what a class can do -------------------------------------------------------------------------

    def predict(self, option: str, hands: int) -> None:
        """Count hands for "agree", "differ" or "contradict". Raises FusionError for another word."""
        self._count("prediction", option, hands, PREDICTIONS)

    def vote(self, seat: str, hands: int) -> None:
        """Count hands for a seat that answered, by its letter. Raises FusionError for another one."""
        self._count("votes", seat, hands, [response.label for response in self.result.responses])

    @property
    def note(self) -> str:
        """What the class expects, in words."""
        return self._ballots.note

    @note.setter
    def note(self, text: str) -> None:
        self._ballots.note = text[:NOTE_AT_MOST]
        self._tell()

    @property
    def votes(self) -> dict[str, int]:
        """Votes by the seats' letters."""
        return dict(self._ballots.votes)

    @property
    def prediction(self) -> dict[str, int]:
        """Hands for each prediction."""
        return dict(self._ballots.prediction)

    @property
    def stage(self) -> str:
        """The stage that was opened last."""
        return self._stages[-1]["key"] if self._stages else ""

    @property
    def result(self) -> FusionResult:
        """The run as far as it has come. Raises FusionError before it has begun."""
        if self._result is not None:
            return self._result
        if self._fold.started is None:
            raise FusionError("The run has not begun.")
        return self._fold.result()

    def next(self) -> str:
        """Open the next stage; returns its name. Raises FusionError if it is not there yet, or none is left."""
        with self._lock:
            stage = self._following()
            if stage is None:
                raise FusionError("Every stage is open.")
            if stage not in self._ready:
                raise FusionError(COMING.get(stage, "The run has not begun."))
            self._show_stage(stage)
            self._tell()
        if stage == STAGES[-1] and self._handle is not None:
            self._handle.update(self.bundle(), raw=True)
        return stage

    def bundle(self) -> dict[str, Any]:
        """All stages one after the other, with what the class said, as HTML, Markdown and text."""
        return lesson_bundle(self.result, self._ballots, self._support, record=self._record)

    # --- a run that goes on --------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Take one event of the run in."""
        with self._lock:
            self._fold.apply(event)
            if self._fold.started is not None:
                self._ready.add("predict")
            match event:
                case CallStarted(stage="judge" | "synthesis"):
                    self._ready |= {"answers", "vote"}
                case AnalysisReady():
                    self._ready.add("judge")
                case RunEnded():
                    self._ready |= set(STAGES)
                case _:
                    pass

    def flush(self) -> None:
        """Tell the page how far the run is."""
        with self._lock:
            if not self._stages and "predict" in self._ready:
                self._show_stage("predict")
            self._tell()

    # --- the page ------------------------------------------------------------------------------------

    def show(self, fallback: Mapping[str, Any] | None = None) -> None:
        """Display the lesson here; `fallback` is for front ends without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        self._handle = display({WIDGET: view, **(fallback or {})}, raw=True, display_id=True)

    def replace(self, shown: Mapping[str, Any]) -> None:
        """Put something else in the lesson's place: the run has failed."""
        if self._handle is not None:
            self._handle.update(dict(shown), raw=True)
        self.close()

    def _ipython_display_(self) -> None:
        """The widget in a notebook's page; in a terminal and for programs, and when it is over, the whole lesson."""
        from ..show import client

        shell = get_ipython()
        kind = client(shell) if shell is not None else "text"
        if self._result is None and self._fold.ended is None:
            print(repr(self))
        elif kind == "text":
            print(self.bundle()["text/plain"])
        elif kind == "program" or self.stage == STAGES[-1]:
            display(self.bundle(), raw=True)
        else:
            self.show(self.bundle())

    def __repr__(self) -> str:
        return f"Lesson({self.stage or 'waiting for the run'})"

    def _following(self) -> str | None:
        return next((stage for stage in STAGES if stage not in {shown["key"] for shown in self._stages}), None)

    def _show_stage(self, stage: str) -> None:
        result = self.result
        shown: dict[str, Any] = {"key": stage, "title": TITLES[stage]}
        if stage == STAGES[-1]:
            self._support = supported(result)  # once: the stage is drawn on the page, and again as its output
        shown["html"] = framed(part(stage, result, self._ballots, self._support).html)
        if stage == "predict":
            shown["ballot"] = "prediction"
            shown["options"] = [{"key": key, "name": name} for key, name in PREDICTIONS.items()]
        elif stage == "vote":
            shown["ballot"] = "votes"
            shown["options"] = [{"key": seat.label, "name": f"Answer {seat.label}"} for seat in result.responses]
        self._stages = [*self._stages, shown]

    def _tell(self) -> None:
        stage = self._following()
        waits = "" if stage is None or stage in self._ready else self._why(stage)
        self._next = {"title": TITLES.get(stage or "", ""), "waits": waits}
        self._said = {"prediction": self.prediction, "votes": self.votes, "note": self.note}

    def _why(self, stage: str) -> str:
        """Why a stage can't be opened yet."""
        begun = self._fold.started
        if begun is None:
            return "The run has not begun."
        if stage not in ("answers", "vote"):
            return COMING[stage]
        seats = {call.label for call in begun.plan if call.stage == "panel"}
        ended = len(self._fold.responses.keys() | self._fold.failed.keys())
        return f"{ended} of {len(seats)} seats have ended."

    def _count(self, ballot: Any, option: str, hands: int, options: Any) -> None:
        if option not in options or not 0 <= hands <= HANDS_AT_MOST:
            raise FusionError(f"Hands are counted for {', '.join(options)}: 0 to {HANDS_AT_MOST}.")
        self._ballots.count(ballot, option, hands)
        self._tell()

    def _on_message(self, _: object, content: Any, __: object) -> None:
        try:
            match content:
                case {"do": "open"}:
                    self.next()
                case {"do": "count", "ballot": "prediction", "option": str(option), "hands": int(hands)}:
                    self.predict(option, hands)
                case {"do": "count", "ballot": "votes", "option": str(option), "hands": int(hands)}:
                    self.vote(option, hands)
                case {"do": "note", "text": str(text)}:
                    self.note = text
                case _:
                    pass
        except FusionError:
            self._tell()  # a page that has missed something is told how it stands


def teach(result: FusionResult) -> Lesson:
    """A lesson from a run that was made before; as a cell's last line it shows itself.

    Stages open by click or `lesson.next()`; nothing is asked of any model.
    """
    return Lesson(result)
