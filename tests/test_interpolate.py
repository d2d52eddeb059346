"""Values of the notebook in a prompt."""

import sys
from types import MappingProxyType, SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.interpolate import MAX_CELL, MAX_CHARACTERS, Substitution, interpolate

NAMES = ["a", "name", "x", "key", "df"]
PIECES = [
    "{",
    "}",
    "{{",
    "}}",
    "{a}",
    "{x.y}",
    "{x[0]}",
    "$",
    "`",
    "```\n",
    "\\frac",
    "^",
    "_",
    '"',
    "f'",
    "\n",
    "a",
    ":",
]


class Rows(list[int]):
    """A list with attributes, one of which fails."""

    title = "numbers"

    @property
    def broken(self) -> str:
        raise RuntimeError("no")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no")


NAMESPACE = MappingProxyType(
    {
        "name": "Ada",
        "n": 3,
        "nothing": None,
        "cfg": {"key": [1, {"c": "deep"}], "a b": "spaced"},
        "rows": Rows([10, 20]),
        "x": "X",
        "a": "A",
        "b": "B",
        "bad": Unprintable(),
        "braces": "{name} {n}",
        "df": None,
    }
)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("I am {name}.", "I am Ada."),
        ("{name}", "Ada"),
        ("{n} and {nothing}", "3 and None"),
        ("{rows[0]} {rows[-1]} {rows.title}", "10 20 numbers"),
        ("""{cfg["key"]} {cfg['a b']}""", '[1, {"c": "deep"}] spaced'),
        ("{cfg['key'][1]['c']}", "deep"),
        ("'{name}' ({name}) costs {n} $", "'Ada' (Ada) costs 3 $"),
        ("`{name}` {name}", "`{name}` Ada"),
        ("    {name}", "    Ada"),
    ],
)
def test_a_path_that_exists_is_replaced(prompt: str, text: str) -> None:
    found = interpolate(prompt, NAMESPACE)

    assert found.text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "{missing} {missing.name} {missing[0]}",
        "{rows[7]} {rows.nope} {cfg['nope']} {n.real.nope}",
        "{{name}} {{{name}}}",
        "{name!r} {name:>10} {name=} { name } {name.upper()} {n+1} {n * 2}",
        "{name.__class__} {__name__} {rows.__doc__}",
        "{rows[0:1]} {rows[i]} {cfg[key]}",
        "{rows.broken} {bad}",
        '{"name": "x"} {"a": {"b": [1, {}]}} {1, 2} {} {name: 1}',
        "```python\nprint({name})\n```",
        "``{name}` {n}``",
        "~~~\n{name} unclosed",
        "def f(d): return f'{name} {n}' + rf\"{x}\"",
        "let t = `${name}`; echo ${name} $5",
        r"\frac{a}{b} \text{name} \sqrt[3]{x} x^{n} x_{n} \{x} \alpha*{x}",
        r"$\sum_{n} {x}$ $${x}$$ \({x}\) \[{x}\] \begin{align}{x}\end{align}",
        "struct {name; n}; #{missing} %{missing}",
    ],
)
def test_everything_else_reaches_the_model_untouched(prompt: str) -> None:
    found = interpolate(prompt, NAMESPACE)

    assert found.text == prompt
    assert found.used == ()


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_without_names_every_prompt_is_untouched(prompt: str) -> None:
    found = interpolate(prompt, {})

    assert found.text == prompt


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_values_only_ever_replace_paths_that_are_reported(prompt: str, namespace: dict[str, str]) -> None:
    found = interpolate(prompt, namespace)

    assert all(f"{{{used.expression}}}" in prompt for used in found.used)
    assert found.used or found.text == prompt


def test_braces_in_a_value_are_not_expanded_again() -> None:
    found = interpolate("{braces} {name}", NAMESPACE)

    assert found.text == "{name} {n} Ada"


def test_each_path_is_reported_once_with_its_type_and_size() -> None:
    found = interpolate("{n} {name} {n}", NAMESPACE)

    assert found.used == (Substitution("n", "int", 1), Substitution("name", "str", 3))


