"""What files and values of the notebook hold: an image, a PDF or text, by their bytes."""

from __future__ import annotations

import base64
import functools
import mimetypes
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from ..characters import plain
from ..errors import SettingsError, ToolError
from ..tools.pages import pdf_pages
from .pictures import drawn, fitted, picture_type
from .texts import frame_text, notebook_text

MAX_BYTES = 20_000_000  # of one attachment; Gemini takes 20 MB in a request, Anthropic 32 MB
MAX_TOTAL = 50_000_000  # bytes of all; more fills the kernel's memory once for each seat that sends it
MAX_TEXT = 200_000  # characters of one: about 50,000 tokens, a quarter of a usual context
KINDS = "an image (PNG, JPEG, GIF or WebP), a PDF or UTF-8 text"

Kind = Literal["image", "pdf", "text"]


@dataclass(frozen=True)
class Attachment:
    """Something to show to the panel.

    Attributes:
        name: of the file, without its folder, or of the variable.
        kind: image, pdf or text.
        media_type: as in HTTP, by what it holds; for text by its name.
        data: the bytes of an image or a PDF.
        text: of a text or a PDF; empty where there is none.
        note: what was done to it, in words; empty if nothing.
    """

    name: str
    kind: Kind
    media_type: str
    data: bytes = field(default=b"", repr=False)
    text: str = field(default="", repr=False)
    note: str = ""

    @functools.cached_property
    def data_url(self) -> str:
        """Its bytes as a data URL; one string for all seats."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


def attachments_of(values: Iterable[tuple[str, object]]) -> tuple[Attachment, ...]:
    """What (name, value) pairs hold, each under a name of its own; see `attachment_of`.

    Raises:
        SettingsError: one can't be attached, or all together are too large.
    """
    found: list[Attachment] = []
    for name, value in values:
        attachment = attachment_of(value, name)
        taken = [other.name for other in found]
        number = next(n for n in range(1, len(taken) + 2) if _numbered(attachment.name, n) not in taken)
        found.append(replace(attachment, name=_numbered(attachment.name, number)))
    total = sum(len(attachment.data) + len(attachment.text) for attachment in found)
    if total > MAX_TOTAL:
        raise SettingsError(
            f"The attachments hold {_megabytes(total)} MB, and {_megabytes(MAX_TOTAL)} MB can be sent; attach fewer."
        )
    return tuple(found)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def attachment_of(value: object, name: str = "") -> Attachment:
    """What a file or a value holds. It reads files and may take seconds for a PDF: call it off the event loop.

    Args:
        value: a path; bytes; an image (PIL, matplotlib's Figure or Axes, anything with `_repr_png_`); a DataFrame or
            Series of pandas or polars. A string is a path, or text if it comes with the name of its variable.
        name: what to call it; files keep their own name.

    Raises:
        SettingsError: it can't be read or is of no known kind.
    """
    if isinstance(value, str) and name:
        return _text(value, _shown(name))
    if isinstance(value, str | os.PathLike):
        return _file(os.fspath(value))
    called = _shown(name)
    if isinstance(value, bytes | bytearray | memoryview):
        return _known(bytes(cast("bytes", value)), called)
    if table := frame_text(value, MAX_TEXT, called):
        return _text(table.csv, called, table.note, "text/csv")
    if picture := drawn(value, called):
        return _known(picture, called)
    raise SettingsError(f"{called} is a {type(value).__name__}; attach a path, text, bytes, an image or a DataFrame.")


def _file(given: str | bytes) -> Attachment:
    path = Path(os.fsdecode(given)).expanduser()
    try:
        if not path.is_file():  # neither a folder nor a device that never ends
            what = "a folder; attach its files" if path.is_dir() else "no file"
            raise SettingsError(f"{os.fsdecode(given)!r} is {what}.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise SettingsError(f"{os.fsdecode(given)!r} can't be read ({exc.strerror}).") from exc
    return _known(data, _shown(path.name))


def _known(data: bytes, name: str) -> Attachment:
    """By its first bytes: an extension says what its writer wished."""
    if not data:
        raise SettingsError(f"{name} is empty.")
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{name} is larger than {_megabytes(MAX_BYTES)} MB; attach a smaller part of it.")
    if picture_type(data):
        picture = fitted(data, name)
        return Attachment(name, "image", picture.media_type, picture.data, note=picture.note)
    if b"%PDF-" in data[:1024]:  # where readers look for it
        return _pdf(data, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SettingsError(f"{name} is not {KINDS}; save it as one of these.")
    return _text(notebook_text(text) or text, name)


def _pdf(data: bytes, name: str) -> Attachment:
    try:
        pages = pdf_pages(data)
        note = "" if any(page.strip() for page in pages) else "no text in it"
    except ToolError as exc:  # a model that takes files may read it all the same
        pages, note = [], f"no text: {exc}".rstrip(".")
    whole = "\n\n".join(f"[page {number}]\n{page}" for number, page in enumerate(pages, 1) if page.strip())
    text, cut = _bounded(whole)
    return Attachment(name, "pdf", "application/pdf", data, text, note or cut)


def _text(text: str, name: str, note: str = "", media_type: str = "") -> Attachment:
    text, cut = _bounded(plain(text))
    if not text.strip():
        raise SettingsError(f"{name} is empty.")
    kind = media_type or mimetypes.guess_type(name)[0] or ""
    readable = kind.startswith("text/") or kind.endswith(("json", "xml"))
    return Attachment(name, "text", kind if readable else "text/plain", b"", text, note or cut)


def _bounded(text: str) -> tuple[str, str]:
    """(text within the limit, a note if it was cut)."""
    if len(text) <= MAX_TEXT:
        return text, ""
    return text[:MAX_TEXT], f"the first {MAX_TEXT:,} of {len(text):,} characters"


def _shown(name: str) -> str:
    """A name without a folder, and without what could end a tag or a line."""
    return re.sub(r"[<>\"\s]+", " ", plain(Path(name).name)).strip()[:100] or "attachment"


def _megabytes(size: int) -> int:
    return round(size / 1_000_000)
