"""The fetcher connects where it checked, follows no redirect it has not checked, and leaves when it is told."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools.domains import Domains
from fusion_magic.tools.fetch import MAX_REDIRECTS, Fetched, Fetcher
from servers.pages import Reply, Site, redirect

TIDES = Reply(b"tides", "text/plain")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({"/tides": TIDES}) as running:
        yield running


@asynccontextmanager
async def fetching(site: Site, domains: Domains | None = None, **more: Any) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(domains or Domains(), trusted=more.pop("trusted", site.trusted), **more)
    try:
        yield fetcher
    finally:
        await fetcher.aclose()


def get(site: Site, url: str, domains: Domains | None = None, **more: Any) -> Fetched:
    async def run() -> Fetched:
        async with fetching(site, domains, **more) as fetcher:
            return await fetcher.get(url)

    return asyncio.run(run())


def names(*answers: list[str]) -> Callable[[str, int], Any]:
    """A resolver that gives each answer in turn, the last one for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def test_a_body_comes_with_its_type_and_where_it_was_found(site):
    site.replies["/old"] = redirect("tides")

    fetched = get(site, site.url("/old"))

    assert fetched == Fetched(site.url("/old"), site.url("/tides"), "text/plain", b"tides")


def test_the_name_is_sent_as_host_and_nothing_of_the_user_goes_along(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    get(site, site.url("/tides", "site.example"), resolve=names(["127.0.0.1"]))

    (request,) = site.requests
    assert request.headers["host"] == f"site.example:{site.port}"
    assert request.headers["accept"].startswith("text/markdown, text/html;q=0.9")
    assert set(request.headers) == {"host", "user-agent", "accept", "accept-encoding"}


def test_a_cookie_is_never_sent_back(site):
    site.replies["/set"] = Reply(status="302 Found", headers=(("Location", "/tides"), ("Set-Cookie", "id=1; Path=/")))

    get(site, site.url("/set"))

    assert ["cookie" in request.headers for request in site.requests] == [False, False]


def test_a_name_that_changes_its_address_is_asked_where_it_was_checked(site):
    resolve = names(["127.0.0.2"], ["127.0.0.1"])
    with ExitStack() as stack:
        try:
            other = stack.enter_context(Site({"/tides": TIDES}, "127.0.0.2", site.port))
        except OSError:
            pytest.skip("127.0.0.2 is not an address of this machine")

        get(site, site.url("/tides", "rebinding.example"), resolve=resolve, trusted=other.trusted)
        with pytest.raises(ToolError, match="not a public address"):
            get(site, site.url("/tides", "rebinding.example"), resolve=resolve, trusted=other.trusted)

    assert (other.asked, site.asked) == (["/tides"], [])


def test_a_redirect_to_the_same_name_is_resolved_and_checked_again(site):
    site.replies["/again"] = redirect("/tides")

    with pytest.raises(ToolError, match="not a public address"):
        get(site, site.url("/again", "rebinding.example"), resolve=names(["127.0.0.1"], ["10.0.0.1"]))

    assert site.asked == ["/again"]


@pytest.mark.parametrize("order", [("127.0.0.3", "127.0.0.1"), ("127.0.0.1", "127.0.0.3")])
def test_the_next_address_of_a_host_is_tried_when_one_refuses(site, order):
    with socket.socket() as closed:  # bound but not listening: a connection is refused
        try:
            closed.bind(("127.0.0.3", site.port))
        except OSError:
            pytest.skip("127.0.0.3 is not an address of this machine")

        trusted = site.trusted | {("127.0.0.3", site.port)}
        url = site.url("/tides", "two.example")
        fetched = get(site, url, resolve=names(list(order)), trusted=trusted)

    assert fetched.data == b"tides"


def test_without_trust_the_loopback_server_is_not_asked(site):
    with pytest.raises(ToolError, match="not a public address"):
        get(site, site.url("/tides"), trusted=frozenset())

    assert site.asked == []


@pytest.mark.parametrize("path", ["/tides", "/there"])
def test_a_blocked_domain_is_not_asked_directly_nor_by_redirect(site, path):
    site.replies["/there"] = redirect(site.url("/tides", "blocked.example"))
    host = "blocked.example" if path == "/tides" else "open.example"

    with pytest.raises(ToolError, match=r"^blocked\.example is not among"):
        get(site, site.url(path, host), Domains(block=("blocked.example",)), resolve=names(["127.0.0.1"]))

    assert "/tides" not in site.asked


def test_redirects_end_after_five(site):
    site.replies["/loop"] = redirect("/loop")

    with pytest.raises(ToolError, match="redirects more than 5 times"):
        get(site, site.url("/loop"))

    assert site.asked == ["/loop"] * (MAX_REDIRECTS + 1)


def test_an_error_status_is_told_by_its_number_and_name(site):
    with pytest.raises(ToolError, match=r"^127\.0\.0\.1 answered 404 Not Found\.$"):
        get(site, site.url("/missing"))


def test_a_server_that_is_not_there_is_told_in_one_sentence(site):
    with Site() as gone:
        pass

    with pytest.raises(ToolError, match=r"^127\.0\.0\.1 can't be reached\.$"):
        get(gone, gone.url("/"))


def test_a_type_that_cannot_be_read_is_refused_before_its_body(site):
    site.replies["/film"] = Reply(lambda: repeat(b"-" * 1000), "video/mp4", pause=0.01)

    with pytest.raises(ToolError, match="type video/mp4"):
        get(site, site.url("/film"))

    assert site.gone.wait(10)


@pytest.mark.parametrize(("kind", "limit"), [("text/plain", "5 MB"), ("application/pdf", "20 MB")])
def test_a_body_without_end_is_left_at_the_limit_of_its_kind(site, kind, limit):
    site.replies["/long"] = Reply(lambda: repeat(b"-" * 60_000), kind)

    with pytest.raises(ToolError, match=f"larger than {limit}"):
        get(site, site.url("/long"))

    assert site.gone.wait(10)


@pytest.mark.parametrize("packed", [False, True])
def test_a_pdf_may_be_as_large_as_papers_are(site, packed):
    paper = b"%PDF-1.7" + bytes(6_000_000)
    headers = (("Content-Encoding", "gzip"),) if packed else ()
    site.replies["/paper"] = Reply(gzip.compress(paper, 1) if packed else paper, "application/pdf", headers=headers)

    assert get(site, site.url("/paper")).data == paper


def test_a_slow_drip_is_left_when_the_time_is_up(site):
    site.replies["/drip"] = Reply(lambda: repeat(b"-"), "text/plain", pause=0.02)

    with pytest.raises(ToolError, match=r"did not come within 0\.3 seconds"):
        get(site, site.url("/drip"), seconds=0.3)

    assert site.gone.wait(10)


@pytest.mark.parametrize("how", ["get", "page", "aclose"])
def test_leaving_in_mid_download_closes_the_connection(site, how):
    site.replies["/drip"] = Reply(lambda: repeat(b"-"), "text/plain", pause=0.02)

    async def leave() -> None:
        async with asyncio.timeout(10), fetching(site) as fetcher:  # less than the fetcher's own limit
            ask = fetcher.get if how == "get" else fetcher.page
            task = asyncio.create_task(ask(site.url("/drip")))  # type: ignore[arg-type]
            assert await asyncio.to_thread(site.started.wait, 10)
            if how == "aclose":
                await fetcher.aclose()
            else:
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(site.gone.wait, 10)

    asyncio.run(leave())


def test_a_page_that_failed_is_fetched_anew(site):
    async def twice() -> str:
        async with fetching(site) as fetcher:
            with pytest.raises(ToolError, match="404"):
                await fetcher.page(site.url("/late"))
            site.replies["/late"] = TIDES
            return (await fetcher.page(site.url("/late")))[1].text

    assert asyncio.run(twice()) == "tides"


# -- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with a certificate for site.example, which this machine trusts."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Site({"/tides": TIDES}, tls=tls) as running:
        yield running


def test_the_certificate_is_checked_against_the_name_not_the_pinned_address(secure):
    fetched = get(secure, secure.url("/tides", "site.example"), resolve=names(["127.0.0.1"]))

    assert fetched.data == b"tides"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_of_another_name_is_refused(secure, host):
    with pytest.raises(ToolError, match=f"^The certificate of {host} can't be verified"):
        get(secure, secure.url("/tides", host), resolve=names(["127.0.0.1"]))

    assert secure.asked == []