def test_lists_and_dicts_are_json_where_they_can_be() -> None:
    found = interpolate("{a} {b}", {"a": {"é": [1, None, (True,)]}, "b": [1, {2}]})

    assert found.text == '{"é": [1, null, [true]]} [1, {2}]'


def test_a_list_that_holds_itself_is_written_as_python_does() -> None:
    circle: list[object] = [1]
    circle.append(circle)

    found = interpolate("{circle}", {"circle": circle})

    assert found.text == "[1, [...]]"


def test_the_result_of_a_run_inserts_its_answer() -> None:
    result = SimpleNamespace(answer="42", responses=["41", "42"])

    found = interpolate("Improve this: {result}", {"result": result})

    assert found.text == "Improve this: 42"


@pytest.mark.parametrize("value", ["x" * 300_000, ["x"] * 300_000, SimpleNamespace(answer="x" * 300_000, responses=[])])
def test_a_long_value_is_cut_and_says_so(value: object) -> None:
    found = interpolate("{value}", {"value": value})

    assert len(found.text) < MAX_CHARACTERS + 100
    assert found.used[0].note.startswith("first 200,000")
    assert found.used[0].note in found.text


def test_an_interrupt_passes_through_a_property() -> None:
    class Slow:
        @property
        def value(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate("{slow.value}", {"slow": Slow()})


def test_a_frame_is_a_table_on_lines_of_its_own() -> None:
    frame = pd.DataFrame({"city": ["Oslo", "a|b\nc"], "n": [1, 2]})

    found = interpolate("Look at {df}, please.", {"df": frame})

    assert found.text == ("Look at \n| city | n |\n| --- | --- |\n| Oslo | 1 |\n| a\\|b\\nc | 2 |\n, please.")
    assert [(used.kind, used.note) for used in found.used] == [("DataFrame", "")]


def test_a_large_frame_is_cut_and_says_so() -> None:
    frame = pd.DataFrame({f"c{number}": ["x" * 100] * 1000 for number in range(15)})

    found = interpolate("{df}", {"df": frame})

    lines = found.text.splitlines()
    assert len(lines) == 2 + 20 + 1
    assert lines[0].count("|") == 12 + 1
    assert all(len(cell) <= MAX_CELL for line in lines[:-1] for cell in line.strip("| ").split(" | "))
    assert found.used[0].note == "first 20 of 1,000 rows, first 12 of 15 columns; 240 cells cut to 80 characters"
    assert lines[-1] == f"({found.used[0].note})"


def test_an_index_that_says_something_is_shown() -> None:
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["p", "q"], name="key"))

    found = interpolate("{df}\n{df['n']}\n{df.n[0:1]}", {"df": frame})

    table = "| key | n |\n| --- | --- |\n| p | 1 |\n| q | 2 |"
    assert found.text == f"{table}\n{table}\n{{df.n[0:1]}}"


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(index=["a", "b"]),
        pd.DataFrame({"a": []}),
        pd.Series([1.5, None]),
        pd.DataFrame({("a", "b"): [1]}, index=pd.MultiIndex.from_tuples([("x", 1)], names=["p", "q"])),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ],
)
def test_odd_frames_can_be_written(frame: pd.DataFrame | pd.Series) -> None:
    found = interpolate("{frame}", {"frame": frame})

    assert found.used
    assert "{frame}" not in found.text


def test_columns_of_a_frame_can_be_named() -> None:
    found = interpolate("{df.columns[1]} {df.shape}", {"df": pd.DataFrame({"a": [1], "b": [2]})})

    assert found.text == "b [1, 2]"


def test_a_polars_frame_is_known_without_importing_it() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": range(25)})

    found = interpolate("{df}", {"df": frame})

    assert found.text.startswith("| a |\n| --- |\n| 0 |\n| 1 |")
    assert found.used[0].note == "first 20 of 25 rows"


def test_the_module_itself_does_not_need_pandas() -> None:
    module = sys.modules[interpolate.__module__]

    assert not {"pd", "pandas", "polars"} & set(vars(module))
