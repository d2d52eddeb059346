"""Images of files and values as models take them: which kind, drawn as PNG, and scaled down where too large."""

from __future__ import annotations

import base64
import binascii
import io
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..errors import SettingsError

MAX_SIDE = 8_000  # pixels; Anthropic refuses more
MAX_PICTURE = 3_750_000  # bytes; Anthropic takes 5 MB of base64
SIDES = (4_000, 2_000, 1_000)  # pixels of the longer side to try; models scale what is above 1,500 to 2,600 themselves


@dataclass(frozen=True, slots=True)
class Picture:
    """An image's bytes, its media type, and what was done to it in words."""

    data: bytes
    media_type: str
    note: str = ""


def picture_type(data: bytes) -> str:
    """The media type of an image that models take, by its first bytes; empty if it is none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def drawn(value: object, name: str) -> bytes:
    """A figure or anything that shows itself as an image, as the bytes of one; nothing if it is neither.

    Raises:
        SettingsError: it fails to draw itself.
    """
    try:
        return _saved(value) or _shown_by_itself(value)
    except Exception as exc:
        raise SettingsError(f"{name} can't be drawn ({type(exc).__name__}: {exc}).") from exc


def _saved(value: object) -> bytes:
    """A matplotlib Figure, or that of an Axes, as PNG."""
    artist: Any = sys.modules.get("matplotlib.artist")  # no figure without it, and no import for its sake
    if artist is None or not isinstance(value, artist.Artist):
        return b""
    figure: Any = getattr(getattr(value, "figure", None), "figure", None)  # of a SubFigure the whole one
    if figure is None:
        return b""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _shown_by_itself(value: object) -> bytes:
    """What IPython would show: bytes, or base64 as its own Image gives, alone or with metadata."""
    for method in ("_repr_png_", "_repr_jpeg_"):
        draw = None if isinstance(value, type) else getattr(value, method, None)
        shown: object = draw() if callable(draw) else None
        if isinstance(shown, tuple):
            shown = cast("tuple[object, ...]", shown)[0]
        if isinstance(shown, str):
            try:
                shown = base64.b64decode(shown, validate=True)
            except binascii.Error:
                shown = None
        if isinstance(shown, bytes):
            return shown
    return b""


def fitted(data: bytes, name: str) -> Picture:
    """An image as it is, or scaled down where models would refuse it.

    Raises:
        SettingsError: it is damaged, or can't be scaled down far enough.
    """
    media_type = picture_type(data)
    try:
        from PIL import Image
    except ImportError:
        note = "it may be too large; with Pillow installed it would be scaled down" if len(data) > MAX_PICTURE else ""
        return Picture(data, media_type, note)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # twice as large is an error
            with Image.open(io.BytesIO(data)) as image:
                if max(image.size) <= MAX_SIDE and len(data) <= MAX_PICTURE:
                    return Picture(data, media_type)
                return next(_smaller(image, media_type))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, StopIteration) as exc:
        raise SettingsError(f"{name} is a damaged image, or one too large to be scaled down.") from exc


def _smaller(image: Any, media_type: str) -> Iterator[Picture]:
    """The image at smaller and smaller sizes, as far as it fits; a photograph, or what else is too large, as JPEG."""
    from PIL import ImageOps

    seen_through = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    forms = ("PNG",) if seen_through else ("JPEG",) if media_type == "image/jpeg" else ("PNG", "JPEG")
    upright = ImageOps.exif_transpose(image).convert("RGBA" if seen_through else "RGB")
    for side in SIDES:
        upright.thumbnail((side, side))
        for form in forms:
            buffer = io.BytesIO()
            upright.save(buffer, form)
            if buffer.tell() <= MAX_PICTURE:
                (width, height), (across, down) = image.size, upright.size
                note = f"scaled down from {width:,} × {height:,} to {across:,} × {down:,} pixels"
                yield Picture(buffer.getvalue(), f"image/{form.lower()}", note)
