"""A model reads each sentence of the answer against the responses, where comparing words is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import FusionError, SettingsError
from ..pipeline.given import Given
from ..pipeline.material import Material
from ..pipeline.reply import first_object
from ..pipeline.request import FusionRequest
from ..prompts import claims_messages
from ..results import FusionResult
from ..settings import Panel, Panelist
from ..verbs import asked_again, check_answered, panel_of
from .claims import Origin, Sentence, ledger
from .columns import Columns, Row, documented, table
from .extra_runs import PLAIN, Confirm, carry_out, confirm_price, needs_answer, price_of, refuse_loop_thread, told_anew
from .report import Report, Shown, Table

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

AT_ONCE = 60  # sentences of a call; a line of its reply is some 15 tokens
FIELDS = ("all", "part", "otherwise")
# The auditor reads texts, and nothing that the panel was given besides.
BARE: dict[str, Any] = {
    "tools": (),
    "judge_tools": False,
    "corpus": (),
    "data": (),
    "attach": (),
    "mcp": (),
    "system": None,
    "rubric": None,
    "temperature": 0.0,
    "one_pass": False,
}
COLUMNS: Columns = {
    "number": ("count", "which sentence of the answer, counted from 1, as in `frames.claims`"),
    "sentence": ("text", "the sentence"),
    "by_words": ("text", "its origin in the ledger"),
    "by_judge": ("text", "its origin as the judge reads it; missing if the reply did not speak of it"),
    "says": ("text", "letters of the seats whose responses state all of it, as the judge reads them"),
    "part": ("text", "of those that state only a part of it"),
    "otherwise": ("text", "of those that state otherwise"),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence of the answer as the judge reads it against the responses.

    Attributes:
        number: its place in the ledger, from 1.
        sentence: as the ledger has it.
        says, part, otherwise: letters of seats that state all of it, only a part, or otherwise.
        is_told: whether the judge's reply spoke of it.
    """

    number: int
    sentence: Sentence
    says: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    is_told: bool = True

    @property
    def origin(self) -> Origin | None:
        """Where the sentence comes from; None if that was not told."""
        if not self.is_told:
            return None
        if self.says:
            return "several" if len(self.says) > 1 else "one"
        return "partly" if self.part else "added"

    @property
    def is_as_words_have_it(self) -> bool:
        """Whether the ledger tells the same: the same seats, or the same where no seat says all of it."""
        if self.says:
            return self.sentence.origin in ("several", "one") and set(self.sentence.seats) == set(self.says)
        words = "partly" if self.sentence.origin == "together" else self.sentence.origin
        return words == self.origin


