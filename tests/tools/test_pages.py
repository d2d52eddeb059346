"""A page is read as its readers see it; one that keeps a parser busy ends with its process."""

from __future__ import annotations

import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools.pages import clean, kind_of, pdf_pages, read_page
from servers.hostile_pages import SMUGGLED, article, text_pdf

pytest.importorskip("trafilatura")
pytest.importorskip("pypdf")

HTML = "text/html; charset=utf-8"
URL = "https://example.org/a/b"


def read(inside: str) -> str:
    return read_page(article(inside), HTML, URL).text


# -- HTML -------------------------------------------------------------------------------------------------


def test_html_becomes_markdown_with_whole_links():
    page = read_page(article('<p>See <a href="../more?x=1&amp;y=2">more of it</a> there.</p>'), HTML, URL)

    assert (page.title, page.kind) == ("Tides", "html")
    assert page.text.startswith("# Tides\n")
    assert "[more of it](https://example.org/more?x=1&y=2)" in page.text


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>{}</p>",
        "<p hidden=''>{}</p>",
        '<div aria-hidden="true"><p>{}</p></div>',
        '<div ARIA-HIDDEN=" TRUE "><p>{}</p></div>',
        "<!-- {} -->",
        "<script>{}</script>",
        "<style>{}</style>",
        "<template><p>{}</p></template>",
        "<noscript><p>{}</p></noscript>",
        *(
            f'<div style="{style}"><p>{{}}</p></div>'
            for style in (
                "display:none",
                "DISPLAY : NONE !important",
                "color:red;display:none",
                "d\\69splay:none",
                "display:/**/none",
                "visibility:hidden",
                "visibility: collapse",
                "opacity:0",
                "opacity:0.0",
                "opacity:.01;color:red",
                "opacity:0%",
                "font-size:0",
                "font-size:0px",
                "font-size:1px",
                "font-size:0.01em",
                "position:absolute;left:-9999px",
                "position:fixed;top:-5000px",
                "text-indent:-9999px",
                "transform:translateX(-9999px)",
                "transform:scale(0)",
                "clip:rect(0,0,0,0)",
                "clip-path:inset(50%)",
                "height:0;overflow:hidden",
                "width:1px;height:1px;overflow:hidden",
                "color:transparent",
            )
        ),
    ],
)
def test_what_a_reader_would_not_see_is_not_read(hidden):
    text = read(f"<p>Shown before.</p>{hidden.format(SMUGGLED)}<p>Shown after.</p>")

    assert SMUGGLED not in text
    assert "Shown before." in text
    assert "Shown after." in text


@pytest.mark.parametrize(
    "style",
    [
        "display:block",
        "opacity:0.9",
        "opacity:1",
        "font-size:1em",
        "font-size:10px",
        "font-size:100%",
        "left:-10px",
        "height:100px",
        "width:100%",
        "max-width:0.5em",
        "background-color:transparent",
        "font:14px serif",
    ],
)
def test_what_a_reader_would_see_is_read(style):
    assert "Plainly shown." in read(f'<div style="{style}"><p>Plainly shown.</p></div>')


def test_a_page_without_an_article_is_read_as_its_words():
    page = read_page(b"<html><body><button>one</button> <button>two</button></body></html>", HTML, URL)

    assert page.text.split() == ["one", "two"]


def test_a_page_of_too_many_elements_is_read_as_its_words():
    assert read_page(b"<html><body>" + b"<p>x" * 50_000, HTML, URL).text.count("x") == 50_000


def test_a_page_without_text_is_refused():
    with pytest.raises(ToolError, match="no text"):
        read_page(b"<html><body><script>x</script></body></html>", HTML, URL)


@pytest.mark.parametrize(
    ("inside", "kept"),
    [
        ("a" * 1_050_000, 1_000_000),
        (f'<p title="{"a" * 1_000_000}">x</p>', 100),
        ("<b>" * 100_000, 100),
        ("\0a\0", 100),
    ],
)
def test_long_deep_and_broken_pages_are_read_within_the_limit(inside, kept):
    assert kept <= len(read(inside)) <= kept + 1000


