"""Hostile Markdown as HTML, Markdown and text."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fusion_magic.jupyter.markup import code_css, escape, plain, safe_markdown, to_html

from .hostile import HOSTILE

pytestmark = pytest.mark.thorough

TAGS = {*"h1 h2 h3 h4 h5 h6 p br hr blockquote ul ol li".split()}  # noqa: SIM905
TAGS |= {*"a code del em pre s span strong table thead tbody tr th td".split()}  # noqa: SIM905
CLASSES = re.compile(r"fm-[a-z0-9-]+|mathjax_process")
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
PIECES = [
    *"<>[]()!`$\\\"'*_~|:\n",
    "\n\n",
    "](",
    "javascript:",
    "https://a.b/",
    "script",
    "```\n",
    "x",
    "onload=1 ",
]
PIECES += [
    "- ",
    "> ",
    "  ",
    "\\(",
    "\\)",
    "\\begin{a}",
    "\\end{a}",
    "[r]: ",
    "![x](https://e.f/)",
    "<b>",
    "`<b>`",
]

hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
markdown = st.lists(st.sampled_from(PIECES) | st.text(max_size=2)).map("".join)


class Audit(HTMLParser):
    """What a browser would find in a fragment that may not be there."""

    def __init__(self, fragment: str, attributes: dict[str, re.Pattern[str]]) -> None:
        super().__init__()
        self.attributes = attributes
        self.forbidden: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.forbidden.append(f"<{tag}>")
        for name, value in attrs:
            rule = self.attributes.get(f"{tag}.{name}")
            if not rule or not rule.fullmatch(value or ""):
                self.forbidden.append(f"<{tag} {name}={value!r}>")
            if name == "href":
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.forbidden.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.forbidden.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.forbidden.append(f"<?{data}>")


LINK = re.compile(r"(?i)(?:https?://|mailto:)[^\s\"<>]*")
OURS = {
    "a.href": LINK,
    "a.rel": re.compile("noopener noreferrer"),
    "a.target": re.compile("_blank"),
    "ol.start": re.compile(r"\d+"),
    "th.style": re.compile(r"text-align: ?(left|center|right);?"),
    "td.style": re.compile(r"text-align: ?(left|center|right);?"),
    **{f"{tag}.class": CLASSES for tag in ("pre", "code", "span")},
}
COMMONMARK = OURS | {"code.class": re.compile(r"(?s)language-.*"), "a.title": re.compile(r"(?s).*")}


def audit(text: str) -> Audit:
    return Audit(to_html(text), OURS)


def rendered_with_raw_html(text: str) -> Audit:
    """As a front end shows text/markdown that lets raw HTML, every link and images through."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True
    return Audit(parser.render(text), COMMONMARK)


def seconds(work: object, text: str) -> float:
    began = time.process_time()
    work(text)  # type: ignore[operator]
    return time.process_time() - began


@hostile
def test_hostile_text_becomes_html_with_nothing_but_what_is_allowed(text: str) -> None:
    found = audit(text)

    assert found.forbidden == []


@hostile
def test_hostile_text_becomes_html_without_hidden_characters(text: str) -> None:
    found = to_html(text)

    assert not HIDDEN.search(found)
    assert found.encode()


@hostile
def test_hostile_text_takes_bounded_time(text: str) -> None:
    taken = [seconds(work, text) for work in (to_html, safe_markdown, plain, escape)]

    assert max(taken) < 4  # under 2 s on an idle machine


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if len(text) < 10_000])
def test_hostile_text_as_markdown_renders_to_nothing_forbidden(text: str) -> None:
    found = rendered_with_raw_html(safe_markdown(text))

    assert found.forbidden == []


@given(markdown)
def test_any_text_becomes_html_with_nothing_but_what_is_allowed(text: str) -> None:
    found = audit(text)

    assert found.forbidden == []


@given(markdown)
def test_any_text_as_markdown_renders_to_nothing_forbidden(text: str) -> None:
    found = rendered_with_raw_html(safe_markdown(text))

    assert found.forbidden == []


@given(st.text())
def test_an_escaped_value_reads_as_its_plain_text_and_has_no_markup(text: str) -> None:
    found = Audit(f"<p>{escape(text)}</p>", {})

    assert found.forbidden == []
    assert found.text == plain(text)


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = plain(text)

    assert plain(once) == once
    assert not HIDDEN.search(once)


def test_a_quoted_attribute_cannot_be_left() -> None:
    found = Audit(f'<a href="https://a.b/{escape(chr(34) + " onclick=x")}">', {"a.href": re.compile(".*")})

    assert found.forbidden == []


def test_joiners_of_persian_and_emoji_stay() -> None:
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩\u200d🔬"

    assert plain(text) == text


def test_terminal_escapes_disappear_as_a_whole() -> None:
    found = plain("\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x07 \x1b")

    assert found == "red click "


# --- HTML -------------------------------------------------------------------------------------------


def test_money_is_left_alone_and_formulas_are_marked_for_mathjax() -> None:
    found = to_html(r"$5 and $6, $x<y$, \(a\), $$b$$ and \$c$")

    assert found == (
        '<p>$5 and $6, <span class="mathjax_process">$x&lt;y$</span>, <span class="mathjax_process">\\(a\\)</span>, '
        '<span class="mathjax_process">$$b$$</span> and $c$</p>\n'
    )


