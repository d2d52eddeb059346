"""A local collection of documents that a panel can search, read and cite, with or without a network."""

from __future__ import annotations

import contextlib
import glob as globbing
import hashlib
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from ..errors import SettingsError
from ..folders import cache_dir
from .corpus_index import Index, Row
from .corpus_reading import Document, line, list_folder, numbered, read_file

AT_ONCE = 1_000_000  # characters to a transaction: an index that was interrupted goes on from there


@dataclass(frozen=True, slots=True)
class Passage:
    """Text of a document with its citation.

    Attributes:
        place: what to cite and to read: "corpus:papers/smith.pdf#page=3", "…a.ipynb#cell=7", "…notes.md#part=2".
        title: the document's title.
        text: the passage.
        snippet: the words in it that were searched for, with what stands around them.
    """

    place: str
    title: str
    text: str
    snippet: str


class Corpus:
    """Documents with a full-text index; made by `from_folder`, `from_frame` or `from_texts`.

    Attributes:
        name: what its places begin with, after "corpus:".
        skipped: what was left out, by path or row, each with why.
    """

    def __init__(self, name: str, index: Index, skipped: Mapping[str, str]) -> None:
        self.name, self.index = _checked_name(name), index
        self.skipped = {**skipped, **index.problems()}
        self.documents, self.passages = index.counts()

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str], name: str | None = None, glob: str = "**/*") -> Corpus:
        """The documents of a folder: text of any kind, Markdown, HTML, PDF by page and notebooks by cell.

        The index is kept in the user's cache folder; the next time only files that have changed are read. Hidden
        files, links out of the folder, files above 20 MB and what can't be read are left out.

        Args:
            path: the folder.
            name: what its places begin with; the folder's name by default.
            glob: which files, relative to the folder.

        Raises:
            SettingsError: there is no such folder, or nothing in it can be read.
        """
        root = Path(path).expanduser().resolve()
        if not root.is_dir():
            raise SettingsError(f"{os.fspath(path)} is not a folder.")
        listing = list_folder(root, glob)
        index = _indexed(root, glob, listing.files)
        return cls(name or _name(root.name), index, listing.skipped)._with_documents(os.fspath(path))

    @classmethod
    def from_frame(
        cls, frame: Any, text: str, *, title: str | None = None, url: str | None = None, name: str = "frame"
    ) -> Corpus:
        """The rows of a pandas or polars DataFrame, in memory; rows without text are left out.

        Args:
            frame: the DataFrame.
            text: the column of the texts.
            title: the column of their titles; "row 1" and so on by default.
            url: the column of what they are cited by, an address or another id; the number of the row by default.
            name: what its places begin with.

        Raises:
            SettingsError: the frame has no such column, or no text in it.
        """
        texts = _column(frame, text)
        ids = _column(frame, url) if url else [None] * len(texts)
        titles = _column(frame, title) if title else [None] * len(texts)
        rows = (
            (_id(given, number), _id(named, number, "row "), body)
            for number, (given, named, body) in enumerate(zip(ids, titles, texts, strict=True), 1)
        )
        return cls._from_rows(rows, name)

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], name: str = "texts") -> Corpus:
        """Texts by their names, in memory. Raises SettingsError if there is no text."""
        return cls._from_rows(((key, key, body) for key, body in texts.items()), name)

    @classmethod
    def _from_rows(cls, rows: Iterable[tuple[str, str, object]], name: str) -> Corpus:
        index, skipped, uses = Index(), dict[str, str](), Counter[str]()
        documents: list[Document] = []
        for key, title, body in rows:
            uses[key] += 1
            path = key if uses[key] == 1 else f"{key}~{uses[key]}"
            parts = numbered(body) if isinstance(body, str) else []
            if parts:
                documents.append(Document(path, line(title), tuple(parts)))
            else:
                skipped[path] = "no text"
        index.put(documents)
        return cls(name, index, skipped)._with_documents(name)

    def _with_documents(self, where: str) -> Corpus:
        if self.documents:
            return self
        self.index.close()
        reasons = Counter(self.skipped.values()).most_common(3)
        told = "; ".join(f"{count} × {reason}" for reason, count in reasons)
        raise SettingsError(f"{where} holds no document that can be read{f' ({told})' if told else ''}.")

    def search(self, query: str, count: int = 5) -> list[Passage]:
        """The passages that fit best, those with every word of the query first; any string is a query."""
        return [self._passage(row) for row in self.index.search(query, count)]

    def read(self, place: str) -> list[Passage]:
        """The passages at a place: a whole document, or one page, cell or part of it; none if there is no such."""
        path, _, anchor = place.removeprefix(f"corpus:{self.name}/").partition("#")
        rows = self.index.document(unquote(path), unquote(anchor)) or self.index.document(path, anchor)
        return [self._passage(row) for row in rows]

    def _passage(self, row: Row) -> Passage:
        return Passage(f"corpus:{self.name}/{_quoted(row.path)}#{row.anchor}", row.title, row.body, row.snippet)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped):,} skipped" if self.skipped else ""
        return f"<Corpus {self.name!r}: {self.documents:,} documents, {self.passages:,} passages{skipped}>"