# -- other kinds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "url", "kind"),
    [
        ("text/html; charset=x", URL, "html"),
        ("application/xhtml+xml", URL, "html"),
        ("TEXT/Markdown", URL, "text"),
        ("application/json", URL, "json"),
        ("application/vnd.api+json", URL, "json"),
        ("application/atom+xml", URL, "xml"),
        ("text/xml", URL, "xml"),
        ("application/pdf", URL, "pdf"),
        ("application/octet-stream", "https://example.org/paper.pdf?x=1", "pdf"),
        ("", "https://example.org/paper.pdf", "pdf"),
        ("", URL, "html"),
    ],
)
def test_the_kind_is_what_the_type_says_or_else_the_address(content_type, url, kind):
    assert kind_of(content_type, url) == kind


@pytest.mark.parametrize("content_type", ["image/png", "application/zip", "application/octet-stream"])
def test_other_kinds_are_refused_by_name(content_type):
    with pytest.raises(ToolError, match=f"type {content_type}"):
        read_page(b"x", content_type, URL)


def test_entities_of_xml_are_never_replaced():
    laughs = b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]><l>&b;&f;</l>'

    assert read_page(laughs, "application/xml", URL).text == laughs.decode()


def test_entities_in_html_are_never_replaced():
    start = b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY f SYSTEM "file:///etc/passwd">]>'

    text = read_page(start + article("<p>&a;&f;</p>"), "application/xhtml+xml", URL).text

    assert "&a;" in text
    assert "root:" not in text


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        ("Ebbe für".encode(), "text/plain", "Ebbe für"),
        ("Ebbe für".encode("cp1252"), "text/plain", "Ebbe für"),
        ("Ebbe – für".encode("cp1252"), "text/plain; charset=iso-8859-1", "Ebbe – für"),
        ("潮汐".encode("gb18030"), "text/plain; charset=gb18030", "潮汐"),
        ("潮汐".encode("utf-16"), "text/plain", "潮汐"),
        ("\ufeffEbbe".encode(), "text/plain", "Ebbe"),
        (b"Ebbe", "text/plain; charset=zip", "Ebbe"),
        (b"Ebbe+AC0-", "text/plain; charset=utf-7", "Ebbe+AC0-"),
        (b"<?xml version='1.0' encoding='iso-8859-2'?><x>\xb1</x>", "text/xml", None),
    ],
)
def test_bytes_are_decoded_as_browsers_do(data, content_type, text):
    found = read_page(data, content_type, URL).text

    assert found == text if text else "ą" in found


# -- hidden characters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hiding",
    [
        "\u200b",
        "\u200d",
        "\u200c\u200d\u200c",
        "\u2060",
        "\ufeff",
        "\u202e",
        "\xad",
        "\ufe01",
        "\U000e0041",
        "\U000e0100",
    ],
)
def test_characters_that_hide_text_are_removed(hiding):
    assert clean(f"ti{hiding}de") == "tide"


@pytest.mark.parametrize("text", ["می\u200cخ", "क्\u200dष", "👩\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "1\ufe0f\u20e3"])
def test_what_scripts_and_emoji_need_stays(text):
    assert clean(text) == text


def test_joiners_in_a_row_carry_nothing():
    assert clean("می\u200c\u200d\u200cخ") == "میخ"


# -- PDF --------------------------------------------------------------------------------------------------


def test_a_pdf_is_read_page_by_page():
    data = text_pdf("High tide")

    assert pdf_pages(data) == ["High tide", "High tide"]
    assert read_page(data, "application/pdf", URL).text == "[page 1]\nHigh tide\n\n[page 2]\nHigh tide"


def test_a_pdf_that_is_called_html_is_read_as_what_it_is():
    assert read_page(text_pdf("High tide"), "text/html", URL).kind == "pdf"


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.4", b"nothing", text_pdf("tide")[:200], text_pdf("tide").replace(b"Pages", b"Pxges")]
)
def test_a_damaged_pdf_is_told_in_one_sentence(data):
    with pytest.raises(ToolError, match=r"damaged|no text"):
        read_page(data, "application/pdf", URL)


def test_a_locked_pdf_is_told():
    import io

    from pypdf import PdfWriter

    writer, data = PdfWriter(), io.BytesIO()
    writer.add_blank_page(9, 9)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(data)

    with pytest.raises(ToolError, match="locked by a password"):
        read_page(data.getvalue(), "application/pdf", URL)
