"""Which sites a panel's tools may use: the user's lists of allowed and of blocked domains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

from ..errors import SettingsError, ToolError
from .addresses import host_of, parse


class Domains:
    """Two lists of domains; without any, every site may be used.

    An entry is a host with its subdomains ("example.org" is also www.example.org), or a host with the beginning of
    a path ("arxiv.org/abs/2602.11685"). Where in doubt both lists refuse: an allowed path must match in whole
    segments and as written; a blocked one is any beginning, whatever its case, escapes and doubled slashes.

    Args:
        allow: the only domains that may be used; empty for all.
        block: domains that may not be used, also where `allow` has them.

    Raises:
        SettingsError: an entry is no domain.
    """

    def __init__(self, allow: tuple[str, ...] = (), block: tuple[str, ...] = ()) -> None:
        self._allow = tuple(_entry(given) for given in allow)
        self._block = tuple(_entry(given) for given in block)

    def permits(self, url: str) -> bool:
        """Whether a web address may be used; what is no web address may not."""
        try:
            asked = parse(url)
        except ToolError:
            return False
        if self._is_blocked(asked):
            return False
        return not self._allow or any(entry.allows(asked) for entry in self._allow)

    def blocks(self, url: str) -> bool:
        """Whether an entry of the block list has this web address; what is none, no entry has."""
        try:
            return self._is_blocked(parse(url))
        except ToolError:
            return False

    def _is_blocked(self, url: httpx.URL) -> bool:
        return any(entry.blocks(url) for entry in self._block)


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    path: str  # without the last slash

    def _is_in(self, url: httpx.URL) -> bool:
        host = host_of(url)
        return host == self.host or host.endswith("." + self.host)

    def allows(self, url: httpx.URL) -> bool:
        path = _path(url)
        inside = (path + "/").startswith(self.path + "/")
        return self._is_in(url) and (not self.path or (inside and ".." not in unquote(path).split("/")))

    def blocks(self, url: httpx.URL) -> bool:
        return self._is_in(url) and _folded(_path(url)).startswith(_folded(self.path))


def _entry(given: str) -> _Entry:
    """A pasted address and a leading "*." are understood too."""
    text = given.strip()
    try:
        url = parse(text if "://" in text else "http://" + text.removeprefix("*."))
    except ToolError as exc:
        raise SettingsError(f"{given!r} is not a domain like example.org or example.org/path.") from exc
    if url.query:
        raise SettingsError(f"{given!r} has a query; a domain is like example.org or example.org/path.")
    return _Entry(host_of(url), _path(url).rstrip("/"))


def _path(url: httpx.URL) -> str:
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _folded(path: str) -> str:
    return re.sub(r"/+", "/", unquote(unquote(path))).casefold()
