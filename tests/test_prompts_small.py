"""The prompts for tiny models: what is asked fits, what comes back is read, and nothing of the example survives."""

import pytest

from fusion_magic import prompts_small as small

QUESTION = "Should I use SQLite or PostgreSQL?"
RESPONSES = {
    "A": "Use SQLite. It is one file and needs no server.",
    "B": "Use PostgreSQL. Many people can write at the same time.",
    "C": "Start with SQLite. Make backups every day.",
}
LABELS = tuple(RESPONSES)
FIELD = {field.name: field for field in small.FIELDS}
CONTEXT = 4096  # tokens of one request in the embedded server
EXAMPLE = 300  # tokens of the system prompt and the example turns; SmolLM2 makes 225 of them


def size(messages: list[dict[str, str]]) -> int:
    """Bytes: no fewer than the tokens of any byte-level tokenizer."""
    return sum(len(message["content"].encode()) for message in messages)


def seats(count: int, text: str = "Some answer.") -> dict[str, str]:
    return dict.fromkeys("ABCDEFGH"[:count], text)


# -- asking -----------------------------------------------------------------------------------------------


def test_there_is_one_field_for_each_part_of_the_analysis() -> None:
    assert list(FIELD) == ["consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots"]


@pytest.mark.parametrize("field", small.FIELDS, ids=lambda field: field.name)
def test_the_example_comes_in_turns_and_the_real_responses_last(field: small.Field) -> None:
    messages = field.messages(QUESTION, RESPONSES)

    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * 5, "user"]
    assert messages[-1]["content"].endswith(f"Question: {QUESTION}\n{field.request}")
    assert all(text in messages[-1]["content"] for text in RESPONSES.values())


def test_fields_share_all_but_the_last_line_so_that_the_server_can_reuse_it() -> None:
    chats = [field.messages(QUESTION, RESPONSES) for field in small.FIELDS]

    assert len({str(chat[:-1]) for chat in chats}) == 1
    assert len({chat[-1]["content"].rsplit("\n", 1)[0] for chat in chats}) == 1


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("letter", ["a", "中", "🦉"])
def test_any_number_of_long_responses_fits_the_context(count: int, letter: str) -> None:
    responses = seats(count, letter * 50_000)
    question = letter * 50_000

    for field in small.FIELDS:
        real = field.messages(question, responses)[-1:]
        assert EXAMPLE + size(real) + small.FIELD_TOKENS < CONTEXT
    assert size(small.synthesis_messages(question, responses, None)) + 100 + small.SYNTHESIS_TOKENS < CONTEXT


def test_a_long_response_is_cut_at_the_end_of_a_sentence() -> None:
    last = FIELD["consensus"].messages(QUESTION, {"A": "This is a sentence. " * 100})[-1]["content"]

    assert "This is a sentence.\n\nQuestion:" in last


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("field", small.FIELDS, ids=lambda field: field.name)
def test_a_grammar_allows_no_letter_of_an_empty_seat(field: small.Field, count: int) -> None:
    grammar = field.grammar(tuple(seats(count)))

    assert grammar.startswith("root ::= ")
    assert "[]" not in grammar
    assert "()" not in grammar
    assert not any(f"{letter} says" in grammar for letter in "ABCDEFGH"[count:])


def test_one_response_can_neither_agree_nor_contradict() -> None:
    asked = [field.name for field in small.FIELDS if field.applies(("A",))]

    assert asked == ["unique_insights", "blind_spots"]


def test_the_synthesis_reads_every_response_and_the_question_last() -> None:
    messages = small.synthesis_messages(QUESTION, RESPONSES, {"consensus": ["Both are free."]})

    content = messages[-1]["content"]
    assert all(text in content for text in [*RESPONSES.values(), "Both are free."])
    assert content.endswith(QUESTION)


def test_the_synthesis_works_without_an_analysis() -> None:
    assert small.synthesis_messages(QUESTION, RESPONSES, None)[-1]["content"].endswith(QUESTION)


# -- reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "findings"),
    [
        ("consensus", "The answers agree that SQLite is one file.", ["SQLite is one file."]),
        (
            "contradictions",
            "Answer A says to use SQLite, but Answer B says to use SQLite only for tests.",
            [
                {
                    "topic": "sqlite",
                    "stances": [
                        {"label": "A", "stance": "Use SQLite."},
                        {"label": "B", "stance": "Use SQLite only for tests."},
                    ],
                }
            ],
        ),
        (
            "partial_coverage",
            "Answers A and C say to use SQLite.",
            [{"labels": ["A", "C"], "point": "Use SQLite."}],
        ),
        (
            "unique_insights",
            "Only Answer C says that backups matter.",
            [{"label": "C", "insight": "Backups matter."}],
        ),
        ("blind_spots", "No answer talks about the price of a server.", ["The price of a server."]),
    ],
)
def test_a_whole_sentence_becomes_a_finding(name: str, text: str, findings: list[object]) -> None:
    assert FIELD[name].parse(text, LABELS) == findings


