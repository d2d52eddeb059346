"""The two tools over local collections: search them, and read what was found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby, zip_longest
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from ..errors import SettingsError, ToolError
from ..results import Source
from . import Output, Tool, typed
from .corpus import Corpus, Passage
from .corpus_index import off_loop

PAGE = 25_000  # characters of one reading, as for pages of the web
T = TypeVar("T")


class _Search(BaseModel):
    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)] = Field(
        description="words to look for; a passage with all of them comes first"
    )
    count: int = Field(default=5, ge=1, le=10, description="how many passages")


class _Read(BaseModel):
    place: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)] = Field(
        description="a place that a search gave, such as corpus:papers/smith.pdf#page=3; "
        "without what stands after the #, the whole document"
    )
    offset: int = Field(default=0, ge=0, description="characters to skip, to read on")


def corpus_tools(corpora: Sequence[Corpus]) -> tuple[Tool, ...]:
    """The tools "corpus_search" and "corpus_read" over one or more collections; none for none.

    Raises:
        SettingsError: two have the same name.
    """
    by_name = {corpus.name: corpus for corpus in corpora}
    if len(by_name) < len(corpora):
        raise SettingsError("Two corpora have the same name; give one another with name=….")
    if not corpora:
        return ()

    async def search(arguments: _Search) -> Output:
        found = [
            await _asked(corpus, lambda c=corpus: c.search(arguments.query, arguments.count)) for corpus in corpora
        ]
        return _listing(_in_turn(found)[: arguments.count])

    async def read(arguments: _Read) -> Output:
        name, _, path = arguments.place.removeprefix("corpus:").partition("/")
        corpus = by_name.get(name)
        passages = await _asked(corpus, lambda: corpus.read(f"corpus:{name}/{path}")) if corpus else []
        if not passages:
            raise ToolError(f"There is no {arguments.place[:200]!r}; give a place as corpus_search wrote it.")
        return _page(arguments, passages)

    told = "; ".join(f"{corpus.name} ({corpus.documents:,} documents)" for corpus in corpora)
    about = f"Search the user's own documents: {told}. Returns passages with their places; cite those."
    more = "Read a document of the user, or one page, cell or part of it, by its place."
    return typed("corpus_search", about, _Search, search), typed("corpus_read", more, _Read, read)


async def _asked(corpus: Corpus, query: Callable[[], T]) -> T:
    try:
        return await off_loop(corpus.index, query)
    except sqlite3.Error as exc:
        raise ToolError(f"The index of {corpus.name} can't be read now.") from exc


def _in_turn(found: Iterable[list[Passage]]) -> list[Passage]:
    """The first of each collection, then the second: ranks of different collections can't be compared."""
    return [passage for passage in chain.from_iterable(zip_longest(*found)) if passage]


def _listing(passages: Sequence[Passage]) -> Output:
    if not passages:
        return Output("Nothing was found. Try other or fewer words.")
    entries = (
        f"{number}. {passage.title}\n{passage.place}\n{passage.text}" for number, passage in enumerate(passages, 1)
    )
    found = (Source(url=passage.place, title=passage.title, quotes=(passage.snippet,)) for passage in passages)
    return Output("\n\n".join(entries), found=tuple(found))


def _page(arguments: _Read, passages: Sequence[Passage]) -> Output:
    """What is read at once, under a line that says what it is and how to read on."""
    text = _joined(passages, marked="#" not in arguments.place)
    end = arguments.offset + PAGE
    if arguments.offset and arguments.offset >= len(text):
        raise ToolError(f"The text has {len(text):,} characters; the offset is beyond them.")
    more = f"; {len(text) - end:,} characters follow, from offset {end}" if end < len(text) else ""
    place, _, anchor = passages[0].place.partition("#")
    place = f"{place}#{anchor}" if "#" in arguments.place else place
    head = f"{passages[0].title}\n{place} ({len(text):,} characters{more})"
    return Output(f"{head}\n\n{text[arguments.offset : end]}", sources=(Source(url=place, title=passages[0].title),))


def _joined(passages: Sequence[Passage], *, marked: bool) -> str:
    """The text, with a mark before each page or cell that can be cited."""
    parts = groupby(passages, lambda passage: passage.place.partition("#")[2])
    texts = ((anchor, "\n\n".join(passage.text for passage in some)) for anchor, some in parts)
    return "\n\n".join(f"[{anchor}]\n{text}" if marked else text for anchor, text in texts)
