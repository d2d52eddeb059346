"""Reads a sentence as what can be compared: content words with their negation, directions, names and figures."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from .figures import Figure, figures, is_approximate, is_measure, is_number
from .vocabulary import (
    BREAKS,
    CONTRASTS,
    DISPUTED,
    HEDGES,
    IRREGULAR,
    LIGHT_WORDS,
    NEGATED_WORDS,
    NEGATORS,
    OPPOSITES,
    SOFTENED,
    STEADY,
    STOP_WORDS,
    SYNONYMS,
    UNDIRECTED,
    listed,
)

REACH = 6  # content words that a negation reaches, at most; "rather than" reaches two
_TOKEN = re.compile(r"[^\W_]+(?:['’.\-\u2011–/&+][^\W_]+)*|[,;:()—|.]")
_MARKUP = re.compile(
    r"[*`~]+|(?<!\w)_+|_+(?!\w)|\]\([^)\s]{0,1000}\)|https?://\S+"
    r"|\[(?:Responses? |Seats? )?[A-H](?:\s?[,;/&–-]\s?[A-H])*\]"
)
_ENDINGS = listed("""
    ations ation ements ement ments ment nesses ness ities ity ingly edly ings ing ied ies ed ers ern er em en est
    es ly e s n
""")
_CONTRAST = re.compile("|".join(rf"(?<!\w){phrase}\b(?! only)" for phrase in CONTRASTS), re.IGNORECASE)
_CONTRASTING = tuple(frozenset(re.findall(r"\w+", phrase)) for phrase in CONTRASTS)  # most sentences have none of these
_SHORT_NOT = re.compile(r"n['’]t\b", re.IGNORECASE)
_DASHES = re.compile("[-\u2011–/+]")
_ELIDED = re.compile(r"^(?:[ldnsc]|qu)'(?=\w{2})|'s?$")
_AGENTS = frozenset(("by", "von", "durch", "par"))  # "was done by"
_NOT_ACTING = frozenset(
    listed("""
    , and or und et ou in at on from of for to with near im am aus bei für en au aux de du des à
""")
)
_TELLING = _NOT_ACTING | {"than", "at"}  # a word before another that makes a difference to it
_ARTICLES = frozenset(("a", "an", "the", "der", "die", "das", "den", "dem", "einen", "einer", "le", "la", "les", "l"))
_QUARTERS = ("first", "second", "third", "fourth")
_GERMAN = frozenset(
    ("der", "die", "und", "nicht", "ist", "das", "den", "mit", "von", "auf", "für", "eine", "wird", "dem")
)
_SIGNED = ("first", "last", "left", "right", "fine", "open", "support", "close", "end")  # too many meanings to oppose


@dataclass(frozen=True)
class Word:
    """A content word: its stem, whether a negation reaches it, and its direction if it has one."""

    stem: str
    negated: bool = False
    axis: str = ""
    sign: int = 0
    name: Literal["yes", "maybe", "no"] = "no"  # maybe: a capital, but only at the head of sentences
    acts: bool = (
        False  # a name with no preposition, comma or "and" before it: it does something, or something is done to it
    )


THAN = Word("~than")  # what stands between the sides of a comparison


@dataclass(frozen=True)
class Reading:
    """What is compared of a sentence or a part of one."""

    words: tuple[Word, ...]
    figures: tuple[Figure, ...]
    contrasted: tuple[Figure, ...]  # those behind "rather than"
    hedges: frozenset[str]
    softened: bool
    disputes: bool
    approximate: bool
    passive: bool
    negates: bool
    negations: int
    contrasts: bool

    @cached_property
    def stems(self) -> dict[str, frozenset[bool]]:
        """Each stem with whether it stands under a negation: both, if it stands there twice."""
        stems: dict[str, set[bool]] = {}
        for word in self.words:
            if word is not THAN:
                stems.setdefault(word.stem, set()).add(word.negated)
        return {stem: frozenset(flags) for stem, flags in stems.items()}

    @cached_property
    def denied(self) -> bool:
        """Whether any of its words stands under a negation."""
        return any(word.negated for word in self.words)

    @cached_property
    def compares(self) -> bool:
        """Whether it has a "than"."""
        return any(word is THAN for word in self.words)

    @cached_property
    def acting(self) -> dict[str, int]:
        """Where its names stand that do something, or to which something is done; by stems."""
        return {word.stem: n for n, word in enumerate(self.words) if word.acts}

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of its figures."""
        return frozenset(key for figure in self.figures for key in figure.keys)

    @cached_property
    def names(self) -> frozenset[str]:
        """Stems of the names."""
        return frozenset(word.stem for word in self.words if word.name == "yes")

    @cached_property
    def maybe_names(self) -> frozenset[str]:
        """Stems of words at the head of sentences that may be names."""
        return frozenset(word.stem for word in self.words if word.name == "maybe")

    @cached_property
    def ways(self) -> dict[str, set[int]]:
        """The sides it takes on each axis, negations counted in."""
        ways: dict[str, set[int]] = {}
        for word in self.words:
            if word.axis:
                ways.setdefault(word.axis, set()).add(-word.sign if word.negated else word.sign)
        return ways

    @property
    def substance(self) -> int:
        """How many content words and figures there are."""
        return len(self.stems) + len(self.figures)