@pytest.mark.parametrize(
    "formula", ["\\[\na\n= b\n- c\n\\]", "$$\na\n- b\n$$", "\\begin{align*}\na &= b \\\\\n- c\n\\end{align*}"]
)
def test_a_formula_on_lines_of_its_own_stays_whole(formula: str) -> None:
    found = to_html(f"So:\n\n{formula}\n\nand\n\n- x\n")

    escaped = formula.replace("&", "&amp;")
    assert f'<p><span class="mathjax_process">{escaped}</span></p>' in found


@pytest.mark.parametrize(
    "formula", [r"$\href{x}{y}$", r"\[\def\a{b}\]", r"$\bbox[position:fixed]{x}$", f"${'x' * 6000}$"]
)
def test_a_formula_that_reaches_beyond_itself_is_shown_as_code(formula: str) -> None:
    found = to_html(formula)

    assert f"<code>{formula}</code>" in found
    assert "mathjax_process" not in found


def test_images_become_links_and_bare_addresses_too() -> None:
    found = audit("![a map](https://x.y/map.png) [![b](https://x.y/b)](https://x.y/c) https://x.y/d_(e_f).")

    assert found.links == ["https://x.y/map.png", "https://x.y/c", "https://x.y/d_(e_f)"]
    assert found.text == "a map b https://x.y/d_(e_f).\n"


def test_code_is_coloured_by_classes_and_reads_without_them() -> None:
    found = audit('```python\nif a < b: print("<b>")\n```')

    assert found.text == 'if a < b: print("<b>")\n\n'
    assert 'class="fm-k"' in to_html("```python\nif x: pass\n```")


@pytest.mark.parametrize("info", ["", "nosuchlanguage", 'x" onclick="y', "python " * 9])
def test_code_of_any_language_keeps_its_text(info: str) -> None:
    found = audit(f"```{info}\n  a < b && c\n```")

    assert found.text.strip("\n") == "  a < b && c"


def test_code_that_could_be_slow_to_colour_is_left_plain() -> None:
    codes = ["x" * 300, "x = 1\n" * 1000, "x" + "\n" * 9 + "y"]

    found = "".join(to_html(f"```python\n{code}\n```") for code in codes)

    assert "<span" not in found
    assert found.count("<pre") == 3


def test_tables_and_strikethrough_are_rendered() -> None:
    found = to_html("| a | b |\n|---|--:|\n| ~~c~~ | d |")

    assert "<s>c</s>" in found
    assert 'style="text-align:right"' in found


def test_what_is_too_long_or_too_intricate_is_shown_as_it_is() -> None:
    long, intricate = "*a* " * 60_000, "[" * 100_000

    found = [to_html(long), to_html(intricate)]

    assert found == [f'<pre class="fm-plain">{text}</pre>' for text in (long, intricate)]


def test_the_style_sheet_is_scoped_and_its_dark_variant_follows_jupyterlab() -> None:
    rules = code_css(".fm-x").splitlines()

    assert all(
        re.match(r'(\[data-jp-theme-light="false"\] )?\.fm-x \.fm-code [^{}<]*\{[^{}<]*\}$', rule) for rule in rules
    )
    assert {rule.startswith("[data") for rule in rules} == {True, False}


# --- Markdown ---------------------------------------------------------------------------------------


def test_ordinary_markdown_is_unchanged() -> None:
    text = '# A\n\n- *b* **c** 1 < 2, a<3\n\n> q\n\n| a |\n|---|\n| `b` |\n\n$x^2$, $5\n\n[d](https://e.f "g")\n'

    assert safe_markdown(text) == text


@pytest.mark.parametrize(
    "code",
    [
        "```html\n<script>x</script>\n\n![i](j)\n[k]: l\n```",
        "~~~\n<b>\n~~~",
        "- a\n  ```js\n  if (a <b) {}\n  ```",
        "> ```\n> <b>\n> ```",
        "Use `<b>` and `List<String>`.",
        "```php\n<?php echo $a . $b;\n```\n\nThis costs $5.",
        "```sh\ncat <in >$out\n```\n\nThe sum is $a + b$ and $c$.",
    ],
)
def test_code_stays_byte_for_byte(code: str) -> None:
    found = safe_markdown(f"Before <i>\n\n{code}\n\nAfter <i>")

    assert found == f"Before &lt;i>\n\n{code}\n\nAfter &lt;i>"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<b>x</b> </b> <!-- --> <?x?>", "&lt;b>x&lt;/b> &lt;/b> &lt;!-- --> &lt;?x?>"),
        (r"\<b> \\<b>", r"&lt;b> \\&lt;b>"),
        ("![a](https://b.c)", "&#33;[a](https://b.c)"),
        (
            "[a](javascript:b) [c](HTTPS://d) [e](mailto:f)",
            "[a&#93;(javascript:b) [c](HTTPS://d) [e](mailto:f)",
        ),
        ("[a]: https://b.c", "[a&#93;: https://b.c"),
        ('[a](https://b/$"c"$)', "[a](https://b/$&quot;c&quot;$)"),
        (r"`\begin{a}` \end{a} `<b>`", r"`\begin{a}` \end{a} `&lt;b>`"),
        ("`a\nb` `<c>`", "`a\nb` `&lt;c>`"),
        ("`a\n\xa0\n `<b>` c", "`a\n\xa0\n `&lt;b>` c"),
        ("| a `b | <c>` |", "| a `b | &lt;c>` |"),
    ],
)
def test_what_a_front_end_would_act_on_is_made_harmless(text: str, safe: str) -> None:
    found = safe_markdown(text)

    assert found == safe
