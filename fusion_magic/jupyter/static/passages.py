"""Finds the passage of a text that a sentence rests on: the one that shares most of its rare words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from math import log

MAX_CHARACTERS = 200_000  # of the text; what lies behind is not searched
COMMON = 500  # sentences; a word that is in more says nothing
_PIECE = 400  # characters; a longer sentence is cut
_SENTENCE_END = re.compile('(?<=[.!?][\\s"”’)\\]*])\\s*(?=[^a-z\\s])|(?<=[\u3002\uff01\uff1f])')
_WORD = re.compile(r"[^\W_]+(?:[.,’'-][^\W_]+)*")
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u2e80-\ud7ff\uf900-\ufaff]{2,}")  # scripts without spaces
# Markdown that a reader would not see: emphasis, code, headings, quotes, bullets, cells, the addresses of links.
_MARKUP = re.compile(
    r"""\*+ | `+ | ^[ \t]*(?:\#{1,6}|>|[-+•])[ \t]+ | ^[ \t|:-]+$ | \|""",
    re.MULTILINE | re.VERBOSE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,200})\]\(https?://[^)\n]{0,500}\)")


def words(text: str) -> set[str]:
    """The words of a text, for comparing; pairs of characters where a script has no spaces."""
    found = {word.casefold() for word in _WORD.findall(text)}
    for run in _SPACELESS.findall(text):
        found.update(map("".join, pairwise(run)))
    return found


def readable(markdown: str) -> str:
    """Markdown as a reader sees it, roughly; line ends stay."""
    return _MARKUP.sub(lambda found: " " if "|" in found[0] else "", _LINK.sub(r"\1", markdown))


class Passages:
    """The sentences of one text, indexed by their words on first use."""

    def __init__(self, text: str) -> None:
        self._text = text[:MAX_CHARACTERS]

    def best(self, sentence: str, limit: int) -> str:
        """The sentence with most in common, with its neighbours on the line as far as `limit` characters go."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word in words(sentence):
            places = self._index.get(word, ())
            for place in places if len(places) <= COMMON else ():
                scores[place] += log(1 + len(self._pieces) / len(places))
        if not self._pieces:
            return ""
        best = max(scores, key=lambda place: (scores[place], -place), default=0)
        return self._widened(best, limit)

    def _widened(self, place: int, limit: int) -> str:
        pieces, (line, text) = self._pieces, self._pieces[place]
        first = last = place
        while True:
            if last + 1 < len(pieces) and pieces[last + 1][0] == line and len(text) + len(pieces[last + 1][1]) < limit:
                last += 1
                text = f"{text} {pieces[last][1]}"
            elif first > 0 and pieces[first - 1][0] == line and len(text) + len(pieces[first - 1][1]) < limit:
                first -= 1
                text = f"{pieces[first][1]} {text}"
            else:
                return _cut(text, limit)

    @cached_property
    def _pieces(self) -> list[tuple[int, str]]:
        """(line, sentence) in order."""
        return [
            (number, piece)
            for number, line in enumerate(readable(self._text).splitlines())
            for sentence in _SENTENCE_END.split(line)
            for piece in _chopped(" ".join(sentence.split()))
        ]

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        index: defaultdict[str, list[int]] = defaultdict(list)
        for place, (_, sentence) in enumerate(self._pieces):
            for word in words(sentence):
                index[word].append(place)
        return dict(index)


def _chopped(sentence: str) -> Iterator[str]:
    while len(sentence) > _PIECE:
        end = sentence.rfind(" ", 1, _PIECE) + 1 or _PIECE
        yield sentence[:end].rstrip()
        sentence = sentence[end:]
    if sentence:
        yield sentence


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[: limit - 2].rpartition(' ')[0] or text[: limit - 2]} …"
