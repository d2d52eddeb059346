"""Quiet marks behind the sentences of an answer, and the passages on which each rests, folded below it.

A raised letter is the only seat that says a sentence, "A + B" the seats that say a part of it each; a badge stands
behind what is in no response, and behind what a seat may contradict. They are plain text: they read without style, and
where <details> is not honoured.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from ...examine.claims import Ledger, Passage, Sentence
from ...results import FusionResult
from ..markup import escape, plain
from .origins import DENIED, LIMITS, denied_by, origins, origins_title, quoted, sentence_of, standing
from .passages import readable
from .words import Row

PASSAGE, LEAST = 240, 80  # characters of a passage at most, and where there are many
QUOTES = 2  # passages of a sentence that are shown, of those that support it and of those that contradict it
# Characters of the list of sentences with passages: less where the texts are long, so that all of a run takes no more
# than 2.2 times its texts in a notebook's file (tests/jupyter/test_static_size.py).
ROOM, LEAST_ROOM, LESS = 12_000, 5_000, 0.035
ROW = 180  # characters of it that a sentence takes without them
_INTEREST = ("denied", "one", "together", "partly", "several", "unclear", "added")
TAIL = 30  # letters and digits at the end of a sentence by which it is found in the answer
# Marks stand in for our HTML while the answer is sanitized; the parser lets no such character through.
_MARK = re.compile("\x04(\\d+)\x05")
_STAND_IN = re.compile("[\x02\x04]\\d+[\x03\x05]")
_CITATION = re.compile(r"\[[A-H][^\]\n]{0,30}\]|\[(?:Responses?|Seats?) [^\]\n]{1,30}\]")
_CLOSERS = re.compile(r"(?:\s?[%‰€$£¥°])?[^\w\s]*")


class Marks:
    """Puts the marks of a ledger into the parsed answer, and their HTML into the sanitized one."""

    def __init__(self, answer: str, found: Ledger) -> None:
        self._shown: list[str] = []
        self._at: defaultdict[int, list[tuple[str, Sentence]]] = defaultdict(list)
        line = done = 0
        for sentence in found.sentences:
            line += plain(answer[done : sentence.start]).count("\n")
            done = sentence.start
            self._at[line].append((mark(sentence), sentence))  # also without one: it is passed over on the way

    def put(self, tokens: Sequence[Token]) -> None:
        """Behind each sentence that is found again in the text of its block; a row's mark stands in its last cell."""
        lines, in_row, cell = (0, 0), False, None
        for token in tokens:
            if token.map:
                lines = (token.map[0], token.map[1])
            in_row = token.type == "tr_open" or (in_row and token.type != "tr_close")
            if token.type == "inline" and token.children:
                cell = token
                if not in_row:
                    self._mark(token, [each for line in range(*lines) for each in self._at.pop(line, ())])
            elif token.type == "tr_close" and cell and cell.children:
                cell.children = [*cell.children, *(self._put(told) for told, _ in self._at.pop(lines[0], ()) if told)]

    def html(self, sanitized: str) -> str:
        """The sanitized answer with the marks' own HTML."""
        return _MARK.sub(lambda match: self._shown[int(match[1])], sanitized)

    def _put(self, html: str) -> Token:
        self._shown.append(html)
        return Token("text", "", 0, content=f"\x04{len(self._shown) - 1}\x05")

    def _mark(self, block: Token, marked: list[tuple[str, Sentence]]) -> None:
        children = block.children or []
        at, letters = _letters(children) if any(told for told, _ in marked) else ([], "")
        done, places = 0, list[tuple[int, int, Token]]()
        for told, sentence in marked:
            tail = "".join(filter(str.isalnum, readable(_CITATION.sub("", sentence.text)))).casefold()[-TAIL:]
            place = letters.find(tail, done) if tail else -1
            if place >= 0:
                done = place + len(tail)
            if place >= 0 and told:
                places.append((*_end(children, *at[done - 1]), self._put(told)))
        for number, end, mark in reversed(places):
            children[number : number + 1] = _split(children[number], end, mark)


def _letters(tokens: list[Token]) -> tuple[list[tuple[int, int]], str]:
    """The letters and digits of a block, each with its token and its place in it."""
    found = [
        ((number, place), folded)
        for number, token in enumerate(tokens)
        if not _STAND_IN.fullmatch(token.content)
        for place, letter in enumerate(token.content)
        if letter.isalnum()
        for folded in letter.casefold()
    ]
    return [place for place, _ in found], "".join(letter for _, letter in found)


def _end(tokens: list[Token], number: int, place: int) -> tuple[int, int]:
    """Where the sentence ends whose last letter stands there: behind stops, quotes, emphasis, links and citations."""
    end = place + 1 if tokens[number].type == "text" else len(tokens[number].content)
    end = _behind_closers(tokens[number].content, end)
    while number + 1 < len(tokens) and tokens[number].content[end:] in ("", " "):
        following = tokens[number + 1]
        cited = _STAND_IN.fullmatch(following.content)
        if not cited and tokens[number].content[end:]:
            break
        if cited or following.nesting < 0:
            number, end = number + 1, len(following.content)
        elif following.type == "text" and (closed := _behind_closers(following.content, 0)):
            number, end = number + 1, closed
        else:
            break
    return number, end


