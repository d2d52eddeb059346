"""Turns Markdown that a model or a web page wrote, which is hostile, into HTML that is safe to show.

markdown-it without raw HTML, then nh3 with a list of what may stay. What else makes hostile text safe is offered here
too: `safe_markdown` for a text/markdown bundle, `plain` for text/plain, `escape` for values inside HTML.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ..characters import escape, plain
from .live_markdown import safe_markdown

__all__ = ["code_css", "escape", "plain", "safe_markdown", "to_html"]

MAX_CHARACTERS = 200_000  # of Markdown; more is shown as it is, in <pre>
MAX_STEPS = 40_000  # tries of the parser, which stand in for time; prose takes 7 for each 100 characters
MAX_COLOURED, MAX_COLOURED_BLOCK = 20_000, 5_000  # characters of code highlighted in one text, in one block
MAX_ADDRESS = 60  # characters of a bare address that are shown; the link holds all of it
MAX_MATH, MAX_MATH_LINES = 5_000, 60  # characters and lines of one formula

_TAGS = {*"h1 h2 h3 h4 h5 h6 p br hr blockquote ul ol li".split()}  # noqa: SIM905
_TAGS |= {*"a code del div em pre s span strong table thead tbody tr th td".split()}  # noqa: SIM905
_ATTRIBUTES: dict[str, set[str]] = {
    "*": set(),  # not even nh3's own `title` and `lang`
    "a": {"href"},
    "ol": {"start"},
    "th": {"style"},
    "td": {"style"},
    "pre": {"class"},
    "code": {"class"},
    "div": {"class"},
    "span": {"class"},
}
_SCHEME = re.compile(r"https?://|mailto:", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]]+", re.IGNORECASE)
# TeX that reaches beyond its formula: links, styles, sizes without limit, definitions that stay for the whole page.
_FAR_REACHING_TEX = re.compile(
    r"\\(?:href|url|style|class|cssId|data|html\w*|bbox|unicode|mmlToken|require|includegraphics|csname"
    r"|rule|Rule|Space|raise|lower|[gex]?def|let|futurelet|global|newcommand|renewcommand|providecommand"
    r"|newenvironment|renewenvironment|Newextarrow|DeclareMathOperator)(?![A-Za-z])"
)
_TEX_OPENING = re.compile(r"\\[(\[]|\\begin\{[A-Za-z]{1,32}\*?\}")
_CLOSING = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
# Lexers are regular expressions, many of them quadratic on hostile code. These stay under 0.4 s for one block of the
# allowed size without long lines and without many blank ones; those for Java, C#, make, MATLAB and Perl do not.
_LANGUAGES = frozenset(
    """bash c c++ console cpp css diff docker dockerfile go html ini javascript js json jsx julia kotlin latex lua php
    powershell py pycon python python3 r rb ruby rust scala sh shell sql swift tex toml ts tsx typescript xml yaml yml
    zsh""".split()  # noqa: SIM905 - forty lines of one word each read worse
)
_SLOW_TO_COLOUR = re.compile(r"[^\n]{200}|\n(?:[ \t]*+\n){3}")


class _TooMuch(Exception):
    """The parser took more steps than any honest text needs."""


def to_html(
    markdown: str,
    mark: Callable[[Sequence[Token]], None] | None = None,
    *,
    new_tabs: bool = True,
    coloured: int = MAX_COLOURED,
) -> str:
    """Markdown as a sanitized HTML fragment; too long or too intricate, as escaped text in <pre>.

    `mark` may change the parsed tokens before they are rendered; what it adds is sanitized with the rest. `new_tabs`
    makes links say that they open in one, and send no referrer; JupyterLab sees to the first in saved outputs itself.
    At most `coloured` characters of code are highlighted.

    Formulas are marked with class `mathjax_process`; put the fragment into an element with class `mathjax_ignore`,
    or a front end with MathJax takes `$5 and $6` for one.
    """
    text = plain(markdown)
    if len(text) <= MAX_CHARACTERS:
        try:
            return _sanitized(_parser().render(text, {"steps": 0, "colourable": coloured, "mark": mark}), new_tabs)
        except (_TooMuch, RecursionError):
            pass
    return f'<pre class="fm-plain">{html.escape(text)}</pre>'


def _sanitized(fragment: str, new_tabs: bool) -> str:
    return nh3.clean(
        fragment,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        filter_style_properties={"text-align"},
        link_rel="noopener noreferrer" if new_tabs else None,
        set_tag_attribute_values={"a": {"target": "_blank"}} if new_tabs else {},
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        allow_blank_lines=False,
        double_inline=True,
    )
    parser.block.ruler.before("table", "tex", _tex_block, {"alt": ["paragraph", "blockquote", "list"]})
    parser.block.ruler.before("tex", "steps", _count_block_step, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "tex", _tex_inline)
    parser.inline.ruler.before("text", "steps", _count_inline_step)
    parser.core.ruler.after("block", "steps", _count_tokens)
    parser.core.ruler.push("links", _relink)
    parser.core.ruler.push("mark", _mark)
    for kind in ("math_inline", "math_inline_double", "math_block"):
        parser.add_render_rule(kind, _render_math)
    for kind in ("fence", "code_block"):
        parser.add_render_rule(kind, _render_code)
    parser.validateLink = lambda url: bool(_SCHEME.match(url))
    return parser


def _count_inline_step(state: StateInline, silent: bool) -> bool:
    return _count_step(state.env)


def _count_block_step(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return _count_step(state.env)


def _count_tokens(state: StateCore) -> None:
    _count_step(state.env, len(state.tokens))  # a table's missing cells cost tokens, but no steps of their own


def _count_step(env: MutableMapping[str, Any], steps: int = 1) -> bool:
    env["steps"] += steps
    if env["steps"] > MAX_STEPS:
        raise _TooMuch
    return False


def _relink(state: StateCore) -> None:
    """Images become links, because loading one tells its server who reads; bare addresses become links too."""
    for block in state.tokens:
        if block.children:
            block.children = list(_relinked(block.children, state.md))


def _mark(state: StateCore) -> None:
    if mark := state.env["mark"]:
        mark(state.tokens)


def _relinked(tokens: Iterable[Token], parser: MarkdownIt) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += (token.type == "link_open") - (token.type == "link_close")
        if token.type == "image":
            text = token.content or "image"
            yield from [_text(text)] if depth else _link(text, str(token.attrs["src"]))
        elif token.type == "text" and not depth:
            yield from _addresses(token.content, parser)
        else:
            yield token


def _addresses(text: str, parser: MarkdownIt) -> Iterator[Token]:
    done = 0
    for found in _URL.finditer(text):
        url = found[0].rstrip(".,;:!?*_~" if "(" in found[0] else ".,;:!?*_~)")
        yield _text(text[done : found.start()])
        yield from _link(_shortened(url), parser.normalizeLink(url))
        done = found.start() + len(url)
    yield _text(text[done:])


def _shortened(url: str) -> str:
    """Host and end of a long address: whole, it is read by nobody."""
    if len(url) <= MAX_ADDRESS:
        return url
    host, _, rest = url.partition("://")[2].partition("/")
    end = rest[-(MAX_ADDRESS // 2) :]
    return f"{host[:MAX_ADDRESS]}/…{end[max(0, end.find('/', 0, -1)) :]}"


def _link(text: str, url: str) -> list[Token]:
    return [Token("link_open", "a", 1, attrs={"href": url}), _text(text), Token("link_close", "a", -1)]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


# --- formulas and code in it ------------------------------------------------------------------------


def _tex_inline(state: StateInline, silent: bool) -> bool:
    r"""`\(…\)`, `\[…\]` and `\begin{…}…\end{…}` within a paragraph."""
    opening = _TEX_OPENING.match(state.src, state.pos, state.posMax)
    if not opening:
        return False
    closing = _closing(opening[0])
    end = state.src.find(closing, opening.end(), min(state.posMax, opening.end() + MAX_MATH))
    if end < 0 or not state.src[opening.end() : end].strip():
        return False
    if not silent:
        _push_formula(state, "math_inline", state.src[state.pos : end + len(closing)])
    state.pos = end + len(closing)
    return True


def _tex_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The same on lines of its own, where what looks like a list or a heading is part of the formula."""
    lines: list[str] = []
    closing = ""
    for number in range(start, min(end, start + MAX_MATH_LINES)):
        _count_step(state.env)
        line = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()
        if number == start:
            opening = _TEX_OPENING.match(line)
            if not opening or opening[0] == r"\(" or state.is_code_block(start):
                return False
            closing = _closing(opening[0])
        if not line or state.sCount[number] < state.blkIndent:
            return False
        lines.append(line)
        if line.endswith(closing):
            break
        if closing in line:
            return False
    else:
        return False
    if not silent:
        token = _push_formula(state, "math_block", "\n".join(lines))
        token.map = [start, start + len(lines)]
        state.line = start + len(lines)
    return True


