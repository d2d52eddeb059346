"""Fetches pages of the public web: checked and pinned addresses, redirects by hand, limits on bytes and time."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import httpx

from ..errors import ToolError
from .addresses import Resolve, host_of, parse, public_addresses, system_resolve
from .apart import prepare
from .domains import Domains
from .pages import Page, kind_of, read_apart

if TYPE_CHECKING:
    from .kept import Kept

MAX_BYTES = 5_000_000  # of a body, before and after decompression
MAX_PDF = 20_000_000  # of a PDF: papers with figures are often larger than 5 MB
MAX_REDIRECTS = 5
FETCH_TIME = 20.0  # seconds for one page, redirects and slow bodies included
CONNECT_TIME = 5.0  # seconds for each address of a host
MAX_ADDRESSES = 3  # of one host that are tried
KEPT = 32  # pages kept for paging; each has up to a million characters
READERS = 2  # pages read at once; each reader is a process

HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; fusion-magic; +https://github.com/fusion-magic/fusion_magic)",
    "Accept": "text/markdown, text/html;q=0.9, application/xhtml+xml;q=0.9, text/plain;q=0.8, */*;q=0.5",
    "Accept-Encoding": "gzip, identity",  # others expand thousandfold in a step that can't be bounded
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body as it came, decompressed.

    Attributes:
        url: the address that was asked for.
        final_url: where redirects led.
        content_type: as the server named it; may be empty.
        data: at most MAX_BYTES, or MAX_PDF.
    """

    url: str
    final_url: str
    content_type: str
    data: bytes


@dataclass(slots=True)
class _Reading:
    """A page on its way, for everyone who waits for it."""

    task: asyncio.Task[tuple[str, Page]]
    waiting: int = field(default=0)