def as_corpus(value: Any) -> Corpus:
    """A corpus from what a user names: a Corpus, the path of a folder or file, or a frame with one column of text.

    Raises:
        SettingsError: it is none of these.
    """
    if isinstance(value, Corpus):
        return value
    if isinstance(value, str | os.PathLike):
        path = Path(cast("str | os.PathLike[str]", value)).expanduser()
        if path.is_file():
            return Corpus.from_folder(path.parent, name=_name(path.stem), glob=globbing.escape(path.name))
        return Corpus.from_folder(path)
    if isinstance(value, Mapping):
        return Corpus.from_texts(cast("Mapping[str, str]", value))
    if not _is_frame(value):
        raise SettingsError(f"A {type(value).__name__} is no corpus; name a folder, a Corpus or a DataFrame.")
    texts = [name for name in map(str, value.columns) if any(isinstance(cell, str) for cell in _column(value, name))]
    if len(texts) != 1:
        has = f"{len(texts)} columns of text ({', '.join(texts[:5])})" if texts else "no column of text"
        raise SettingsError(f"The frame has {has}; choose one with Corpus.from_frame(frame, text=…).")
    return Corpus.from_frame(value, texts[0])


def _is_frame(value: Any) -> bool:
    """A polars LazyFrame has columns too, but no shape: its rows are not there yet."""
    return hasattr(value, "shape") and hasattr(value, "columns")


def _column(frame: Any, name: str) -> list[Any]:
    if not _is_frame(frame):
        raise SettingsError(f"A {type(frame).__name__} is no DataFrame of pandas or polars with its rows.")
    columns = list(frame.columns)
    named = [column for column in columns if str(column) == name]
    if len(named) != 1:
        raise SettingsError(f'The frame has no column "{name}" of its own; it has {", ".join(map(str, columns[:10]))}.')
    return list(frame[named[0]])


def _id(value: object, number: int, before: str = "") -> str:
    """What a row is called: its value, or its number where it has none (None, NaN and their like)."""
    missing = value is None or str(value).strip() in ("", "nan", "NaN", "NaT", "<NA>", "None")
    return f"{before}{number}" if missing else str(value)


def _indexed(root: Path, glob: str, files: Mapping[str, str]) -> Index:
    """The folder's index from the cache, brought up to date; in memory where its file can't be used."""
    key = hashlib.sha256(f"{root}\n{glob}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
    path = cache_dir() / "corpora" / f"{key}.sqlite"
    for _ in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds the text of the documents
            return _refreshed(Index(path), root, files)
        except (OSError, sqlite3.OperationalError):  # no such folder, read-only, locked for a minute, disk full
            break
        except sqlite3.DatabaseError:  # no index, or a damaged one: once more, without it
            with contextlib.suppress(OSError):
                path.unlink()
    return _refreshed(Index(), root, files)


def _refreshed(index: Index, root: Path, files: Mapping[str, str]) -> Index:
    """The index in the state of the folder; closed if that fails."""
    try:
        known = index.stamps()
        index.remove(known.keys() - files.keys())
        read: list[Document] = []
        size = 0
        for name, stamp in files.items():
            if known.get(name) == stamp:
                continue
            read.append(document := read_file(root, name, stamp))
            size += document.size
            if size > AT_ONCE:
                index.put(read)
                read, size = [], 0
        index.put(read)
    except BaseException:
        index.close()
        raise
    return index


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+", name):
        raise SettingsError(f'"{name}" is no name for a corpus; use letters, digits, ".", "_" and "-".')
    return name


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "corpus"


def _quoted(path: str) -> str:
    """A path as it stands in an address; letters of every script stay readable."""
    return "".join(letter if letter.isalnum() or letter in "-._~/:" else quote(letter) for letter in path)
