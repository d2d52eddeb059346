"""Documents of a corpus: files and rows as titled text, cut into passages that can be cited."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SettingsError, ToolError
from ..providers.json_values import as_list, as_object, as_text
from .pages import clean, pdf_pages, read_page

MAX_FILE = 20_000_000  # bytes
PASSAGE = 1_500  # characters: some paragraphs, so that bm25 ranks what is said in one place
HTML = frozenset({".html", ".htm", ".xhtml"})


@dataclass(frozen=True, slots=True)
class Part:
    """A passage. Several may share an anchor, as those of one page do: "page=3", "cell=7", "part=2"."""

    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """What one file or row holds.

    Attributes:
        path: its name in the corpus: a path with `/`, or an id.
        title: what it calls itself, or the name of its file.
        parts: its passages, in order; none if it could not be read.
        stamp: changes when the file does.
        problem: why it could not be read, in a few words; empty if it was.
    """

    path: str
    title: str
    parts: tuple[Part, ...] = ()
    stamp: str = ""
    problem: str = ""

    @property
    def size(self) -> int:
        """Characters, and something for an empty one: many of them are much too."""
        return 1_000 + sum(len(part.text) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder: path in the corpus → stamp, and those that are left out → why."""

    files: dict[str, str]
    skipped: dict[str, str]


def list_folder(root: Path, glob: str) -> Listing:
    """The files below `root` that match. Hidden files, links out of the folder and what is too large are left out.

    Raises:
        SettingsError: the pattern is not one of files below the folder.
    """
    listing = Listing({}, {})
    try:
        for path in sorted(root.glob(glob)):
            _list(path, root, listing)
    except (ValueError, NotImplementedError) as exc:
        raise SettingsError(f'"{glob}" is not a pattern of files in a folder, such as "**/*.md".') from exc
    return listing


def _list(path: Path, root: Path, listing: Listing) -> None:
    name = path.relative_to(root)
    if hidden := next((number for number, part in enumerate(name.parts, 1) if part.startswith(".")), 0):
        listing.skipped["/".join(name.parts[:hidden])] = "hidden"
        return
    try:
        name.as_posix().encode()
        inside = path.resolve().is_relative_to(root)
        status = path.stat()
    except (OSError, RuntimeError, UnicodeEncodeError):  # gone, forbidden, a link in a circle, a name in no encoding
        listing.skipped[repr(name.as_posix())[1:-1]] = "unreadable"
        return
    if not inside:
        listing.skipped[name.as_posix()] = "a link out of the folder"
    elif stat.S_ISREG(status.st_mode):
        if status.st_size > MAX_FILE:
            listing.skipped[name.as_posix()] = "larger than 20 MB"
        else:
            listing.files[name.as_posix()] = f"{status.st_mtime_ns}:{status.st_size}"
    elif not stat.S_ISDIR(status.st_mode):
        listing.skipped[name.as_posix()] = "no file"  # reading a pipe would wait for ever


def read_file(root: Path, name: str, stamp: str) -> Document:
    """A file as a document; what can't be read has a `problem` instead of parts."""
    path = root / name
    stem = line(path.stem)
    try:
        title, parts = _parts(_bytes(path), path)
    except ToolError as exc:
        lacking = isinstance(exc.__cause__, ImportError)  # once it is installed the file is to be read
        return Document(name, stem, stamp="" if lacking else stamp, problem=str(exc).rstrip("."))
    except OSError as exc:
        return Document(name, stem, problem=f"unreadable ({exc.strerror})")
    except Exception as exc:  # a parser that trips over one file must not cost the others
        return Document(name, stem, stamp=stamp, problem=f"unreadable ({type(exc).__name__})")
    return Document(name, title or stem, tuple(parts), stamp, "" if parts else "no text in it")


