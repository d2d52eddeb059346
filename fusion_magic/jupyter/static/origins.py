"""Where an answer's sentences come from, in words: counts, what no response has, what a seat denies, what is left out.

By the claims ledger, which compares words; so it is said as a comparison of texts and never as a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...examine.claims import Ledger, Sentence, quick_ledger
from ...results import FusionResult
from .passages import readable
from .words import Row

SHORT = 120  # characters of a sentence in a list
MANY = 10  # of one kind in a list
TITLE = "Where each sentence comes from"
LIMITS = (
    "A raised letter in the answer is the only seat that says a sentence, where the sentence does not cite it; "
    "A + B say a part each, and neither all of it. "
    "Found by comparing words, not meaning: on texts that its rules had not seen, 4 in 5 seats and 2 in 3 "
    "“found in no response” were right."
)
DENIED, LOST = "Perhaps contradicted", "Not in the answer"
TOO_MUCH = f"{TITLE}: not traced here, the texts are long; _fusion.frames.claims has it."
# Words for the ledger's origins, from the most to the least supported.
_ORIGINS = {
    "several": "by several seats",
    "one": "by one",
    "together": "put together from seats",
    "partly": "in part",
    "unclear": "unclear",
    "added": "found in no response",
}


def traced(result: FusionResult) -> Ledger | None:
    """The ledger of an answer that more than one seat may have a part in; None if nothing can be told.

    A ledger without sentences is one that would take too long.
    """
    if not result.answer or len(result.responses) < 2:
        return None
    found = quick_ledger(result)
    if found is None:
        return Ledger()
    return found if found.counts.keys() - {"no claim", "unclear"} else None


def origins_title(found: Ledger) -> str:
    """How many sentences of the answer come from where."""
    if not found.sentences:
        return TOO_MUCH
    parts = [f"{found.counts[origin]} {words}" for origin, words in _ORIGINS.items() if origin in found.counts]
    if denied := sum(bool(sentence.contradicted_by) for sentence in found.sentences):
        parts.append(f"{denied} perhaps contradicted")
    return f"{TITLE}: {', '.join(parts)}"


def origins(result: FusionResult, found: Ledger) -> Iterator[tuple[str, list[Row]]]:
    """What a reader should look at as (kind, rows); empty kinds are left out."""
    texts = {response.label: response.content for response in result.responses}
    kinds = (
        ("In no response", [Row("", sentence_of(each)) for each in found.added]),
        (DENIED, [row for each in found.sentences for row in _denials(each, texts)]),
        (LOST, [Row(", ".join(each.labels), quoted(each.text, SHORT)) for each in found.lost]),
    )
    for kind, rows in kinds:
        where = " in _fusion.frames.claims" if kind != LOST else ""
        more = [Row("", f"and {len(rows) - MANY} more{where}")] if len(rows) > MANY else []
        if rows:
            yield kind, [*rows[:MANY], *more]


def _denials(sentence: Sentence, texts: dict[str, str]) -> Iterator[Row]:
    for passage in sentence.contradicted_by:
        said = quoted(texts[passage.label][passage.start : passage.end], SHORT)
        seats = f" ({', '.join(sentence.seats)})" if sentence.seats else ""
        yield Row(passage.label, said, sentence_of(sentence) + seats)


def standing(sentence: Sentence) -> str:
    """Who says a sentence and who may say otherwise, in letters."""
    part = {"partly": " in part", "unclear": "unclear", "added": "found in no response"}.get(sentence.origin, "")
    between = " + " if sentence.origin == "together" else ", "
    against = f"not {labels}?" if (labels := denied_by(sentence)) else ""
    return " · ".join(filter(None, (between.join(sentence.seats) + part, against)))


def denied_by(sentence: Sentence) -> str:
    """The letters of the seats that may contradict it."""
    return ", ".join(sorted({passage.label for passage in sentence.contradicted_by}))


def sentence_of(sentence: Sentence) -> str:
    """A sentence as a reader sees it, cut where it is long, with its figures and names that no response has."""
    lacks = f" ({', '.join(sentence.missing)}: found in no response)"
    return quoted(sentence.text, SHORT) + (lacks if sentence.missing and sentence.supported_by else "")


def quoted(markdown: str, most: int) -> str:
    """A text on one line without its Markdown, cut at a word."""
    text = " ".join(readable(markdown).split())
    return text if len(text) <= most else f"{text[: most - 2].rpartition(' ')[0] or text[: most - 2]} …"
