"""Splitting prompts into text, code and mathematics."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.segments import segments

MEGABYTE = 1_000_000
PIECES = [
    "`",
    "``",
    "```",
    "```py\n",
    "~~~",
    "$",
    "$$",
    "\\",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\\begin{a}",
    "\\end{a}",
]
PIECES += ["\n", "\n\n", " ", "a", "5", "{x}", "> ", "- ", "1. ", "\t", "\r\n"]
SHAPES = [
    "`",
    "$",
    "`$",
    "a`",
    "``a`",
    "$a ",
    "$ ",
    "$$ a$",
    "\\",
    "\\$",
    "\\(",
    "\\(\\[ ",
    "\\begin{a}",
    "{",
]
SHAPES += [
    "```a\n",
    "> ```\n",
    ">",
    "- ",
    "1. ",
    "\n",
    " \n",
    "\t`\n",
    "$a\n\n",
    "$$a\n\n",
    "\\[a$b$`c`",
    "12345678) ",
]


def parts(kind: str, text: str) -> list[str]:
    return [part for found, part in segments(text) if found == kind]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_segments_joined_are_the_text_and_none_is_empty(text: str) -> None:
    found = [part for _, part in segments(text)]

    assert "".join(found) == text
    assert all(found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a `b` c", ["`b`"]),
        ("a ``b ` c`` d", ["``b ` c``"]),
        ("a `b\nc` d", ["`b\nc`"]),
        (r"a \`b` c `d`", ["` c `"]),
        ("x\n```py\n{a}\n```\ny", ["```py\n{a}\n```"]),
        ("~~~\n```\n~~~~\ny", ["~~~\n```\n~~~~"]),
        ("1. a\n   ```\n   {x}\n   ```\nb", ["```\n   {x}\n   ```"]),
        ("> ```\n> {x}\n> ```\nb", ["```\n> {x}\n> ```"]),
        ("- ```\n  {x}\n  ```\nb", ["```\n  {x}\n  ```"]),
        ("```\nunclosed {a}\n~~~\n``", ["```\nunclosed {a}\n~~~\n``"]),
        ("````\n```\n````\na", ["````\n```\n````"]),
        ("```a``` b", ["```a```"]),
    ],
)
def test_code_is_found(text: str, code: list[str]) -> None:
    found = parts("code", text)

    assert found == code


@pytest.mark.parametrize("text", ["    indented {code}", "a `b", "a ``b` c", "`a\n\nb`", "a --- `", "", "text"])
def test_what_is_no_code_is_text(text: str) -> None:
    found = list(segments(text))

    assert "".join(part for kind, part in found if kind == "text") == text


@pytest.mark.parametrize(
    ("text", "math"),
    [
        ("let $x$ be", ["$x$"]),
        ("let $x_{n}\n+ 1$ be", ["$x_{n}\n+ 1$"]),
        (r"let $\$5$ be", [r"$\$5$"]),
        ("$$ a $$", ["$$ a $$"]),
        (r"\(a\) and \[b\]", [r"\(a\)", r"\[b\]"]),
        ("\\begin{align*}a\n\n&b\\end{align*} c", ["\\begin{align*}a\n\n&b\\end{align*}"]),
    ],
)
def test_mathematics_is_found(text: str, math: list[str]) -> None:
    found = parts("math", text)

    assert found == math


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "$20,000 and $30,000",
        "a $ b $ c",
        r"\$a$ b",
        "$a\n\nb$",
        "$$a\n\nb$$",
        r"\\(a\\)",
        r"\begin{a} \end{b}",
        "$a$5",
        "$$$$",
    ],
)
def test_money_and_unclosed_formulas_are_text(text: str) -> None:
    found = list(segments(text))

    assert found == [("text", text)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_of_any_shape_takes_linear_time(shape: str) -> None:
    text = (shape * MEGABYTE)[:MEGABYTE]

    began = time.process_time()
    for _ in segments(text):
        pass
    seconds = time.process_time() - began

    assert seconds < 5  # under 1 s on an idle machine; a quadratic search takes minutes


def test_many_different_closers_take_linear_time() -> None:
    environments = "".join(f"\\begin{{{'abcdefghij'[n % 10] * (n % 32 + 1)}}}" for n in range(40_000))
    rising = "".join("`" * n + " " for n in range(1400))
    falling = "".join("~" * n + "x\n" for n in range(1400, 2, -1))

    began = time.process_time()
    found = [list(segments(text)) for text in (environments, rising, falling)]
    seconds = time.process_time() - began

    assert [len(parts) for parts in found] == [1, 1, 1]
    assert seconds < 5
