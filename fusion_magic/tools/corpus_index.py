"""The full-text index of a corpus: SQLite FTS5 with bm25, in memory or in a file that kernels share."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import SettingsError
from .corpus_reading import Document

VERSION = 1  # of the tables and of how documents are cut; an index of another one is built anew
PATIENCE = 60.0  # seconds for another kernel that writes the same index
MAX_WORDS = 32  # of a query; more only slow it down
TITLE_WEIGHT = 4.0  # a word in the title counts as much as four in the text
TABLES = """
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, title TEXT NOT NULL, stamp TEXT NOT NULL, problem TEXT NOT NULL
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL, anchor TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX passages_of ON passages (document);
CREATE VIRTUAL TABLE words USING fts5 (
    title, body, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61'
);
CREATE TRIGGER added AFTER INSERT ON passages BEGIN
    INSERT INTO words (rowid, title, body) VALUES (new.id, new.title, new.body);
END;
CREATE TRIGGER removed AFTER DELETE ON passages BEGIN
    INSERT INTO words (words, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
END;
"""
FOUND = "SELECT d.path, p.anchor, p.title, p.body"
# "rank" as FTS5's own column makes a snippet for what is returned only; by the function it would for every match.
BY_WORDS = f"""
{FOUND}, snippet(words, 1, '', '', '…', 40) FROM words JOIN passages p ON p.id = words.rowid
JOIN documents d ON d.id = p.document WHERE words MATCH ? AND rank MATCH 'bm25({TITLE_WEIGHT}, 1.0)'
ORDER BY rank LIMIT ?
"""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A passage as the index has it."""

    path: str
    anchor: str
    title: str
    body: str
    snippet: str


class Index:
    """One connection, one query at a time.

    Args:
        path: the file; None for memory.

    Raises:
        sqlite3.Error: the file can't be opened or is no index.
        SettingsError: this Python's SQLite has no full-text search.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.OperationalError as exc:
            self._db.close()
            if "fts5" in str(exc):
                raise SettingsError("This Python's SQLite has no FTS5, which a corpus needs; use another.") from exc
            raise
        except BaseException:
            self._db.close()
            raise
        weakref.finalize(self, self._db.close)

    def _prepare(self) -> None:
        with self._writing():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                return
            for name in ("words", "passages", "documents"):
                self._db.execute(f"DROP TABLE IF EXISTS {name}")
            for statement in _statements(TABLES):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        """One transaction; another kernel that has one is waited for, and then its work is seen."""
        with self.lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def until(self, given_up: Callable[[], bool]) -> Generator[None]:
        """Queries inside raise sqlite3.OperationalError once `given_up` is true; those of other threads wait.

        Asked while a query runs, not `interrupt()`: that is lost if it comes a moment before the query begins.
        """
        with self.lock:
            self._db.set_progress_handler(given_up, 10_000)  # instructions of SQLite, about a millisecond
            try:
                yield
            finally:
                self._db.set_progress_handler(None, 0)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Everything that a query finds."""
        with self.lock:
            return self._db.execute(query, values).fetchall()

    def stamps(self) -> dict[str, str]:
        """Path → stamp of every document, those with a problem included."""
        return {str(path): str(stamp) for path, stamp in self.rows("SELECT path, stamp FROM documents")}

    def put(self, documents: Iterable[Document]) -> None:
        """Add documents, each in place of the one that had its path."""
        with self._writing():
            for document in documents:
                self._remove(document.path)
                values = (document.path, document.title, document.stamp, document.problem)
                add = "INSERT INTO documents (path, title, stamp, problem) VALUES (?, ?, ?, ?)"
                number = self._db.execute(add, values).lastrowid
                parts = [(number, part.anchor, document.title, part.text) for part in document.parts]
                self._db.executemany("INSERT INTO passages (document, anchor, title, body) VALUES (?, ?, ?, ?)", parts)

    def remove(self, paths: Iterable[str]) -> None:
        """Forget documents."""
        with self._writing():
            for path in paths:
                self._remove(path)

    def _remove(self, path: str) -> None:
        self._db.execute("DELETE FROM passages WHERE document = (SELECT id FROM documents WHERE path = ?)", (path,))
        self._db.execute("DELETE FROM documents WHERE path = ?", (path,))

    def counts(self) -> tuple[int, int]:
        """Documents that could be read, and passages."""
        ((documents,),) = self.rows("SELECT count(*) FROM documents WHERE problem = ''")
        ((passages,),) = self.rows("SELECT count(*) FROM passages")
        return int(str(documents)), int(str(passages))

    def problems(self) -> dict[str, str]:
        """Path → why the document could not be read."""
        found = self.rows("SELECT path, problem FROM documents WHERE problem != '' ORDER BY path")
        return {str(path): str(problem) for path, problem in found}

    def document(self, path: str, anchor: str = "") -> list[Row]:
        """The passages of a document, or of one page, cell or part of it, in order; none if there is no such."""
        query = f"{FOUND}, '' FROM documents d JOIN passages p ON p.document = d.id WHERE d.path = ?"
        rows = self.rows(
            query + (" AND p.anchor = ? ORDER BY p.id" if anchor else " ORDER BY p.id"), path, *[anchor] * bool(anchor)
        )
        return [_row(row) for row in rows]

    def search(self, query: str, count: int) -> list[Row]:
        """The best passages: those with all words first, then those with some, else those with the letters in them.

        No query is an error: what FTS5 would read as syntax separates words.
        """
        words = list(dict.fromkeys(re.findall(r"[^\W_]+", query.lower())))[:MAX_WORDS]
        if not words:
            return []
        quoted = [f'"{word}"' for word in words]
        found: dict[tuple[object, ...], Row] = {}
        for match in dict.fromkeys((" ".join(quoted), " OR ".join(quoted))):
            if len(found) < count:
                rows = self.rows(BY_WORDS, match, count * 4)
                found |= {row[:2]: _row(row) for row in rows if row[:2] not in found}
        return list(found.values())[:count] or self._holding(words, count)

    def _holding(self, words: list[str], count: int) -> list[Row]:
        """Passages that have the words inside longer ones, as in scripts without spaces; a scan of all text."""
        likes = " AND ".join(["p.body LIKE ?"] * len(words))
        query = f"{FOUND}, '' FROM passages p JOIN documents d ON d.id = p.document WHERE {likes} LIMIT ?"
        return [_row(row) for row in self.rows(query, *(f"%{word}%" for word in words), count)]


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would end the transaction."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _row(row: tuple[object, ...]) -> Row:
    path, anchor, title, body, snippet = map(str, row)
    return Row(path, anchor, title, body, snippet or body[:300])


async def off_loop(index: Index, work: Callable[[], T]) -> T:
    """Run `work`, which queries the index, in a thread; a cancellation interrupts its query and no other's."""
    given_up = threading.Event()

    def run() -> T:
        with index.until(given_up.is_set):
            return work()

    try:
        return await asyncio.to_thread(run)
    finally:
        given_up.set()