def _bytes(path: Path) -> bytes:
    """The file's bytes; it may have grown since it was listed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ToolError("larger than 20 MB")
    return data


def _parts(data: bytes, path: Path) -> tuple[str, list[Part]]:
    suffix = path.suffix.lower()
    if suffix == ".pdf" or data.startswith(b"%PDF-"):
        pages = enumerate(pdf_pages(data), 1)
        return "", [part for number, page in pages for part in _sharing(f"page={number}", page)]
    if suffix == ".ipynb":
        return _notebook(data)
    if suffix in HTML:
        page = read_page(data, "text/html", path.name)
        return line(page.title), numbered(page.text)
    text = _decoded(data)
    heading = re.search(r"^#[ \t]+(\S.*)$", text[:5_000], re.M) if suffix in (".md", ".markdown") else None
    return line(heading[1]) if heading else "", numbered(text)


def _sharing(anchor: str, text: str) -> list[Part]:
    """The passages of a page or cell, which is cited as a whole."""
    return [Part(anchor, passage) for passage in passages(clean(text))]


def numbered(text: str) -> list[Part]:
    """The passages of a text, each cited by its number from 1."""
    return [Part(f"part={number}", passage) for number, passage in enumerate(passages(clean(text)), 1)]


def line(text: str) -> str:
    """A title: cleaned, on one line, and not long; names of files can hold anything."""
    return " ".join(clean(text).split())[:300]


def _decoded(data: bytes) -> str:
    """The text of a file that names no encoding: UTF-8, UTF-16 with its mark, else Windows' Western one.

    Raises:
        ToolError: it is not text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data[:100_000]):
        raise ToolError("not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _notebook(data: bytes) -> tuple[str, list[Part]]:
    """Cells counted from 1, each with its source and the text of its outputs; the title is the first heading."""
    try:
        cells = as_list(as_object(json.loads(data)).get("cells"))
    except (ValueError, RecursionError) as exc:
        raise ToolError("not a notebook") from exc
    parts: list[Part] = []
    title = ""
    for number, cell in enumerate(map(as_object, cells), 1):
        source = _joined(cell.get("source"))
        if not title and cell.get("cell_type") == "markdown" and (heading := re.match(r"\s*#[ \t]+(\S.*)", source)):
            title = line(heading[1])
        outputs = (_output(as_object(output)) for output in as_list(cell.get("outputs")))
        parts += _sharing(f"cell={number}", "\n\n".join(filter(None, (source, *outputs))))
    return title, parts


def _output(output: dict[str, Any]) -> str:
    data = as_object(output.get("data"))
    shown = _joined(data.get("text/markdown")) or _joined(data.get("text/plain"))
    error = ": ".join(filter(None, (as_text(output.get("ename")), as_text(output.get("evalue")))))
    return _joined(output.get("text")) or shown or error


def _joined(value: object) -> str:
    """nbformat's multiline string: a text, or a list of its lines."""
    return "".join(map(as_text, as_list(value))) or as_text(value)


def passages(text: str) -> Iterator[str]:
    """Pieces of at most `PASSAGE` characters, cut between paragraphs where that can be."""
    together: list[str] = []
    length = 0
    for block in _blocks(text):
        if together and length + len(block) > PASSAGE:
            yield "\n\n".join(together)
            together, length = [], 0
        together.append(block)
        length += len(block) + 2
    if together:
        yield "\n\n".join(together)


def _blocks(text: str) -> Iterable[str]:
    """Paragraphs; a long one is cut at the end of a line, a sentence or a word."""
    for paragraph in re.split(r"\n[ \t]*\n\s*", text):
        begin, end = 0, len(paragraph)
        while end - begin > PASSAGE:
            cut = _cut(paragraph, begin)
            if piece := paragraph[begin:cut].strip():
                yield piece
            begin = cut
        if rest := paragraph[begin:].strip():
            yield rest


def _cut(text: str, begin: int) -> int:
    """Where to cut a piece that begins there: late in its second half, at the best border."""
    end, half = begin + PASSAGE, begin + PASSAGE // 2
    borders = (text.rfind(border, half, end) + len(border) for border in ("\n", ". ", "。", " "))
    return next((cut for cut in borders if cut > half), end)
