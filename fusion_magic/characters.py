"""Cleans hostile text of the characters that hide, reorder or smuggle text, and escapes it for HTML."""

import html
import re

_ANSI = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)|[()][0-9A-Za-z])")
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters except tab and newline
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0"  # soft hyphen, fillers, Arabic letter mark
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, direction, invisible operators
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"  # musical controls, tags, variation selectors that carry data
)  # the zero-width joiners U+200C and U+200D stay: Persian and emoji are written with them
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """The text without terminal escapes and without characters that hide, reorder or smuggle text."""
    text = _LINE_BREAK.sub("\n", _ANSI.sub("", text))
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", text))


def escape(text: str) -> str:
    """A plain value (a model's name, an error, a title) for HTML content or a quoted attribute."""
    return html.escape(plain(text))