@dataclass(frozen=True)
class Lexicon:
    """Which words are names in these texts: capitals stand only at the head of sentences for the others."""

    lower: frozenset[str]
    capital: frozenset[str]
    german: bool
    _read: dict[tuple[str, str, bool, bool], tuple[Word, ...]] = field(
        default_factory=dict[tuple[str, str, bool, bool], tuple["Word", ...]], compare=False, repr=False
    )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Lexicon:
        """Learn it from whole texts."""
        lower: set[str] = set()
        capital: set[str] = set()
        common: Counter[str] = Counter()
        for text in texts:
            tokens = re.findall(r"(?:(?<=[^\s.!?:|#*>-]\s)|(?<=\w-))[^\W\d_]+|[^\W\d_]+", text)
            common.update(tokens)
            capital.update(match[1] for match in re.finditer(r"(?<=[\w,;)]\s)([A-ZÀ-Þ][^\W\d_]+)", text))
        lower.update(word for word in common if word[0].islower())
        german = sum(common[word] for word in _GERMAN) > 2 * sum(common[word] for word in ("the", "of", "and", "to"))
        return cls(frozenset(lower), frozenset(capital), german)

    def name(self, word: str, first: bool) -> Literal["yes", "maybe", "no"]:
        """Whether a word is a name or an acronym; `first`: it stands at the head of a sentence."""
        low = word.lower()
        if low in STOP_WORDS or not word[0].isupper():
            return "yes" if any(c.isupper() for c in word[1:]) and low not in self.lower else "no"
        if len(word) > 1 and word.isupper():
            return "no" if low in self.lower and len(word) > 3 else "yes"
        if self.german or low in self.lower:
            return "no"
        return "yes" if word in self.capital else "maybe" if first else "no"

    def parts(self, token: str, beside: str, negated: bool, first: bool) -> tuple[Word, ...]:
        """The content words of a token, which mostly was read before; `beside` is "than" or the word before it."""
        key = (token, beside if beside in _TELLING else "", negated, first)
        if key not in self._read:
            low = token.lower().replace("’", "'")
            self._read[key] = tuple(_parts(token, low, key[1], negated, self, first))
        return self._read[key]


def read(text: str, lexicon: Lexicon) -> Reading:
    """What can be compared of a text, Markdown marks, links and citations of seats left out."""
    bare = re.sub(r"\bQ([1-4])\b", lambda match: f"{_QUARTERS[int(match[1]) - 1]} quarter", _MARKUP.sub(" ", text))
    small = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", bare.lower()))
    if "may" in small and not re.search(r"\bmay\b", bare):
        small.discard("may")  # the month
    pieces = set(re.findall(r"\w+", bare.lower()))
    found = figures(bare, pieces)
    months = {figure.text.lower() for figure in found if figure.kind == "month"}
    contrasts = list(_CONTRAST.finditer(bare)) if any(words <= pieces for words in _CONTRASTING) else []
    behind = [figures(bare[match.end() : match.end() + 30])[:1] for match in contrasts]
    words = tuple(_words(bare, lexicon, months, {match.start(): match.end() for match in contrasts}))
    negates = not NEGATORS.isdisjoint(pieces) or ("t" in pieces and bool(_SHORT_NOT.search(bare)))
    return Reading(
        words=words,
        figures=tuple(found),
        contrasted=tuple(figure for each in behind for figure in each),
        hedges=frozenset(small & HEDGES),
        softened=bool(small & SOFTENED),
        disputes=bool(small & DISPUTED),
        approximate=is_approximate(bare, pieces),
        passive=bool(small & _AGENTS),
        negates=negates or bool(contrasts) or any(word.negated for word in words),
        negations=sum(piece in NEGATORS for piece in re.findall(r"\w+", bare.lower())) + len(_SHORT_NOT.findall(bare)),
        contrasts=bool(contrasts),
    )


@lru_cache(50_000)
def stem(word: str) -> str:
    """A word's beginning by which its forms and its synonyms are joined: "declines", "declining" → "declin"."""
    return _GROUPS.get(_bare(word), _bare(word))


