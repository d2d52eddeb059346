"""Which network addresses a tool may reach: web addresses in one spelling, and only those that are public."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import httpx

from ..errors import ToolError

Resolve = Callable[[str, int], Awaitable[list[str]]]
MAX_URL = 4096  # characters; longer ones carry data rather than name a page
RESOLVE_TIME = 5.0  # seconds

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what inet_aton and browsers take for the end of an IPv4 address
# RFC 6761, 6762, 7686, 8375, 9476 and ICANN's .internal; the rest are what routers and offices use inside.
_INSIDE = (
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "alt",
    "invalid",
    "onion",
    "localdomain",
    "lan",
    "home",
    "corp",
)
# Where clouds hand credentials to whoever asks from inside. Most are not public anyway; Azure's first one is.
METADATA = frozenset[IPv4Address | IPv6Address](
    map(IPv4Address, ("168.63.129.16", "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42"))
).union(
    map(IPv4Address, ("100.100.100.200", "192.0.0.192")),
    map(IPv6Address, ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42")),
)
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # what a network without IPv4 resolves every IPv4 site to
_UNFIT = tuple(  # global in the registry or in older versions of Python, but no web site is there
    ipaddress.ip_network(net) for net in ("192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
)
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


def parse(url: str) -> httpx.URL:
    """A web address in one spelling: scheme and host in lower case and ASCII, no default port, no fragment.

    httpx reads it here and sends it later, so no second parser can see another host in it.

    Raises:
        ToolError: it is not an http or https address, or holds a user name.
    """
    url = url.strip()
    if len(url) > MAX_URL:
        raise ToolError(f"The address has more than {MAX_URL} characters.")
    try:
        parsed = httpx.URL(url)
        host, port = host_of(parsed).removesuffix("."), parsed.port
    except (httpx.InvalidURL, ValueError) as exc:
        raise ToolError(f"{url[:100]!r} is not a web address.") from exc
    if parsed.scheme not in ("http", "https"):
        raise ToolError(f"{url[:100]!r} is not an http or https address.")
    if parsed.userinfo:
        raise ToolError("An address with a user name or password is not fetched; leave out what stands before the @.")
    if not _is_host(host) or (port is not None and not 0 < port < 65_536):
        raise ToolError(f"{url[:100]!r} is not a web address.")
    return parsed.copy_with(host=IPv6Address(host).compressed if ":" in host else host, fragment=None)


def host_of(url: httpx.URL) -> str:
    """The host as it goes over the wire: ASCII, where httpx's own `host` shows other scripts."""
    return url.raw_host.decode("ascii")


def port_of(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_host(host: str) -> bool:
    if ":" in host:
        return "%" not in host  # a zone names a network card of this machine
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _is_ipv4(host)  # 127.1, 2130706433 and 0x7f.0.0.1 are what resolvers take for 127.0.0.1
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


async def public_addresses(
    url: httpx.URL, resolve: Resolve, trusted: frozenset[tuple[str, int]] = frozenset()
) -> list[str]:
    """The IP addresses of a parsed web address, every one of them public, in the resolver's order.

    Args:
        url: what `parse` returned.
        resolve: (host, port) → its addresses.
        trusted: (IP address, port) that need not be public; tests reach their servers by it.

    Raises:
        ToolError: the name is not known or is one of a local network, any of its addresses is not public, or the
            port is below 1024 and neither 80 nor 443: other services than the web listen there.
    """
    host, port = host_of(url), port_of(url)
    if port < 1024 and port not in (80, 443):
        raise ToolError(f"Port {port} is not fetched; web pages are at 80, 443 or from 1024 on.")
    found = [host] if _is_address(host) else await _resolved(host, port, resolve)
    for address in found:
        if (address, port) not in trusted and not is_public(address):
            raise ToolError(f"{host} is not a public address; only pages of the public web are fetched.")
    return found


async def _resolved(host: str, port: int, resolve: Resolve) -> list[str]:
    if "." not in host or any(host == name or host.endswith("." + name) for name in _INSIDE):
        raise ToolError(f"{host} is a name of a local network; only pages of the public web are fetched.")
    try:
        async with asyncio.timeout(RESOLVE_TIME):
            found = list(dict.fromkeys(await resolve(host, port)))
    except (OSError, UnicodeError, TimeoutError) as exc:
        raise ToolError(f"No server of the name {host} was found.") from exc
    if not found:
        raise ToolError(f"No server of the name {host} was found.")
    return found


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver gives for a name. Raises OSError if there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _is_address(host: str) -> bool:
    return ":" in host or _is_ipv4(host)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; one that hides an IPv4 address in IPv6 is not.

    The exception is NAT64's own prefix, which is as public as the address in it.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found in _NAT64:
        found = _embedded(found)
    if found in METADATA or any(found in net for net in _UNFIT):
        return False
    if isinstance(found, IPv6Address) and not _is_plain(found):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _is_plain(address: IPv6Address) -> bool:
    """Ordinary unicast, not a tunnel to an IPv4 address; some networks translate from a prefix of their own."""
    tunnel = address.packed[8:12] in _ISATAP or _embedded(address) in METADATA
    return address in _UNICAST and not tunnel and address.scope_id is None


def _embedded(address: IPv6Address) -> IPv4Address:
    return IPv4Address(address.packed[12:])