class Fetcher:
    """Fetches pages for all seats of a run, each page once. Close it with `aclose`.

    Nothing of the user is sent: no cookies, no credentials, no proxy of the environment, which would connect to
    addresses that were not checked. Certificates are verified, by SSL_CERT_FILE where that is set.

    Args:
        domains: the sites that may be used, checked at every redirect.
        resolve: (host, port) → addresses; the system's resolver by default.
        trusted: (IP address, port) that need not be public. Only tests have some.
        seconds: for one page, redirects and slow bodies included.
        kept: pages of earlier runs, and where those of this one go.
    """

    def __init__(
        self,
        domains: Domains,
        *,
        resolve: Resolve = system_resolve,
        trusted: frozenset[tuple[str, int]] = frozenset(),
        seconds: float = FETCH_TIME,
        kept: Kept | None = None,
    ) -> None:
        self._store = kept
        self._domains, self._resolve, self._trusted, self._seconds = domains, resolve, trusted, seconds
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._opening = asyncio.Lock()
        self._readers = asyncio.Semaphore(READERS)
        self._readings: dict[str, _Reading] = {}
        self._kept: dict[str, tuple[str, Page]] = {}

    async def aclose(self) -> None:
        """Stop what runs and close every connection."""
        running = [reading.task for reading in self._readings.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._transport:
            await self._transport.aclose()

    async def page(self, url: str) -> tuple[str, Page]:
        """(address where it was found, page). Who asks for a page that is being fetched waits for that one.

        Raises:
            ToolError: it can't be fetched or read, and why.
        """
        key = str(parse(url))
        if key in self._kept:
            return self._kept[key]
        reading = self._readings.get(key)
        if reading is None:
            # A task of its own: it belongs to several seats and ends with the last of them.
            reading = self._readings[key] = _Reading(asyncio.create_task(self._read(key)))
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if not reading.waiting:
                if self._readings.get(key) is reading:
                    del self._readings[key]
                reading.task.cancel()
                await asyncio.wait((reading.task,))

    async def _read(self, url: str) -> tuple[str, Page]:
        self._kept[url] = await self._from_store(url) or await self._from_web(url)
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return self._kept[url]

    async def _from_web(self, url: str) -> tuple[str, Page]:
        prepare()
        fetched = await self.get(url)
        async with self._readers:
            page = await read_apart(fetched.data, fetched.content_type, fetched.final_url)
        if self._store:
            self._store.put(f"page {url}", [fetched.final_url, asdict(page)])
        return fetched.final_url, page

    async def _from_store(self, url: str) -> tuple[str, Page] | None:
        """A page of an earlier run, unless the sites that may be used are others now."""
        found = await self._store.get(f"page {url}") if self._store else None
        if found is None or not all(map(self._domains.permits, (url, found[0]))):
            return None
        return found[0], Page(**found[1])

    async def get(self, url: str) -> Fetched:
        """Fetch a body.

        Raises:
            ToolError: the address is refused, no server answers well, or a limit is passed.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url)
        except TimeoutError as exc:
            raise ToolError(f"The page did not come within {self._seconds:g} seconds.") from exc

    async def _follow(self, asked: str) -> Fetched:
        url = parse(asked)
        for _ in range(MAX_REDIRECTS + 1):
            if not self._domains.permits(str(url)):
                raise ToolError(f"{host_of(url)} is not among the domains that may be used here.")
            addresses = await public_addresses(url, self._resolve, self._trusted)
            try:
                async with aclosing(await self._send(url, addresses)) as response:
                    if target := _redirect(url, response):
                        url = target
                        continue
                    return await _received(asked, url, response)
            except httpx.HTTPError as exc:
                raise ToolError(_failure(url, exc)) from exc
        raise ToolError(f"The page redirects more than {MAX_REDIRECTS} times.")

    async def _send(self, url: httpx.URL, addresses: list[str]) -> httpx.Response:
        """Ask the host at one of the addresses that were checked; no name is looked up again."""
        transport = await self._opened()
        timeouts = {"connect": CONNECT_TIME, "read": FETCH_TIME, "write": FETCH_TIME, "pool": FETCH_TIME}
        *others, last = addresses[:MAX_ADDRESSES]
        for address in others:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await transport.handle_async_request(_request(url, address, timeouts))
        return await transport.handle_async_request(_request(url, last, timeouts))

    async def _opened(self) -> httpx.AsyncHTTPTransport:
        """The transport alone, as a client would keep cookies.

        A connection kept open is known by its IP address, and would be used for another host of that address whose
        certificate was never checked; so none is.
        """
        async with self._opening:
            if self._transport is None:
                verify = await asyncio.to_thread(httpx.create_ssl_context)  # 0.2 s to read all certificates
                limits = httpx.Limits(max_keepalive_connections=0)
                self._transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits)
        return self._transport


def _request(url: httpx.URL, address: str, timeouts: dict[str, float]) -> httpx.Request:
    headers = {"Host": url.netloc.decode("ascii"), **HEADERS}
    # The name that TLS asks for and checks the certificate against.
    extensions = {"sni_hostname": host_of(url), "timeout": timeouts}
    return httpx.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)


def _redirect(url: httpx.URL, response: httpx.Response) -> httpx.URL | None:
    """Where a response leads on, or None."""
    location = response.headers.get("location")
    if response.status_code not in (301, 302, 303, 307, 308) or not location:
        return None
    try:
        return parse(str(url.join(location)))
    except (httpx.InvalidURL, ValueError) as exc:
        raise ToolError(f"{host_of(url)} redirects to what is not a web address.") from exc


async def _received(asked: str, url: httpx.URL, response: httpx.Response) -> Fetched:
    status = response.status_code
    if not 200 <= status < 300:
        reason = httpx.codes.get_reason_phrase(status)
        raise ToolError(f"{host_of(url)} answered {status} {reason}".rstrip() + ".")
    content_type = response.headers.get("content-type", "")
    kind = kind_of(content_type, str(url))  # refuses what can't be read before it is downloaded
    return Fetched(asked, str(url), content_type, await _body(response, MAX_PDF if kind == "pdf" else MAX_BYTES))


async def _body(response: httpx.Response, most: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise ToolError("The page is compressed in a way that was not asked for.")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in encoding else None
    received, data = 0, bytearray()
    _check_size(int(response.headers.get("content-length") or 0), most)
    async for chunk in response.aiter_raw():
        received += len(chunk)
        try:
            # One byte past the limit shows that there is more, however much that is.
            data += unpack.decompress(chunk, most + 1 - len(data)) if unpack else chunk
        except zlib.error as exc:
            raise ToolError("The page is damaged: its compression can't be undone.") from exc
        _check_size(max(received, len(data)), most)
    return bytes(data)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ToolError(f"The page is larger than {most // 1_000_000} MB.")


def _failure(url: httpx.URL, exc: httpx.HTTPError) -> str:
    """One sentence that tells nothing of this machine."""
    host = host_of(url)
    match exc:
        case httpx.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            return f"The certificate of {host} can't be verified."
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"{host} can't be reached."
        case httpx.TimeoutException():
            return f"{host} stopped answering."
        case _:
            return f"{host} broke off its answer, or did not answer in HTTP."
