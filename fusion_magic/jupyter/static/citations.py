"""Opens what an answer cites in its place: seats named like `[A]` or `[A, B]`, and pages and documents of the panel.

Each becomes a <details> in the running text: no ids, no scripts, so that it works in a notebook that is not trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ...results import FusionResult, Response, Source
from ..markup import escape, plain, to_html
from .marks import Marks
from .passages import Passages, words
from .prose import address
from .words import is_web, short, where

PASSAGE = 400  # characters of a passage at most
ROOM = 12_000  # characters of all passages of an answer together; many citations share it
LINKS = 60  # links to sources in all of them together
QUOTES = 2  # passages of a page that are shown
MAX_OPENED = 250  # citations of one answer; the rest stay text
NEAR = 1_000  # characters before and behind a citation in which its sentence is looked for
TITLE = 120  # characters of a source's title
# `[A]`, `[A, B]`, `[A and C]`, `[B–D]`; models also write "Response" before the letters.
_CITATION = re.compile(
    r"\[(?:Responses? |Seats? )?(?P<seats>[A-H](?:\s?(?:,|;|/|&|\+|-|–|,? and|und|et|y)\s?[A-H]){0,7})\]"
)
_PLACE = re.compile(r"corpus:[^\s<>()\[\]{}\"'`|,;]+")  # of a document, as a collection's tools write it
_CITED = re.compile(f"{_CITATION.pattern}|(?P<place>{_PLACE.pattern})")
_RANGE = re.compile(r"([A-H])\s?[-–]\s?([A-H])")
_SENTENCE_END = re.compile('[.!?][\\s"”’)\\]]*(?=\\s|$)|[\u3002\uff01\uff1f]')
# Marks stand in for our HTML while the answer is sanitized. `plain` and the parser let no such character through.
_MARK = re.compile("\x02(\\d+)\x03")
_PARAGRAPH = '<div class="fm-p">'
_OPENED = '<details class="fm-cite" style="display:inline-block">'
_SPACED = _PARAGRAPH[:-1] + ' style="margin:0 0 1em">'


@dataclass(frozen=True)
class Citation:
    """Seats named in an answer: as it is written there, whom it names, and the sentence it stands in."""

    written: str
    seats: tuple[str, ...]
    sentence: str


Mark = Citation | Source | None  # None: the end of a link


def cited_html(result: FusionResult, answer: str, origins: Marks | None = None) -> str:
    """The answer as sanitized HTML with its citations opening in place; `origins` are put behind its sentences.

    What stands in code, formulas and headings is left alone, as are letters that no response has.
    """
    marks = _Marks(result)

    def put(tokens: Sequence[Token]) -> None:
        marks.put(tokens)
        if origins:
            origins.put(tokens)

    sanitized = to_html(answer, put, new_tabs=False)
    opened = _Opened(result, marks)
    shown = _MARK.sub(lambda found: opened.html(int(found[1])), sanitized).replace(_PARAGRAPH, _SPACED)
    return origins.html(shown) if origins else shown


def page_address(url: str) -> str:
    """An address as it is compared: as the parser writes it, without last slash and, on the web, fragment."""
    written = _addresses.normalizeLink(plain(url))
    return written.partition("#")[0].rstrip("/") if is_web(url) else written


_addresses = MarkdownIt()


class _Marks(list[Mark]):
    """The marks put into one answer, in order; a mark in the text holds its number."""

    def __init__(self, result: FusionResult) -> None:
        super().__init__()
        self._seats = {response.label for response in result.responses}
        self._pages = {page_address(source.url): source for source in result.sources}

    def put(self, tokens: Sequence[Token]) -> None:
        """Put marks into the parsed answer, where the citations are."""
        for before, block, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if block.type != "inline" or not block.children or before.type == "heading_open":
                continue
            known = len(self)
            block.children = list(self._marked(block.children))
            if len(self) > known and before.type == "paragraph_open":
                before.tag = after.tag = "div"  # a <details> would end a <p>
                before.attrs = {"class": "fm-p"}

    def _marked(self, tokens: list[Token]) -> Iterator[Token]:
        text = "".join(token.content or " " for token in tokens)
        position, is_link, source = 0, False, None
        for token in tokens:
            if token.type == "link_open":
                is_link, source = True, self._page(token)
                yield self._mark(source) if source else token
            elif token.type == "link_close":
                yield self._mark(None) if source else token
                is_link, source = False, None
            elif token.type == "text" and not is_link:
                yield from self._cited(token.content, text, position)
            else:
                yield token
            position += len(token.content or " ")

    def _page(self, link: Token) -> Source | None:
        return self._pages.get(page_address(str(link.attrs["href"]))) if len(self) < MAX_OPENED else None

    def _cited(self, part: str, text: str, position: int) -> Iterator[Token]:
        done = 0
        for found in _CITED.finditer(part):
            if len(self) >= MAX_OPENED:
                break
            if found["place"]:
                written = found[0].rstrip(".:!?")
                if source := self._pages.get(page_address(written)):
                    yield _text(part[done : found.start()])
                    yield from (self._mark(source), _text(written), self._mark(None))
                    done = found.start() + len(written)
                continue
            seats = tuple(seat for seat in _letters(found["seats"]) if seat in self._seats)
            if seats:
                yield _text(part[done : found.start()])
                sentence = _sentence(text, position + found.start(), position + found.end())
                yield self._mark(Citation(found[0], seats, sentence))
                done = found.end()
        yield _text(part[done:])

    def _mark(self, mark: Mark) -> Token:
        self.append(mark)
        return _text(f"\x02{len(self) - 1}\x03")


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _letters(written: str) -> list[str]:
    """The seats that a citation names, those between the ends of a range too."""
    for first, last in _RANGE.findall(written):
        written += "".join(map(chr, range(ord(first), ord(last))))
    return sorted({letter for letter in written if "A" <= letter <= "H"})


def _sentence(text: str, start: int, end: int) -> str:
    """The sentence a citation stands in, or behind; what stands around it where that is next to nothing."""
    text, start, end = text[max(0, start - NEAR) : end + NEAR], min(start, NEAR), end - max(0, start - NEAR)
    before = text[:start].rstrip()
    ends = [found.end() for found in _SENTENCE_END.finditer(before) if found.end() < len(before)]
    after = "" if _SENTENCE_END.search(before, max(0, len(before) - 3)) else _SENTENCE_END.split(text[end:], 1)[0]
    sentence = _CITATION.sub("", before[ends[-1] if ends else 0 :] + after)
    return sentence if len(words(sentence)) > 3 else _CITATION.sub("", text)


class _Opened:
    """What the marks of one answer open to."""

    def __init__(self, result: FusionResult, marks: Sequence[Mark]) -> None:
        self._marks = marks
        self._responses = {response.label: response for response in result.responses}
        self._passages = {label: Passages(response.content) for label, response in self._responses.items()}
        passages = sum(len(mark.seats) for mark in marks if isinstance(mark, Citation))
        self._limit = min(PASSAGE, ROOM // max(1, passages))
        self._links = min(3, LINKS // max(1, passages))
        self._about = {
            source: words(f"{source.title} {source.url}")
            for response in result.responses
            for source in response.sources
        }
        self._linked: list[Source] = []
        pages = sum(isinstance(mark, Source) for mark in marks)
        self._quote = min(PASSAGE, ROOM // max(1, QUOTES * pages))

    def html(self, number: int) -> str:
        """The HTML that takes the place of a mark."""
        match self._marks[number]:
            case Citation() as cited:
                first, *others = (self._entry(label, cited.sentence) for label in cited.seats)
                entries = first + "".join(f"<div>{entry}</div>" for entry in others)
                return f"{_OPENED}<summary>{escape(cited.written)}</summary><div>{entries}</div></details>"
            case Source() as source:
                self._linked.append(source)
                return f"{_OPENED}<summary>"
            case None:
                return f"</summary><div>{self._page(self._linked.pop())}</div></details>"

    def _entry(self, label: str, sentence: str) -> str:
        response = self._responses[label]
        passage = self._passages[label].best(sentence, self._limit)
        quoted = f"<blockquote>{escape(passage)}</blockquote>" if passage else ""
        name = f"<strong>{escape(label)}</strong> · {escape(short(response.model))}"
        return f"{name}{quoted}{self._sources(response, f'{sentence} {passage}')}"

    def _sources(self, response: Response, about: str) -> str:
        """The seat's pages that have most to do with it; all of them stand below its response."""
        wanted, shown = words(about), self._links
        ordered = sorted(response.sources, key=lambda source: -len(self._about[source] & wanted))
        links, more = [link(source) for source in ordered[:shown]], len(ordered) - shown
        told = f"Sources: {', '.join(links)}" if links else ""
        return told + (f"{', ' if told else 'Sources: '}{more} {'more ' if told else ''}below" if more > 0 else "")

    def _page(self, source: Source) -> str:
        """A page or document with who used it, and what it says as far as that was shown."""
        seats = f" · cited by {escape(', '.join(source.labels))}" if source.labels else ""
        title = f"{escape(_short(source.title))} · " if source.title and source.title != source.url else ""
        place = link(Source(url=source.url)) if is_web(source.url) else escape(_short(where(source)))
        quotes = filter(None, (" ".join(plain(quote).split()) for quote in source.quotes[:QUOTES]))
        quoted = "".join(f"<blockquote>{escape(_short(quote, self._quote))}</blockquote>" for quote in quotes)
        return f"{title}{place}{seats}{quoted}"


def link(source: Source) -> str:
    """A source as a link by its title; its title and its place where its address is none of the web."""
    if is_web(source.url):
        return f'<a href="{escape(address(source.url))}">{escape(_short(source.title or source.url))}</a>'
    title, place = _short(source.title), _short(where(source))
    return escape(f"{title} ({place})" if title and title not in (source.url, place) else place)


def _short(text: str, most: int = TITLE) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
