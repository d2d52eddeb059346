"""Which sentences of one text another text does not say; the claims ledger, used between answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..results import FusionResult, Response
from .claims import Sentence, ledger

ABSENT = 0.40  # share of an unclear sentence below which the nearest passage says something else


@dataclass(frozen=True, slots=True)
class Missing:
    """What of a text's claims other texts lack.

    Attributes:
        sentences: the sentences of which no other text has a passage that says it.
        unclear: how many could not be decided; they are not among `sentences`.
        claims: sentences of the text that claim anything.
    """

    sentences: tuple[str, ...]
    unclear: int
    claims: int


def missing(text: str, others: Mapping[str, str]) -> Missing:
    """The claims of a text that none of the others has, in the order of the text.

    By the claims ledger (see `fusion_magic.examine.claims`), with its limits, and less strictly: a sentence in other
    words altogether counts as missing.

    Args:
        text: Markdown.
        others: texts to look in, by letters A to H.
    """
    seats = tuple(Response(label=label, model="", content=content) for label, content in others.items())
    compared = FusionResult(
        id="", created=datetime.fromtimestamp(0, UTC), prompt="", settings={}, answer=text, responses=seats
    )
    claims = [sentence for sentence in ledger(compared).sentences if sentence.origin != "no claim"]
    gone = tuple(sentence.text for sentence in claims if _is_gone(sentence))
    unclear = sum(sentence.origin == "unclear" and not _is_gone(sentence) for sentence in claims)
    return Missing(gone, unclear, len(claims))


def _is_gone(sentence: Sentence) -> bool:
    """Whether a sentence is missing: between answers, what is told otherwise counts; to nobody it is a reproach."""
    otherwise = sentence.missing or sentence.contradicted_by or sentence.nearest < ABSENT
    return sentence.origin == "added" or (sentence.origin == "unclear" and bool(otherwise))
