"""What a page says: HTML, text, JSON, XML and PDF as text for a model, without what is hidden from readers.

Pages of strangers are read in a process of their own, `read_apart`: a hostile page of 4 MB kept a parser busy for three
minutes, and neither a thread nor C code can be stopped. `read_page` does the same in this process, for documents of the
user's own.
"""

from __future__ import annotations

import asyncio
import codecs
import mimetypes
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..characters import plain
from ..errors import ToolError
from . import _parsers, apart

READ_TIME = 20.0  # seconds for one page read apart; an article takes less than one
MAX_TITLE = 300
INSTALL = 'pip install "fusion-magic[web]"'

_KINDS = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/xml": "xml",
    "text/xml": "xml",
}
_UNKNOWN = ("", "application/octet-stream", "binary/octet-stream")
_META = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})|<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]+)"
)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# No web page is written in these, and punycode decodes in quadratic time. Latin-1 means cp1252 on the web.
_NO_CHARSETS = ("punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7", "iso8859-1", "ascii", "undefined")
_SCRIPT = "\u0300-\ufe0f\ufe10-\U000dffff"  # what may need a joiner beside it: neither ASCII nor Latin letters
_JOINERS = re.compile(
    f"(?<![{_SCRIPT}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_SCRIPT}])|[\u200c\u200d]{{2,}}"
    "|[\ufe00-\ufe0e\u180b-\u180f]|(?<=\ufe0f)\ufe0f+"
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a model reads it.

    Attributes:
        title: its title, empty where it has none.
        text: Markdown for HTML, text with "[page N]" marks for PDF, the rest as it is.
        kind: html, text, json, xml or pdf.
    """

    title: str
    text: str
    kind: str


def clean(text: str) -> str:
    """Text without characters that hide or smuggle text.

    Zero-width joiners stay where a script needs them: one, between two characters that are not Latin.
    """
    return _JOINERS.sub("", plain(text))


def kind_of(content_type: str, url: str) -> str:
    """html, text, json, xml or pdf, from a Content-Type, and from the address where that says nothing.

    Raises:
        ToolError: it is of another kind.
    """
    name = content_type.partition(";")[0].strip().lower()
    if name in _UNKNOWN:
        guessed = mimetypes.guess_type(urlsplit(url).path)[0]
        name = guessed or name or "text/html"
    if name in _KINDS:
        return _KINDS[name]
    if name.startswith("text/"):
        return "text"
    if name.startswith("application/") and name.endswith(("+json", "+xml")):
        return name.rpartition("+")[2]
    raise ToolError(
        f"The page is of type {clean(name)[:80]}, which can't be read; only text, HTML, JSON, XML and PDF can."
    )


def read_page(data: bytes, content_type: str, url: str) -> Page:
    """Read a document of the user's own, in this thread.

    Args:
        data: its bytes.
        content_type: as in HTTP, charset included; may be empty.
        url: its address, for relative links and for the kind where the type is empty.

    Raises:
        ToolError: it can't be read, and why; a parser is not installed.
    """
    kind = _kind(data, content_type, url)
    try:
        if kind == "pdf":
            title, text = _parsers.pdf_text(data, float("inf"))
        elif kind == "html":
            title, text = _parsers.html(decode(data, content_type), url)
        else:
            title, text = "", _parsers.cut(decode(data, content_type))
    except (ImportError, ValueError, RecursionError) as exc:
        raise _unreadable(kind, exc) from exc
    return _page(title, text, kind)


def pdf_pages(data: bytes) -> list[str]:
    """The text of each page of a PDF.

    Raises:
        ToolError: it is damaged or locked, or pypdf is not installed.
    """
    try:
        return [clean(page) for page in _parsers.pdf(data)[1]]
    except (ImportError, ValueError) as exc:
        raise _unreadable("pdf", exc) from exc


async def read_apart(data: bytes, content_type: str, url: str, seconds: float = READ_TIME) -> Page:
    """Read a page of a stranger: `read_page` with limits of time and memory, in a process that a cancellation ends.

    Raises:
        ToolError: as `read_page`, or the page took too long.
    """
    kind = _kind(data, content_type, url)
    if kind not in ("html", "pdf"):
        return await asyncio.to_thread(read_page, data, content_type, url)
    if kind == "html":
        data = (await asyncio.to_thread(decode, data, content_type)).encode("utf-8", "replace")
    try:
        async with asyncio.timeout(seconds):
            told = await apart.told(kind, url, data)
    except TimeoutError as exc:
        raise ToolError("The page was too costly to read and was given up.") from exc
    if missing := told.get("missing"):
        raise _unreadable(kind, ImportError(name=str(missing)))
    if "text" not in told:
        raise _unreadable(kind, ValueError(told.get("error")))
    return await asyncio.to_thread(_page, str(told["title"]), str(told["text"]), kind)


def _kind(data: bytes, content_type: str, url: str) -> str:
    kind = kind_of(content_type, url)
    if b"%PDF-" in data[:1024] and kind in ("html", "text"):
        return "pdf"  # servers that know no PDF call it text
    return kind


def _page(title: str, text: str, kind: str) -> Page:
    text = clean(text).strip()
    if not re.sub(r"\[page \d+\]|\s", "", text):
        scanned = " It may hold only pictures of text." if kind == "pdf" else ""
        raise ToolError(f"The page holds no text that can be read.{scanned}")
    return Page(clean(title)[:MAX_TITLE].strip(), text, kind)


def _unreadable(kind: str, exc: Exception) -> ToolError:
    if isinstance(exc, ImportError):
        return ToolError(f"{kind.upper()} can't be read here: {exc.name} is missing; {INSTALL} installs it.")
    if str(exc) == "locked":
        return ToolError("The PDF is locked by a password.")
    return ToolError(f"The {kind.upper()} is damaged or too complex to read.")


def decode(data: bytes, content_type: str) -> str:
    """The text of bytes, by their mark, the charset of the Content-Type, or what HTML and XML say at their beginning.

    Raises:
        ToolError: they are no text.
    """
    charset = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _charset(data, content_type)
    if charset is None and b"\0" in data[:1024] and not data.lstrip().startswith(b"<"):
        raise ToolError("The page is not text, whatever its type says.")
    if charset is not None:
        return data.decode(charset, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Mostly UTF-8 with a broken place, or the oldest charset of the web.
        text = data.decode(errors="replace")
        return text if text.count("\ufffd") * 50 < len(text) else data.decode("cp1252", "replace")


def _charset(data: bytes, content_type: str) -> str | None:
    told = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", content_type, re.IGNORECASE)
    meta = _META.search(data[:2048])
    for name in (told and told[1], meta and (meta[1] or meta[2]).decode("ascii", "replace")):
        try:
            found = codecs.lookup(name).name if name else None
            if found and found not in _NO_CHARSETS and b" ".decode(found, "replace"):  # "zip" is no charset
                return found
        except (LookupError, ValueError):
            pass
    return None
