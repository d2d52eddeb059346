"""A seat may fetch what it was shown, letter for letter where an address could carry data."""

from __future__ import annotations

import pytest

from fusion_magic.tools.seen import MAX_LINKS, Seen


def shown(text: str) -> Seen:
    seen = Seen()
    seen.add_text(text)
    return seen


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("Read https://example.org/a?x=1.", "https://example.org/a?x=1"),
        ("(see https://example.org/a)", "https://example.org/a"),
        ("[a](https://example.org/a), [b](https://example.org/b)", "https://example.org/b"),
        ("[a](https://en.wikipedia.org/wiki/Tide_(sea)) and", "https://en.wikipedia.org/wiki/Tide_(sea)"),
        ("https://en.wikipedia.org/wiki/Tide_(sea)", "https://en.wikipedia.org/wiki/Tide_(sea)"),
        ("(https://example.org/a),then", "https://example.org/a"),
        ("<https://example.org/a>", "https://example.org/a"),
        ('"https://example.org/a"', "https://example.org/a"),
        ("**https://example.org/a**", "https://example.org/a"),
        ("https://archive.example/2020/https://example.org/a", "https://example.org/a"),
        ("https://archive.example/2020/https://example.org/a", "https://archive.example/2020/https://example.org/a"),
        ("Summarise example.org/report.pdf, please.", "https://example.org/report.pdf"),
        ("Look at www.example.org.", "http://www.example.org/"),
    ],
)
def test_addresses_in_a_text_may_be_fetched(text, url):
    assert shown(text).allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://EXAMPLE.ORG/a?x=1",
        "https://example.org:443/a?x=1",
        "https://example.org./a?x=1#part",
        "http://example.org/a?x=1",
    ],
)
def test_spellings_of_the_same_page_are_alike(url):
    assert shown("https://example.org/a?x=1#top").allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a?x=2",
        "https://example.org/a?x=1&y=secret",
        "https://example.org/a",
        "https://example.org/A?x=1",
        "https://example.org/a/secret?x=1",
        "https://secret.example.org/a?x=1",
        "https://example.org:8443/a?x=1",
        "https://secret@example.org/a?x=1",
        "nonsense",
    ],
)
def test_an_address_with_anything_else_in_it_is_not(url):
    assert not shown("https://example.org/a?x=1").allows(url)


def test_a_flood_of_links_opens_only_the_first():
    seen = shown(" ".join(f"https://evil.test/{number}" for number in range(50_000)))

    asked = (0, MAX_LINKS - 1, MAX_LINKS, 49_999)
    opened = [seen.allows(f"https://evil.test/{number}") for number in asked]

    assert opened == [True, True, False, False]


@pytest.mark.parametrize("text", ["http://" * 100_000, "a." * 300_000, "(" * 500_000, "http://a" + ")" * 500_000])
def test_a_text_made_to_be_slow_ends(text):
    assert not shown(text).allows("https://example.org/")


def test_search_results_are_added_and_nonsense_is_passed_over():
    seen = Seen()

    seen.add("https://example.org/found")
    seen.add("corpus:notes.md")

    assert seen.allows("https://example.org/found")
    assert not seen.allows("corpus:notes.md")


def test_unrestricted_allows_everything():
    assert Seen(unrestricted=True).allows("https://example.org/never-shown")