def _closing(opening: str) -> str:
    return _CLOSING.get(opening) or opening.replace("begin", "end")


def _push_formula(state: StateInline | StateBlock, kind: str, content: str) -> Token:
    token = state.push(kind, "math", 0)
    token.content = content
    token.block = kind == "math_block"
    return token


def _render_math(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    token = tokens[index]
    tex = html.escape(f"{token.markup}{token.content}{token.markup}", quote=False)
    if len(tex) > MAX_MATH or _FAR_REACHING_TEX.search(tex):
        formula = f"<code>{tex}</code>"
    else:
        formula = f'<span class="mathjax_process">{tex}</span>'
    return f"<p>{formula}</p>\n" if token.type == "math_block" else formula


def _render_code(_: Any, tokens: Sequence[Token], index: int, __: Any, env: MutableMapping[str, Any]) -> str:
    code = tokens[index].content
    language = tokens[index].info.strip().partition(" ")[0].lower()
    if language in _LANGUAGES and len(code) <= MAX_COLOURED_BLOCK and not _SLOW_TO_COLOUR.search(code):
        env["colourable"] -= len(code) + 100  # a block has a price of its own
        if env["colourable"] >= 0:
            return f'<pre class="fm-code"><code>{_coloured(code, language)}</code></pre>\n'
    return f'<pre class="fm-code"><code>{html.escape(code)}</code></pre>\n'


def _coloured(code: str, language: str) -> str:
    from pygments import highlight

    return highlight(code, *_lexer_and_formatter(language))


@cache
def _lexer_and_formatter(language: str) -> tuple[Any, Any]:
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return lexer, HtmlFormatter(nowrap=True, classprefix="fm-")


def code_css(scope: str) -> str:
    """Rules for the classes of highlighted code inside the selector `scope`, for light themes and dark ones.

    Without them, as in a notebook that is not trusted, code is readable in the colour of its surroundings.
    """
    dark = f'[data-jp-theme-light="false"] {scope}'
    unset = f"{dark} .fm-code span{{color:inherit;background:none;border:0;font-weight:inherit;font-style:inherit}}"
    return "\n".join([*_rules(scope, "default"), unset, *_rules(dark, "github-dark")])


def _rules(scope: str, style: str) -> Iterator[str]:
    """One rule for each look; the many kinds of token that share it are listed in it."""
    from pygments.formatters import HtmlFormatter

    looks: dict[str, list[str]] = {}
    for rule in HtmlFormatter(style=style, classprefix="fm-").get_token_style_defs(""):
        kind, _, look = rule.partition(" /*")[0].partition(" { ")
        if kind != ".fm-err":  # half a statement is no error in an answer
            looks.setdefault(look.removesuffix(" }").replace(": ", ":"), []).append(kind)
    for look, kinds in looks.items():
        yield f"{scope} .fm-code :is({','.join(kinds)}){{{look}}}"
