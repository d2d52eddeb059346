"""Our style sheets stay among themselves: what a picker brings must not change a result in the same notebook."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

SHEETS = {
    "live/widget.css": r"\.fm-live\b",
    "picker/widget.css": r"\.fm-(picker|place)\b|:where\(\.fm-picker\) ",
    "teach/widget.css": r"\.fm-teach\b",
    "static/style.css": r"\.fm-result\b",
}


def text(sheet: str) -> str:
    return files("fusion_magic.jupyter").joinpath(sheet).read_text(encoding="utf-8")


def selectors(css: str) -> list[str]:
    """Every selector of a sheet, those of a list one by one."""
    css = re.sub(
        r"/\*.*?\*/|@keyframes[^{]*\{([^{}]*\{[^{}]*\}\s*)*\}|@(container|media|supports)[^{]*\{", "", css, flags=re.S
    )
    lists = re.findall(r"([^{}]+)\{[^{}]*\}", css)
    return [one.strip() for many in lists for one in re.split(r",(?![^(]*\))", many)]


@pytest.mark.parametrize("sheet", SHEETS)
def test_every_rule_is_for_its_own_part_of_the_page(sheet: str) -> None:
    found = selectors(text(sheet))

    assert len(found) > 20
    assert [one for one in found if not re.match(SHEETS[sheet], one)] == []


@pytest.mark.parametrize("sheet", SHEETS)
def test_every_brace_is_closed(sheet: str) -> None:
    css = text(sheet)

    assert css.count("{") == css.count("}")
    assert not re.search(r"@(container|media|supports)[^{;]*\n", css)