@pytest.mark.parametrize("field", small.FIELDS, ids=lambda field: field.name)
def test_a_reply_may_be_cut_anywhere(field: small.Field) -> None:
    whole = {
        "consensus": "The answers agree that SQLite is a good choice for one of the small sites.",
        "contradictions": "Answer A says to use SQLite, but Answer B says to use PostgreSQL for the site.",
        "partial_coverage": "Answers A and C say to use SQLite for one of the small sites.",
        "unique_insights": "Only Answer C says to make backups for one of the small sites.",
        "blind_spots": "No answer talks about the price of one of the servers.",
    }[field.name]

    for end in range(len(whole)):
        for finding in field.parse(whole[:end], LABELS):
            assert not str(finding).endswith((" the.", " of.", " a.", " for."))
    assert field.parse(whole, LABELS)


def test_a_stance_may_be_one_word() -> None:
    found = FIELD["contradictions"].parse("Answer A says to buy a home, but Answer B says to rent.", LABELS)

    assert [stance["stance"] for stance in found[0]["stances"]] == ["Buy a home.", "Rent."]


def test_a_cut_sentence_ends_with_a_whole_word() -> None:
    found = FIELD["consensus"].parse("The answers agree that SQLite is simple to set up for the sma", LABELS)

    assert found == ["SQLite is simple to set up."]


def test_a_contradiction_cut_before_its_second_stance_is_none() -> None:
    assert FIELD["contradictions"].parse("Answer A says to use SQLite, but Answer B says", LABELS) == []


def test_a_contradiction_of_two_equal_stances_is_none() -> None:
    text = "Answer A says to use SQLite, but Answer B says to use SQLite."

    assert FIELD["contradictions"].parse(text, LABELS) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("contradictions", "Answer A says to wait, but Answer F says to go."),
        ("contradictions", "Answer A says to wait, but Answer A says to go."),
        ("partial_coverage", "Answers F and G say to wait a day."),
        ("unique_insights", "Only Answer F says to wait a day."),
    ],
)
def test_letters_of_empty_seats_are_dropped(name: str, text: str) -> None:
    assert FIELD[name].parse(text, LABELS) == []


def test_a_point_keeps_those_of_its_letters_that_sit_here() -> None:
    found = FIELD["partial_coverage"].parse("Answers A, B and G say to wait a day.", LABELS)

    assert found == [{"labels": ["A", "B"], "point": "Wait a day."}]


@pytest.mark.parametrize("text", ["", " \n", "None.", "No contradictions.", "N/A", "?", "Answer", ". . ."])
@pytest.mark.parametrize("field", small.FIELDS, ids=lambda field: field.name)
def test_an_empty_reply_has_no_findings(field: small.Field, text: str) -> None:
    assert field.parse(text, LABELS) == []


def test_a_list_from_a_server_without_grammars_is_read_line_by_line() -> None:
    text = "- **A:** states that one file is enough.\n- C suggests to make backups.\n"

    found = FIELD["unique_insights"].parse(text, LABELS)

    assert found == [
        {"label": "A", "insight": "One file is enough."},
        {"label": "C", "insight": "Make backups."},
    ]


# -- the example stays out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "The answers agree that the trumpet should be rinsed.",
        "Answer A says to use wax, but Answer B says to use PostgreSQL.",
        "Only Answer C says to grease the server.",
        "No answer talks about the mouthpiece.",
        "No answer talks about Rinsing the database.",
        *(field.reply for field in small.FIELDS),
    ],
)
def test_a_finding_about_the_examples_subject_is_an_echo(text: str) -> None:
    assert small.echoes_example(text, QUESTION, RESPONSES)


@pytest.mark.parametrize(
    "text",
    [
        "The answers agree that SQLite is one file.",
        "Answer A says to use SQLite, but Answer B says to use PostgreSQL.",
        "No answer talks about the cost of cleaning up old data.",
    ],
)
def test_a_finding_about_the_real_question_is_no_echo(text: str) -> None:
    assert not small.echoes_example(text, QUESTION, RESPONSES)


def test_the_examples_words_are_allowed_where_the_question_has_them() -> None:
    text = "The answers agree that a trumpet needs practice."

    assert not small.echoes_example(text, "How do I learn the trumpet?", {"A": "Practise every day."})


def test_a_word_for_word_copy_is_an_echo_even_where_the_words_are_real() -> None:
    reply = FIELD["unique_insights"].reply

    assert small.echoes_example(reply, "How do I grease the valves of a trumpet?", {"C": "Grease the valves."})


def test_every_example_reply_has_a_word_that_gives_it_away() -> None:
    replies = [field.reply for field in small.FIELDS]

    assert all(small.echoes_example(f"And then: {reply}", QUESTION, RESPONSES) for reply in replies)
