"""What a browser would find in our HTML, and whether any of it may not be there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"br", "hr", "wbr"}
STYLES = (
    r"text-align: ?(left|center|right);?",
    r"text-align:left;vertical-align:top",
    r"overflow-x:auto;word-wrap:break-word",
    r"padding:5px 12px;border:1px solid rgba\(127,127,127,.3\);border-top:0",
    r"margin:0 0 10px;border-top:1px solid rgba\(127,127,127,.3\)",
    r"font-size:1em;font-weight:600;margin:12px 0 3px",
    r"margin:0 0 1em",
    r"display:inline-block",
    r"width:[\d.]+em;height:0.8em;margin-top:0.3em;background-color:#5b8def",
)
TAGS = VOID | {"a", "blockquote", "code", "del", "details", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol"}
TAGS |= {"p", "pre", "s", "span", "strong", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"}
ATTRIBUTES = {
    "class": re.compile(r"((fm-[a-z0-9-]+|jp-toc-ignore|mathjax_process|mathjax_ignore) ?)+"),
    "style": re.compile("|".join(STYLES)),
    "href": re.compile(r"(?i)(https?://|mailto:)[^\s\"<>]*"),
    "target": re.compile("_blank"),
    "rel": re.compile("noopener noreferrer"),
    "open": re.compile(""),
    "scope": re.compile("col|rowgroup"),
    "tabindex": re.compile("0"),
    "rowspan": re.compile(r"\d"),
    "start": re.compile(r"\d+"),
}
MARKDOWN_ATTRIBUTES = ATTRIBUTES | {"class": re.compile(r"(?s)language-.*"), "title": re.compile("(?s).*")}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
STYLE = re.compile("<style>.*?</style>", re.DOTALL)


class Page(HTMLParser):
    """What a browser would find: text, forbidden parts, tags that do not match."""

    def __init__(self, fragment: str, attributes: dict[str, re.Pattern[str]] = ATTRIBUTES) -> None:
        super().__init__()
        self.attributes = attributes
        self.text, self.forbidden = "", list[str]()
        self.open, self.links = list[str](), list[str]()
        self.feed(fragment)
        self.close()
        self.forbidden += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.forbidden.append(f"<{tag}>")
        if tag in {"details", "div"} and "p" in self.open:
            self.forbidden.append(f"<{tag}> ends a <p>")
        for name, value in attrs:
            rule = self.attributes.get(name)
            if not rule or not rule.fullmatch(value or ""):
                self.forbidden.append(f"<{tag} {name}={value!r}>")
            if name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.forbidden.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.forbidden.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.forbidden.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.forbidden.append(f"<?{data}>")
