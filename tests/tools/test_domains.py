"""Domain lists know subdomains, paths and every spelling of a host, and refuse where in doubt."""

from __future__ import annotations

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.tools.domains import Domains

ALLOW = Domains(allow=("example.org", "github.com/psf", "BÜCHER.example.", "*.gov", "https://pasted.example/docs/"))
BLOCK = Domains(block=("example.org", "arxiv.org/abs/2602.11685"))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://www.example.org/x?q=1",
        "https://a.b.EXAMPLE.org.:8443/",
        "https://github.com/psf",
        "https://github.com/psf/black",
        "https://xn--bcher-kva.example/",
        "https://Bücher.example/",
        "https://data.census.gov/",
        "https://pasted.example/docs/one",
    ],
)
def test_an_allowed_domain_permits_its_subdomains_and_its_paths_in_every_spelling(url):
    assert ALLOW.permits(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://badexample.org",
        "http://example.org.evil.test",
        "http://evil.test/example.org",
        "http://example.org@evil.test/",
        "https://github.com/psf-evil",
        "https://github.com/",
        "https://github.com/psf/../evil",
        "https://github.com/psf/%2e%2e/evil",
        "https://pasted.example/docsevil",
        "file:///example.org",
        "not an address",
    ],
)
def test_an_allowed_domain_permits_nothing_beside_it(url):
    assert not ALLOW.permits(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "http://www.example.org.:8080/",
        "http://arxiv.org/abs/2602.11685",
        "http://arxiv.org/abs/2602.11685v2",
        "http://export.arxiv.org//ABS/2602%2e11685",
        "http://arxiv.org/abs/%32602.11685",
    ],
)
def test_a_blocked_domain_refuses_every_spelling_of_it(url):
    assert not BLOCK.permits(url)


def test_a_blocked_path_leaves_the_rest_of_its_site():
    assert BLOCK.permits("http://arxiv.org/abs/2602.11686")


def test_block_wins_over_allow():
    domains = Domains(allow=("example.org",), block=("bad.example.org",))

    permitted = [domains.permits(f"http://{host}/") for host in ("example.org", "bad.example.org", "x.bad.example.org")]

    assert permitted == [True, False, False]


def test_without_lists_every_web_address_is_permitted():
    assert Domains().permits("https://example.org/")


@pytest.mark.parametrize(
    "entry", ["", "exa mple.org", "user@example.org", "ftp://example.org", "a..b", "example.org/?q=1"]
)
def test_what_is_no_domain_is_told_in_one_sentence(entry):
    with pytest.raises(SettingsError, match=r"example\.org/path") as caught:
        Domains(block=(entry,))

    assert repr(entry) in str(caught.value)
