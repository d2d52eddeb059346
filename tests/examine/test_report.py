"""Reports show the same in every form, and what models wrote in them stays text."""

from __future__ import annotations

from fusion_magic.examine.report import WIDEST, Report, Shown, Table

EVIL = '<img src=x onerror="alert(1)"> ``` </code> [x](javascript:alert(1)) \x1b[31m'


class Told(Shown):
    @property
    def report(self) -> Report:
        table = Table("Findings", ("kind", "finding"), (("unique", EVIL), ("", "y" * 200)))
        return Report(f"Title {EVIL}", (table, Table("Nothing", ("", ""), ())), ("A note.",))


def test_hostile_text_is_neither_a_tag_nor_a_command_nor_the_end_of_its_fence():
    bundle = Told()._repr_mimebundle_()

    assert "<img" not in bundle["text/html"]
    assert all("\x1b" not in form for form in bundle.values())
    lines = bundle["text/markdown"].splitlines()
    assert lines[0] == "````text"
    assert lines[-1] == "````"
    assert all("````" not in line for line in lines[1:-1])


def test_a_long_cell_is_cut_in_a_terminal_and_whole_on_a_page():
    shown = Told()._repr_mimebundle_()

    assert "y" * 200 in shown["text/html"]
    assert f"{'y' * (WIDEST - 1)}…" in shown["text/plain"]


def test_a_table_without_rows_is_not_shown():
    assert "Nothing" not in str(Told())


def test_its_representation_is_one_line():
    assert repr(Told()).startswith("<Told: Title ")
