"""The line of `%%fusion`: every setting has a flag, and a line that can't be read is a sentence."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from fusion_magic import Settings
from fusion_magic.jupyter.flags import parse, parser


def flags_of(name: str) -> list[str]:
    return next([*action.option_strings] for action in parser()._actions if action.dest == name)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_flag_with_an_explanation(name: str) -> None:
    action = next(action for action in parser()._actions if action.dest == name)

    assert any(flag.startswith("--") for flag in action.option_strings)
    assert action.help


def test_a_line_without_flags_chooses_nothing() -> None:
    line = parse("")

    assert line.settings == {}
    assert (line.into, line.static, line.raw, line.quiet) == (None, False, False, False)


@pytest.mark.parametrize(("short", "long"), [("-p x", "--panel x"), ("-m a/b -m c/d", "--model a/b --model c/d")])
def test_a_short_form_is_its_long_form(short: str, long: str) -> None:
    assert parse(short) == parse(long)


def test_models_add_up_in_order_and_may_repeat() -> None:
    assert parse("-m a/b --model c/d@ollama -m a/b").settings["models"] == ["a/b", "c/d@ollama", "a/b"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('--system "Be brief, please."', "Be brief, please."),
        ("--system 'Say \"no\" often.'", 'Say "no" often.'),
        ('--system "don\'t guess"', "don't guess"),
        ('--system="-- a dash first"', "-- a dash first"),
        ('--system "- be brief"', "- be brief"),
        ("--system Zürich", "Zürich"),
        ('--system ""', ""),
    ],
)
def test_texts_are_quoted_as_in_a_terminal(line: str, text: str) -> None:
    assert parse(line).settings == {"system": text}


def test_numbers_arrive_as_numbers() -> None:
    given = parse("--max-tokens 400 --temperature .5 --timeout 30 --quorum 2").settings

    assert given == {"max_tokens": 400, "temperature": 0.5, "timeout": 30.0, "quorum": 2}


def test_the_flags_of_the_cell_are_not_settings() -> None:
    line = parse("--into answer --static --raw --quiet --dry-run --confirm")

    assert (line.into, line.static, line.raw, line.quiet) == ("answer", True, True, True)
    assert (line.dry_run, line.confirm) == (True, True)
    assert line.settings == {}


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("--fresh", {"fresh": "all"}),
        ("--fresh judge", {"fresh": "judge"}),
        ("--fresh --reuse never", {"fresh": "all", "reuse": "never"}),
        ("--no-store", {"store": False}),
        ("--store", {"store": True}),
        ("--max-usd .5 --max-usd-day 2", {"max_usd": 0.5, "max_usd_day": 2.0}),
        ("--allow-unpriced --thread 'my tides'", {"allow_unpriced": True, "thread": "my tides"}),
    ],
)
def test_flags_about_money_and_memory_set_what_they_say(line: str, given: dict[str, object]) -> None:
    assert parse(line).settings == given


@pytest.mark.parametrize(
    ("line", "nearest"), [("--modle x", '"--model"'), ("--jugde x", '"--judge"'), ("--max_tokens 5", '"--max-tokens"')]
)
def test_an_unknown_flag_names_the_nearest(line: str, nearest: str) -> None:
    with pytest.raises(UsageError, match="no flag") as raised:
        parse(line)

    assert nearest in str(raised.value)


def test_an_abbreviation_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="no flag"):
        parse("--max 5")


def test_a_bare_word_is_told_where_panels_and_prompts_go() -> None:
    with pytest.raises(UsageError, match=r'"budget" is no flag.*-p NAME'):
        parse("budget")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--max-tokens many", "--max-tokens"),
        ("--temperature warm", "--temperature"),
        ("--effort huge", "--effort"),
        ("-p", "-p/--panel"),
        ("--private yes", '"yes"'),
        ('--system "open', "quotation"),
        ("--fresh nobody", "--fresh"),
        ("--reuse sometimes", "--reuse"),
        ("--max-usd $5", "--max-usd"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_it(line: str, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(line)

    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["2x", "a-b", "a.b", "class", "''"])
def test_into_takes_only_a_name_that_can_be_a_variable(name: str) -> None:
    with pytest.raises(UsageError, match="--into takes a name"):
        parse(f"--into {name}")


def test_help_names_every_flag() -> None:
    told = parser().format_help()

    for name in [*Settings.model_fields, "into", "static", "raw", "quiet", "dry_run", "confirm", "teach"]:
        assert all(flag in told for flag in flags_of(name))


def test_a_lesson_and_the_answer_alone_can_not_both_be_shown() -> None:
    with pytest.raises(UsageError, match="choose one of them"):
        parse("--teach --quiet")