@dataclass(frozen=True, repr=False)
class ClaimsAudit(Shown):
    """What a judge says of each sentence, beside what comparing words says.

    Attributes:
        judge: the model that read them.
        checked: the sentences that claim anything, in the order of the answer.
        runs: ids of the runs that it took.
        notes: what the runs warned of.
    """

    judge: str
    checked: tuple[Checked, ...]
    runs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def added(self) -> tuple[Checked, ...]:
        """The sentences that no response states, as the judge reads them."""
        return tuple(each for each in self.checked if each.origin == "added")

    @property
    @documented(COLUMNS)
    def frame(self) -> DataFrame:
        """One row for each sentence."""
        return table(COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for each in self.checked:
            seats = {
                name: ", ".join(found) for name, found in zip(("says", "part", "otherwise"), _seats(each), strict=True)
            }
            words = {"by_words": each.sentence.origin, "by_judge": each.origin}
            yield {"number": each.number, "sentence": each.sentence.text, **words, **seats}

    @property
    def report(self) -> Report:
        """Counts of both, the sentences on which they differ, and those that some response denies."""
        words, judged = Counter(each.sentence.origin for each in self.checked), Counter(e.origin for e in self.checked)
        kinds: tuple[Origin, ...] = ("several", "one", "together", "partly", "added", "unclear")
        counts = tuple((kind, str(words[kind]), str(judged[kind])) for kind in kinds if words[kind] or judged[kind])
        differ = tuple(_told(each) for each in self.checked if each.is_told and not each.is_as_words_have_it)
        denied = tuple((", ".join(each.otherwise), each.sentence.text) for each in self.checked if each.otherwise)
        silent = judged[None]
        notes = (f"The reply left out {silent} of {len(self.checked)} sentences.",) if silent else ()
        return Report(
            f"{len(self.checked)} sentences of the answer, read by {self.judge}",
            (
                Table("Where they come from", ("", "by words", "by the judge"), counts),
                Table("Told differently", ("by words", "by the judge", "seats", "sentence"), differ),
                Table("Stated otherwise", ("seats", "sentence"), denied),
            ),
            (*notes, *self.notes),
        )


def audit_claims(result: FusionResult, judge: str | Panelist | None = None, *, confirm: Confirm = False) -> ClaimsAudit:
    """Let a model say which responses state each sentence of the answer; the price is printed first.

    It reads the responses and up to 60 sentences a call, nothing else, and no seat is asked. It is asked for what the
    responses state, not for what is true. Models favour text like their own; one that did not write the answer is
    better.

    Args:
        result: a run with an answer, also one loaded from the store or a notebook.
        judge: who reads; without it the run's judge.
        confirm: True asks before anybody is called; a function gets the price and says whether to go on.

    Raises:
        SettingsError: there is no answer or no response, or the model can't do this.
        FusionError: the price was not confirmed, the reply can't be read, or as `fuse`.
    """
    needs_answer(result)
    check_answered(result)
    refuse_loop_thread()
    claims = [(n, each) for n, each in enumerate(ledger(result).sentences, 1) if each.origin != "no claim"]
    if not claims:
        raise SettingsError(f"The answer of run {result.id} has no sentence that claims anything.")
    seat = _reader(result, judge)
    parts = [claims[at : at + AT_ONCE] for at in range(0, len(claims), AT_ONCE)]
    requests = [_request(result, seat, part) for part in parts]
    confirm_price(price_of("Audit of the claims", requests), confirm)
    runs = carry_out(requests)
    known = {response.label for response in result.responses}
    checked = (each for part, run in zip(parts, runs, strict=True) for each in _read(part, run, known))
    return ClaimsAudit(seat.model, tuple(checked), tuple(run.id for run in runs), told_anew(result, runs))


def _reader(result: FusionResult, judge: str | Panelist | None) -> Panelist:
    seat = judge if isinstance(judge, Panelist) else Panelist(model=judge) if judge else panel_of(result).judge
    if seat.model == "smollm2@local":
        raise SettingsError("The embedded model is too small to check claims; name another one: audit_claims(judge=…).")
    return seat.model_copy(update={"label": "", "temperature": 0.0, "system": None})


def _request(result: FusionResult, seat: Panelist, claims: Sequence[tuple[int, Sentence]]) -> FusionRequest:
    texts = {response.label: response.content for response in result.responses}
    told = "\n".join(f"{number}. {' '.join(sentence.text.split())}" for number, sentence in claims)
    system, asked = claims_messages(result.prompt, texts, told)
    again = asked_again(result, {"panel": Panel(models=(seat,)), "quorum": None}, {}, {})
    settings = again.settings.model_copy(update={**PLAIN, **BARE, "system": system})
    return replace(
        again,
        prompt=asked,
        settings=settings,
        turns=(),
        notes=(),
        schema=None,
        material=Material(),
        given=Given(alone=True),
    )


def _read(claims: Sequence[tuple[int, Sentence]], run: FusionResult, known: set[str]) -> Iterator[Checked]:
    """What a reply says of its sentences. Raises FusionError if it is no such reply."""
    numbers = {str(number) for number, _ in claims}
    try:
        data = first_object(run.answer or "", numbers)
    except ValueError as exc:
        raise FusionError(f"The reply of run {run.id} can't be read: {exc} It is kept; ask another judge.") from exc
    if numbers.isdisjoint(data):
        raise FusionError(f"The reply of run {run.id} speaks of no sentence. It is kept; ask another judge.")
    for number, sentence in claims:
        said: object = data.get(str(number))
        if isinstance(said, Mapping):
            says, part, otherwise = (_letters(cast("Mapping[str, object]", said).get(field), known) for field in FIELDS)
            yield Checked(number, sentence, says, part, otherwise)
        else:
            yield Checked(number, sentence, is_told=False)


def _letters(given: object, known: set[str]) -> tuple[str, ...]:
    """The letters of seats in what a model wrote for a list of them."""
    items = cast("list[object]", given) if isinstance(given, list) else [given]
    return tuple(sorted({str(item).strip("[]() ").upper() for item in items} & known))


def _seats(each: Checked) -> tuple[tuple[str, ...], ...]:
    return each.says, each.part, each.otherwise


def _told(each: Checked) -> tuple[str, str, str, str]:
    seats = ", ".join(each.says or each.part)
    return each.sentence.origin, str(each.origin), seats, each.sentence.text