@lru_cache(50_000)
def _bare(word: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))
    if len(plain) < 2 or any(c.isdigit() for c in plain):
        return plain
    plain = IRREGULAR.get(plain, plain)
    for ending in _ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= 4:
            plain = plain[: -len(ending)]
            break
    else:
        plain = plain.removesuffix("s") if len(plain) > 3 and not plain.endswith("ss") else plain
    if len(plain) > 4 and plain[-1] == plain[-2] and plain[-1] not in "ls":
        plain = plain[:-1]
    return plain.removesuffix("y").removesuffix("i")[:7] if len(plain) > 4 else plain


_GROUPS = {_bare(word): f"{_bare(group[0])}~" for group in reversed(SYNONYMS) for word in group}
_AXES = {_bare(word): way for word, way in OPPOSITES.items() if word not in _SIGNED and "-" not in word}
LIGHT = frozenset(stem(word) for word in LIGHT_WORDS)


@lru_cache(50_000)
def direction(word: str) -> tuple[str, int]:
    """The axis a word stands on and its side, or ("", 0)."""
    if word in OPPOSITES:
        return OPPOSITES[word] if word not in _SIGNED else ("", 0)
    return _AXES.get(_bare(word), ("", 0)) if len(word) > 3 and word not in UNDIRECTED else ("", 0)


def _words(text: str, lexicon: Lexicon, skipped: set[str], contrasts: Mapping[int, int]) -> Iterator[Word]:
    """The content words in their order; figures, months and units are not among them.

    `contrasts` holds where phrases such as "rather than" start and end.
    """
    reach = caught = 0
    compares = " than" in text.lower()
    until, contrast = 0, False  # where a contrast of several words ends
    previous = "."
    first = True
    for match in _TOKEN.finditer(text):
        token, low = match[0], match[0].lower().replace("’", "'")
        if match.start() < until:
            continue
        if match.start() in contrasts:
            reach, caught, until, contrast = 2, 0, contrasts[match.start()], True
        elif len(token) == 1 and not token.isalnum():
            reach = 0 if caught or token != "," else reach
        elif low in NEGATORS or low.endswith("n't"):
            contrast = False
            reach, caught = (0 if text.startswith(" only", match.end()) else REACH), 0
        elif low == "than":
            yield THAN
        elif contrast and low in STOP_WORDS and low not in _ARTICLES:
            reach, contrast = 0, False
        elif low not in skipped and not is_number(low) and not (previous[0].isdigit() and is_measure(low)):
            reach = 0 if low in BREAKS and caught else reach
            beside = "than" if compares and text[match.end() : match.end() + 5].lower() == " than" else previous
            for word in lexicon.parts(token, beside, reach > 0, first):
                yield word
                reach, caught = max(0, reach - 1), caught + 1
        first = (first and not token.isalnum()) or token in ".:|"
        previous = low


def _parts(token: str, low: str, beside: str, negated: bool, lexicon: Lexicon, first: bool) -> Iterator[Word]:
    """The content words of a token: several for "cobalt-free" or "over-extraction"."""
    has_digit = any(c.isdigit() for c in low)
    pieces = _DASHES.split(token)
    if len(pieces) > 1 and (not has_digit or all(re.search(r"[^\W\d]", piece) for piece in pieces)):
        free = low.endswith(("-free", "-less"))
        for piece in pieces[:-1] if free else pieces:
            if piece.lower() in ("over", "under"):
                yield Word("~extent", negated, *OPPOSITES[f"{piece.lower()}-part"])
            elif piece:
                yield from _parts(piece, piece.lower(), "-", negated ^ free, lexicon, first)
        return
    low = _ELIDED.sub("", low)
    word = _directed(low, beside, negated) if beside != "-" else None  # "low-risk" says not where something goes
    if word:
        yield word
    elif low not in STOP_WORDS and low not in NEGATORS and len(low) > 1 and not low[0].isdigit():
        name = (
            "yes"
            if has_digit
            else lexicon.name(token[-len(low) :] if token.lower().endswith(low) else token[: len(low)], first)
        )
        yield Word(stem(low), negated, name=name, acts=name != "no" and beside not in _NOT_ACTING)


def _directed(low: str, beside: str, negated: bool) -> Word | None:
    """The word as one that says which way something goes, if it is one; `beside` is "than" or the word before it."""
    axis, sign = direction(low)
    if low in NEGATED_WORDS:
        return Word(stem(NEGATED_WORDS[low]), not negated)
    if low in STEADY or (negated and stem(low) == stem("change")):
        return Word("~amount", False, "amount", 0)
    if low in ("least", "most"):
        return Word("~bound", False, "bound", 1 if low == "least" else -1) if beside == "at" else None
    if low in ("more", "less", "fewer") and beside == "than":
        return Word("~bound", False, "bound", 1 if low == "more" else -1)
    return Word(f"~{axis}", negated and axis != "bound", axis, sign) if axis else None
