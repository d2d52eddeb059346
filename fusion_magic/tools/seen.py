"""The addresses a seat may fetch: those it was shown, so that no page can make it send data in an address."""

from __future__ import annotations

import re
from itertools import islice

import httpx

from ..errors import ToolError
from .addresses import host_of, parse, port_of

MAX_LINKS = 500  # taken from one text: each one is a choice by which a hostile page might be told something
# Lookahead, since an archive's address has another one in it; both were shown.
_LINK = re.compile(r"(?=(https?://[^\s<>\"`\[\]{}|\\^]{1,4096}))", re.IGNORECASE)
_BARE = re.compile(  # "see example.org/report": no scheme, as people write
    r"(?<![\w@./:-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,5}[a-z]{2,24}(?:/[^\s<>\"`\[\]{}|\\^]{0,4096})?(?![\w@-])",
    re.IGNORECASE,
)
_Key = tuple[str, int, bytes]


class Seen:
    """The addresses of a prompt, of search results and of pages that were read.

    Args:
        unrestricted: allow every address, as `--url-policy any` does.
    """

    def __init__(self, *, unrestricted: bool = False) -> None:
        self.unrestricted = unrestricted
        self._keys: set[_Key] = set()

    def add(self, url: str) -> None:
        """Note an address; what is none is passed over."""
        if key := _key(url):
            self._keys.add(key)

    def add_text(self, text: str) -> None:
        """Note the addresses in a text, in Markdown links and bare, at most MAX_LINKS."""
        for match in islice(_LINK.finditer(text), MAX_LINKS):
            self.add(_trimmed(match[1]))
        for match in islice(_BARE.finditer(text), MAX_LINKS):
            self.add("https://" + _trimmed(match[0]))

    def allows(self, url: str) -> bool:
        """Whether an address may be fetched; its query must have been shown letter for letter."""
        return self.unrestricted or _key(url) in self._keys


def _key(url: str) -> _Key | None:
    """What makes two addresses the same page: not their fragment, nor whether it is http or https."""
    try:
        parsed = parse(url)
    except ToolError:
        return None
    return host_of(parsed), 443 if _is_default(parsed) else port_of(parsed), parsed.raw_path


def _is_default(url: httpx.URL) -> bool:
    return port_of(url) == (443 if url.scheme == "https" else 80)


def _trimmed(link: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket stays if it was opened inside."""
    end = len(link)
    opened, closed = link.count("("), link.count(")")
    while end and (link[end - 1] in ".,;:!?'*_~" or (link[end - 1] == ")" and closed > opened)):
        end -= 1
        closed -= link[end] == ")"
    if closed > opened:  # "[a](http://x.org/a),[b]…" and the like: what follows is not the address
        end = _balanced(link[:end])
    return link[:end]


def _balanced(link: str) -> int:
    depth = 0
    for place, letter in enumerate(link):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return place
    return len(link)
