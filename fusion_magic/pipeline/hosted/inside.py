"""What goes on inside a hosted fusion, told as events of a run's own stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...events import AnalysisReady, CallStarted, Delta, SeatAnswered, SeatFailed, Warned
from ...providers import Chunk, Inner
from ...results import FailedModel, Response, Source
from ...settings import LABELS
from ..panel import Skips
from ..plan import Chair
from ..question import Run
from ..served import same_model
from .naming import analysis_of

NOT_TOLD = "OpenRouter did not say what became of it."


@dataclass(slots=True)
class Seat:
    """A seat as far as is known: `named` is what OpenRouter calls its model, once it is asked."""

    label: str
    model: str
    slug: str
    named: str = ""
    begun: float = 0.0
    written: list[str] = field(default_factory=list[str])
    response: Response | None = None
    has_ended: bool = False


class Inside:
    """Turns what a stream tells of the inside into events, and remembers what the run's ending needs.

    An event names a model, not a seat. It means the first seat in order that goes by this name and is not over yet,
    else the first such seat whose model it may be (an alias). A seat that is asked, or of which nothing was told
    before, is the first not asked yet whose model it is, else whose model it may be, else the first not asked at all.
    A seat more than the panel has gets the next letter.

    Args:
        run: where events go.
        chairs: the panel; none if OpenRouter chooses who sits.
        writer: the model that writes the answer.
        permits: whether the run may rest on a page.
        skips: seats that the reader wants to leave out.

    Attributes:
        fused: whether the panel was asked.
        before: what the model had written before that.
        has_analysis: whether the analyst compared.
        error, reason: why the fusion failed, if it did, and OpenRouter's code for that.
        broke: why the whole response did.
    """

    def __init__(
        self,
        run: Run,
        chairs: tuple[Chair, ...],
        writer: str,
        permits: Callable[[str], bool],
        skips: Skips,
    ) -> None:
        self.fused = self.has_analysis = False
        self.before = self.error = self.reason = self.broke = ""
        self._run, self._writer, self._permits, self._skips = run, writer, permits, skips
        self._seats = [Seat(chair.seat.label, chair.model, chair.slug) for chair in chairs]
        self._is_comparing = False
        self._unskipped = set[str]()  # of which the reader knows that they can't be
        self._drafts = 0
        self._is_writing = False

    @property
    def responses(self) -> tuple[Response, ...]:
        return tuple(seat.response for seat in self._seats if seat.response)

    def overhear(self, chunk: Chunk) -> None:
        """Take in a chunk of the response."""
        for label in sorted(self._skips.labels - self._unskipped):
            self._unskipped.add(label)
            self._run.emit(Warned(f"{label} can't be skipped: OpenRouter runs this panel."))
        for inner in chunk.inner:
            self.take(inner)
        if chunk.text:
            self.write(chunk.text)

    def write(self, text: str, reasoning: str = "") -> None:
        """Tell what the model that was asked writes."""
        if not self._is_writing:
            self._drafts, self._is_writing = self._drafts + 1, True
            self._run.emit(CallStarted("synthesis", "", self._writer, self._drafts, self._run.now()))
        self._run.emit(Delta("synthesis", "", text, reasoning))

    def take(self, inner: Inner) -> None:
        """Tell what happened."""
        match inner.kind:
            case "began":  # what was written before is not the answer
                self.fused, self.before, self._is_writing = True, inner.text, False
            case "asked":
                self._ask(inner.model)
            case "wrote" | "thought" | "answered" | "failed":
                if seat := self._seat(inner.model):
                    self._go_on(seat, inner)
            case "compares":
                self._compare(inner.model)
            case "compared":
                self.has_analysis = True
                if not self._is_comparing:
                    self._compare(self._writer)
                names = {seat.label: (seat.named, seat.slug) for seat in self._seats}
                self._run.emit(AnalysisReady(analysis_of(inner.analysis, names)))
            case "ended":
                self._end(inner)
            case "mused":
                self.write("", inner.text)
            case "broke":
                self.broke = inner.text

    def _compare(self, model: str) -> None:
        self._is_comparing = True
        self._run.emit(CallStarted("judge", "", model, 1, self._run.now()))

    def _seat(self, model: str) -> Seat | None:
        """The seat that an event means; None if the panel has no letter left for it."""
        asked = [seat for seat in self._seats if seat.named and not seat.has_ended]
        exact = [seat for seat in asked if seat.named == model]
        near = [seat for seat in asked if seat.slug == model or _may_be(seat, model)]
        return next(iter((*exact, *near)), None) or self._ask(model)

    def _ask(self, model: str) -> Seat | None:
        free = [seat for seat in self._seats if not (seat.named or seat.has_ended)]
        if not free and len(self._seats) < len(LABELS):
            free = [Seat(LABELS[len(self._seats)], model, model)]
            self._seats += free
        exact = [seat for seat in free if seat.slug == model]
        near = [seat for seat in free if same_model(seat.slug, model)]
        seat = next(iter((*exact, *near, *free)), None)
        if seat:
            seat.named, seat.begun = model, self._run.now()
            self._run.emit(CallStarted("panel", seat.label, seat.model, 1, seat.begun))
        return seat

    def _go_on(self, seat: Seat, inner: Inner) -> None:
        match inner.kind:
            case "wrote":
                seat.written.append(inner.text)
                self._run.emit(Delta("panel", seat.label, inner.text))
            case "thought":
                self._run.emit(Delta("panel", seat.label, reasoning=inner.text))
            case "answered" if inner.text.strip():
                self._answer(seat, inner)
            case "answered":
                self._lose(seat, f"{seat.model} finished without writing anything.")
            case _:
                self._lose(seat, inner.text or "It failed.", inner.status)

    def _answer(self, seat: Seat, inner: Inner) -> None:
        if "".join(seat.written) != inner.text:  # pieces that were left out, or a replay
            self._run.emit(CallStarted("panel", seat.label, seat.model, 1, self._run.now()))
            self._run.emit(Delta("panel", seat.label, inner.text))
        seat.has_ended = True
        if inner.model not in ("", seat.slug):  # asked by its alias, it answers by its own name
            seat.named = inner.model
        seat.response = Response(
            label=seat.label,
            model=seat.model,
            served_model=seat.named if seat.named != seat.slug else None,
            content=inner.text.strip(),
            reasoning=inner.reasoning,
            duration=self._run.now() - seat.begun,
        )
        self._run.emit(SeatAnswered(seat.response))

    def _lose(self, seat: Seat, error: str, status: int | None = None) -> None:
        seat.has_ended, text = True, "".join(seat.written)
        lost = FailedModel(label=seat.label, model=seat.model, error=error, status_code=status, content=text)
        self._run.emit(SeatFailed(lost))

    def lose_rest(self, error: str = NOT_TOLD) -> None:
        """Tell that no answer will come of the seats that are not over."""
        for seat in self._seats:
            if not seat.has_ended:
                self._lose(seat, error)

    def _end(self, inner: Inner) -> None:
        if inner.reason != "fusion_invocation_capped":  # a second fusion in the same turn, after a good first one
            self.error, self.reason = inner.text, inner.reason
        kept = [page for page in inner.sources if self._permits(page.url)]
        if len(kept) < len(inner.sources):
            number = len(inner.sources) - len(kept)
            self._run.emit(Warned(f"OpenRouter's panel read {number} pages of sites that are not allowed."))
        self._cite(kept)

    def _cite(self, pages: list[Source]) -> None:
        """Give each page to the seats whose answers name it; OpenRouter does not say who read it.

        A page that none of them names is kept with the first response, under no letter.
        """
        answered = [seat for seat in self._seats if seat.response]
        for place, seat in enumerate(answered):
            assert seat.response
            cited = [page.model_copy(update={"labels": (seat.label,)}) for page in pages if _names(seat.response, page)]
            if not place:
                cited += [page for page in pages if not any(_names(other, page) for other in self.responses)]
            if cited:
                seat.response = seat.response.model_copy(update={"sources": tuple(cited)})
                self._run.emit(SeatAnswered(seat.response))


def _may_be(seat: Seat, model: str) -> bool:
    return any(same_model(name, model) for name in (seat.named, seat.slug))


def _names(response: Response, page: Source) -> bool:
    return page.url in response.content
