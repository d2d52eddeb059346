"""Only the public web is reached, however an address is spelled and whatever its name resolves to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools.addresses import host_of, is_public, parse, public_addresses

PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
INSIDE = re.findall(
    r"\S+",
    "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.255 168.63.129.16 169.254.169.254 "
    "169.254.170.2 169.254.170.23 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 "
    "198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 "
    ":: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 "
    "64:ff9b::169.254.169.254 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 "
    "2002:7f00:1:: 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fe80::1 fec0::1 "
    "ff02::1 2606:4700::5efe:8.8.8.8 2606:4700::200:5efe:127.0.0.1 2606:4700::a9fe:a9fe",
)


def reached(url: str, found: Sequence[str] = PUBLIC) -> list[str]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(found)

    return asyncio.run(public_addresses(parse(url), resolve))


@pytest.mark.parametrize("address", INSIDE)
def test_no_inner_address_is_reached_as_itself_or_by_a_name(address):
    literal = f"http://[{address}]/" if ":" in address else f"http://{address}/"

    for url, found in (
        (literal, PUBLIC),
        ("http://example.org/", [address]),
        ("http://example.org/", [*PUBLIC, address]),
    ):
        with pytest.raises(ToolError, match="not a public address"):
            reached(url, found)


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "127.0.0.1.",
        "127。0。0。1",
        "127\uff0e0\uff610\uff0e1",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.0.0.1",
        "١٢٧.0.0.1",
        "%31%32%37.0.0.1",
        "127%2e0.0.1",
        "1.2.3.4.5",
        "256.1.1.1",
        "0",
        "0x",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1",
        "[v1.x]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "\u2113ocalhost",
        "printer.local",
        "metadata.google.internal",
        "metadata",
        "intranet",
        "nas.lan",
        "router.home.arpa",
        "x.onion",
        "localhost.localdomain",
    ],
)
def test_no_spelling_of_an_inner_host_is_reached(host):
    with pytest.raises(ToolError):
        reached(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://example.org:6379/_x",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.org/",
        "example.org",
        "http:example.org",
        "http:///x",
        "http://",
        "",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org\\.evil.test/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://a..b/",
        "http://-a.org/",
        "http://exa\tmple.org/",
        "http://example.org/\r\nX: y",
        "http://example.org/\x00",
        f"http://example.org/{'a' * 5000}",
    ],
)
def test_what_is_no_plain_web_address_is_refused_in_one_short_sentence(url):
    with pytest.raises(ToolError) as caught:
        parse(url)

    assert len(str(caught.value)) < 200
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("  HTTP://EXAMPLE.org.:80/a/../b?q=1#part ", "http://example.org/b?q=1"),
        ("https://Bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://[2606:2800:21F::1]:8443/", "https://[2606:2800:21f::1]:8443/"),
    ],
)
def test_an_address_has_one_spelling(given, url):
    assert str(parse(given)) == url


def test_the_host_is_what_goes_over_the_wire():
    assert host_of(parse("http://BÜCHER.example/")) == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("port", "fetched"), [(80, True), (443, True), (8080, True), (3000, True), (22, False), (25, False)]
)
def test_ports_of_other_services_are_refused(port, fetched):
    if fetched:
        assert reached(f"http://example.org:{port}/") == list(PUBLIC)
        return
    with pytest.raises(ToolError, match=f"Port {port}"):
        reached(f"http://example.org:{port}/")


def test_every_public_address_is_given_once_in_the_resolvers_order():
    assert reached("https://example.org/", [*PUBLIC, PUBLIC[0]]) == list(PUBLIC)


def test_nat64_is_as_public_as_the_address_in_it():
    assert [is_public(f"64:ff9b::{inner}") for inner in ("8.8.8.8", "10.0.0.1")] == [True, False]


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long"), TimeoutError()])
def test_a_name_that_does_not_resolve_is_told_without_details(error):
    async def resolve(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(ToolError, match=r"^No server of the name example\.org was found\.$"):
        asyncio.run(public_addresses(parse("http://example.org/"), resolve))


def test_what_a_resolver_says_that_is_no_address_is_refused():
    with pytest.raises(ToolError, match="not a public address"):
        reached("http://example.org/", ["127.0.0.1%lo"])