def _behind_closers(text: str, end: int) -> int:
    closing = _CLOSERS.match(text, end)
    return closing.end() if closing else end


def _split(token: Token, end: int, mark: Token) -> list[Token]:
    """A token with a mark in it, or behind it where it is no text."""
    if token.type != "text" or end == len(token.content):
        return [token, mark]
    return [Token("text", "", 0, content=token.content[:end]), mark, Token("text", "", 0, content=token.content[end:])]


def mark(sentence: Sentence) -> str:
    """What stands behind a sentence, as HTML; nothing where several seats say it, it can't be told, or it is cited."""
    cited = set(re.findall(r"\b[A-H]\b", " ".join(_CITATION.findall(sentence.text))))
    alone = sentence.seats if sentence.origin == "one" and cited != set(sentence.seats) else ()
    told = [f" <sup>{escape(label)}</sup>" for label in alone]
    if sentence.origin == "together" and not cited >= set(sentence.seats):
        told.append(f" <sup>{escape(' + '.join(sentence.seats))}</sup>")
    if sentence.origin == "added":
        told.append(' <sup class="fm-added">found in no response</sup>')
    if labels := denied_by(sentence):
        told.append(f' <sup class="fm-denied">not {escape(labels)}?</sup>')
    return "".join(told)


# --- the list below the answer ----------------------------------------------------------------------


def origins_html(result: FusionResult, found: Ledger) -> tuple[str, str]:
    """(title, body) of the folded list: the sentences that have passages, which open to them; then what has none.

    A long answer has more of them than a notebook's file should hold twice: those that tell most come first into the
    room there is, and all stand in the order of the answer.
    """
    title, _, counted = origins_title(found).partition(":")
    room = max(LEAST_ROOM, int(ROOM - LESS * sum(len(response.content) for response in result.responses)))
    rows = list(_rows(result, [each for each in found.sentences if each.supported_by or each.contradicted_by], room))
    kept = set[int]()
    for number in sorted(range(len(rows)), key=lambda number: (_INTEREST.index(rows[number][0]), number)):
        room -= len(rows[number][1])
        kept |= {number} if room > 0 else set()
    listed = "".join(html for number, (_, html) in enumerate(rows) if number in kept)
    if more := len(rows) - len(kept):
        listed += f"<p>{more} more in <code>_fusion.frames.claims</code></p>"
    kinds = (_kind(kind, rows) for kind, rows in origins(result, found) if kind != DENIED)
    body = f'<p class="fm-legend">{LIMITS}</p>{listed}{"".join(kinds)}' if found.sentences else ""
    return f"<strong>{escape(title)}</strong>:{escape(counted)}", body


def _kind(kind: str, rows: list[Row]) -> str:
    seats = (f"<strong>{escape(row.seats)}</strong> " if row.seats else "" for row in rows)
    items = "".join(f"<li>{seat}{escape(row.text)}</li>" for seat, row in zip(seats, rows, strict=True))
    return f"<p><strong>{escape(kind)}</strong></p><ul>{items}</ul>"


def _rows(result: FusionResult, sentences: Sequence[Sentence], room: int) -> Iterator[tuple[str, str]]:
    """(how it stands, HTML) of each sentence, with the passages that contradict it or hold most of it."""
    texts = {response.label: response.content for response in result.responses}
    chosen = [_chosen(sentence) for sentence in sentences]
    most = (room - ROW * len(sentences)) // max(1, sum(map(len, chosen)))
    for sentence, passages in zip(sentences, chosen, strict=True):
        quotes = (_quote(passage, texts, max(LEAST, min(PASSAGE, most))) for passage in passages)
        head = f"<strong>{escape(standing(sentence))}</strong> {escape(sentence_of(sentence))}"
        kind = "denied" if sentence.contradicted_by else sentence.origin
        yield kind, f"<details><summary>{head}</summary>{''.join(quotes)}</details>"


def _chosen(sentence: Sentence) -> list[Passage]:
    support = sorted(sentence.supported_by, key=lambda passage: -passage.score)
    return [*sentence.contradicted_by[:QUOTES], *support[:QUOTES]]


def _quote(passage: Passage, texts: dict[str, str], most: int) -> str:
    said = quoted(texts[passage.label][passage.start : passage.end], most)
    against = {"figure": " (another figure)", "opposite": " (the opposite?)", "exchanged": " (exchanged?)", "": ""}
    part = "" if passage.whole else " (a part)"
    return f"<p>{escape(passage.label)}{part}{against[passage.why]}: {escape(said)}</p>"
