"""Reads HTML and PDF into plain values.

Standard library, trafilatura with lxml, and pypdf only, so that `pages_child.py` need not import this package.
"""

from __future__ import annotations

import importlib
import io
import re
import time
from collections.abc import Iterator
from typing import Any

MAX_TEXT = 1_000_000  # characters of one page: forty readings of what a model gets at a time
MAX_TITLE = 10_000  # of which a model gets the beginning
MAX_ELEMENTS = 40_000  # of a page that is searched for its article, which takes up to 0.2 ms for each
PDF_TIME = 8.0  # seconds; the pages read until then are what there is
LEFT_OUT = "[The rest was left out.]"

_GONE = ("script", "style", "template", "noscript")
_ESCAPE = re.compile(r"/\*.*?\*/|\\([0-9a-f]{1,6})\s?", re.DOTALL)  # in CSS
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|content-visibility\s*:\s*hidden"
    r"|opacity\s*:\s*0?(?:\.0\d*)?%?\s*(?:!|;|$)"
    r"|font-size\s*:\s*(?:[01]?(?:\.\d+)?(?:px|pt)|0*(?:\.0\d*)?[a-z%]*)\s*(?:!|;|$)|font\s*:[^;]*\b0(?:px|pt)?[\s/]"
    r"|(?:left|top|right|bottom|text-indent|margin[a-z-]*)\s*:\s*-\d{3}|translate[xy]?\(\s*-\d{3}"
    r"|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0)"
    r"|scale\(\s*0\s*\)|(?:^|;)\s*(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*(?:!|;|$)"
    r"|(?:^|;)\s*color\s*:\s*transparent"
)


def html(data: str, url: str) -> tuple[str, str]:
    """(title, text as Markdown) of a page; what its markup hides from readers is removed first.

    Raises:
        ImportError: trafilatura is missing.
        ValueError: there is nothing to read.
    """
    trafilatura: Any = importlib.import_module("trafilatura")
    lxml_html: Any = importlib.import_module("lxml.html")
    # Its default limit on nesting stays: what lies deeper than 256 elements is left out.
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        tree = lxml_html.document_fromstring(data.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except lxml_html.etree.LxmlError as exc:
        raise ValueError("no HTML") from exc
    title = _squeezed(tree.findtext(".//title") or "")
    elements = list(tree.iter())
    hidden = [element for element in elements if _is_hidden(element)]
    for element in hidden:
        element.clear(keep_tail=True)  # dropping each would join their tails, in quadratic time
    if len(elements) > MAX_ELEMENTS:
        return title, cut(_words(tree))
    plain = _words(tree)  # before the extraction, which may change the tree
    found = trafilatura.extract(
        tree, url=url or None, output_format="markdown", include_links=True, include_tables=True
    )
    return title, cut(found or plain)


def _is_hidden(element: Any) -> bool:
    if element.tag in _GONE or "hidden" in element.attrib or element.get("aria-hidden", "").strip().lower() == "true":
        return True
    style = element.get("style")
    if not style:
        return False
    return _HIDING.search(_ESCAPE.sub(_unescaped, style[:10_000].lower())) is not None


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 0
    return chr(code).lower() if 0 < code < 0x110000 else ""


def _words(tree: Any) -> str:
    """The text of the body, a line for each piece."""
    body = tree.find("body")
    pieces = (_squeezed(piece) for piece in (tree if body is None else body).itertext())
    return "\n".join(piece for piece in pieces if piece)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n\n{LEFT_OUT}"


def pdf(data: bytes) -> tuple[str, Iterator[str]]:
    """(title, the text of each page) of a PDF; a page that can't be read is empty.

    Raises:
        ImportError: pypdf is missing.
        ValueError: it is damaged, or locked by a password.
    """
    pypdf: Any = importlib.import_module("pypdf")
    errors: Any = importlib.import_module("pypdf.errors")

    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("locked")
        about: Any = reader.metadata or {}
        title = _squeezed(str(about.get("/Title") or ""))
        count = len(reader.pages)
    except errors.DependencyError as exc:
        raise ValueError("locked") from exc
    except (errors.PyPdfError, RecursionError, *_DAMAGE) as exc:
        raise ValueError("locked" if str(exc) == "locked" else "damaged") from exc
    return title, (_pdf_page(reader, number) for number in range(count))


_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError, AssertionError, OverflowError, OSError)


def _pdf_page(reader: Any, number: int) -> str:
    try:
        return reader.pages[number].extract_text()
    except Exception:  # pypdf raises whatever the damage leads to; the other pages may be whole
        return ""


def pdf_text(data: bytes, seconds: float) -> tuple[str, str]:
    """(title, text with a mark before each page) of as many pages as can be read in that time."""
    title, pages = pdf(data)
    ending = time.monotonic() + seconds
    parts: list[str] = []
    length = 0
    for number, page in enumerate(pages, 1):
        parts.append(f"[page {number}]\n{page.strip()}")
        length += len(parts[-1])
        if length > MAX_TEXT or time.monotonic() > ending:
            parts.append(LEFT_OUT)
            break
    return title, cut("\n\n".join(parts))


def told(kind: str, url: str, data: bytes) -> dict[str, str]:
    """What a process that reads a page answers: `title` and `text`, or the `missing` parser, or the `error`."""
    try:
        title, text = pdf_text(data, PDF_TIME) if kind == "pdf" else html(data.decode(), url)
    except ImportError as exc:
        return {"missing": exc.name or "trafilatura"}
    except ValueError as exc:
        return {"error": str(exc)}
    return {"title": title[:MAX_TITLE], "text": text}
