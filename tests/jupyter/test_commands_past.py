"""`%fusion last`, `history`, `show`, `resume` and `rejudge`: earlier runs, found, shown and worked on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from fusion_magic import FusionResult, Line, fuse, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.folders import data_dir
from fusion_magic.store import Place, open_store

from .conftest import Cells, Ran
from .flag_cases import ANALYSIS, ANSWERS
from .hostile import HOSTILE
from .kernels import start, stop
from .pages import STYLE, UNSEEN, Page
from .stored import answered, run, settled, without_answer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHORT = [evil for evil in HOSTILE.values() if len(evil) < 10_000]


def rows(ran: Ran) -> list[str]:
    return ran.shown[0]["text/plain"].splitlines()


# --- last, history, show ----------------------------------------------------------------------------


def test_last_is_this_kernels_latest_run(cell: Cells) -> None:
    with scripted(ANSWERS):
        made = fuse("What?", models=["a/one"])

    ran = cell("%fusion last")

    assert ran.value is made
    assert cell["_fusion"] is made
    assert len(ran.shown) == 1


def test_last_in_a_new_kernel_is_its_notebooks_latest_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel")
    run("aaaaaaaaaaaa", "Mine?", notebook="/n/mine.ipynb", created=NOON)
    run("bbbbbbbbbbbb", "Of another?", notebook="/n/other.ipynb", created=NOON + timedelta(hours=1))
    monkeypatch.setenv("JPY_SESSION_NAME", "/n/mine.ipynb")

    kernel = start("")
    try:
        ran = kernel.run("%load_ext fusion_magic\n%fusion last")
        prompt = kernel.value("_fusion.prompt")
    finally:
        stop(kernel)

    assert "Paris" in ran.html[0]
    assert prompt == "Mine?"


def test_history_lists_runs_newest_first_with_cost_and_state(cell: Cells) -> None:
    run("aaaaaaaaaaaa", "An older one?", preset="budget", created=NOON)
    run("bbbbbbbbbbbb", "A newer one?", "/n/tides.ipynb", created=NOON + timedelta(days=1), status="cancelled")

    told = rows(cell("%fusion history"))

    assert [line.split()[0] for line in told[:3]] == ["run", "bbbbbbbbbbbb", "aaaaaaaaaaaa"]
    assert all(word in told[1] for word in ("A newer one?", "$0.0040", "stopped", "tides.ipynb"))
    assert all(word in told[2] for word in (f"{NOON.astimezone():%Y-%m-%d %H:%M}", "An older one?", "budget"))
    assert "%fusion show ID" in told[-1]


def test_history_by_a_word_lists_only_runs_that_have_it(cell: Cells) -> None:
    run("aaaaaaaaaaaa", "Why are there tides?")
    run("bbbbbbbbbbbb", "Why is the sky blue?")

    told = cell("%fusion history tides").everything

    assert "aaaaaaaaaaaa" in told
    assert "bbbbbbbbbbbb" not in told


@pytest.mark.parametrize(("word", "said"), [("", "No run is kept yet."), ("tides", "No run is kept whose")])
def test_history_without_runs_is_a_sentence_and_makes_no_store(cell: Cells, word: str, said: str) -> None:
    (data_dir() / "store.sqlite3").unlink()

    ran = cell(f"%fusion history {word}")

    assert said in ran.text
    assert not (data_dir() / "store.sqlite3").exists()


def test_history_says_when_older_runs_are_left_out(cell: Cells) -> None:
    for number in range(51):
        run(f"{number:012}", "Why?", calls=())

    told = rows(cell("%fusion history"))

    assert len(told) == 1 + 50 + 1
    assert "older ones are not shown" in told[-1]


@pytest.mark.parametrize("half", [0, 1])
def test_hostile_prompts_stay_text_on_one_line_of_the_history(cell: Cells, half: int) -> None:
    for number, evil in enumerate(SHORT[half::2]):
        run(f"{number:012}", evil, notebook=evil, preset=evil, calls=())

    (shown,) = cell("%fusion history").shown

    assert Page(STYLE.sub("", shown["text/html"], count=1)).forbidden == []
    assert len(shown["text/plain"].splitlines()) == 1 + len(SHORT[half::2]) + 1
    assert not UNSEEN.search(shown["text/plain"].replace("\n", ""))


def test_show_takes_the_beginning_of_an_id_and_draws_the_run_once(cell: Cells) -> None:
    made = run("abcdefabcdef", "Which capital?")

    ran = cell("%fusion show abcd")

    assert ran.value == made
    assert cell["_fusion"] == made
    assert len(ran.shown) == 1
    assert "The capital is" in ran.shown[0]["text/plain"]


# --- resume and rejudge -----------------------------------------------------------------------------


def test_resume_asks_only_what_is_missing(cell: Cells) -> None:
    broken = without_answer()

    with scripted(ANSWERS) as script:
        ran = cell(f"%fusion resume {broken.id}")

    assert [request.stage for request in script.requests] == ["synthesis"]
    assert ran.value.answer == "The capital is Paris."
    assert ran.value.parent == broken.id
    assert cell["_fusion"] is ran.value
    assert "3 of 4 answers were kept" in ran.text


def test_resume_without_an_id_takes_the_latest_that_is_not_finished(cell: Cells) -> None:
    broken = without_answer()
    answered()

    with scripted(ANSWERS):
        ran = cell("%fusion resume --quiet")

    assert ran.value.parent == broken.id
    assert "were kept" not in ran.text


def test_resume_without_an_id_passes_over_what_was_resumed_and_what_goes_on(cell: Cells) -> None:
    broken = without_answer()
    with scripted(ANSWERS):
        open_store().end(cell(f"%fusion resume {broken.id} --quiet").value, Place())
    with scripted({**ANSWERS, "*": Line("Paris.", first_token=600)}):
        going_on = Running(request_for("What?", models=["a/one"]))
        until(lambda: going_on.state.started is not None)
        begin(going_on)

        ran = cell("%fusion resume")

        going_on.stop()
    assert "no unfinished run" in ran.text


def begin(running: Running) -> None:
    """The store has it as a run that began, as it would have without a script."""
    assert running.state.started
    open_store().begin(running.state.started, Place(), None)
    settled()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_run_that_is_finished_is_not_resumed(cell: Cells) -> None:
    made = answered()

    ran = cell(f"%fusion resume {made.id}")

    assert ran.lines == [f"SettingsError: {ran.error}"]
    assert "is finished" in ran.text


def test_rejudge_asks_the_judge_and_the_synthesizer_alone(cell: Cells) -> None:
    made = answered()

    with scripted({**ANSWERS, "k/new": ANALYSIS}) as script:
        ran = cell(f'%fusion rejudge {made.id[:6]} --judge k/new --rubric "Weigh the dates." --into better')

    assert [(request.stage, request.model) for request in script.requests] == [("judge", "k/new"), ("synthesis", "s/x")]
    assert "Weigh the dates." in str(script.requests[0].messages)
    assert [seat.content for seat in ran.value.responses] == [seat.content for seat in made.responses]
    assert cell["better"] is ran.value


def test_tools_of_the_notebook_are_found_again_when_a_run_is_resumed(cell: Cells) -> None:
    cell('def twice(number: int) -> int:\n    """Twice."""\n    return 2 * number')
    made = without_answer().model_copy(update={"id": "abcdefabcdef"})
    named = made.model_copy(update={"settings": made.settings | {"tools": ["twice"], "judge_tools": True}})
    run(
        named.id,
        status="error",
        **{name: getattr(named, name) for name in ("settings", "responses", "calls")},
        answer=None,
    )

    with scripted(ANSWERS):
        found = cell("%fusion resume abcdef")
        del cell.shell.user_ns["twice"]
        lost = cell("%fusion resume abcdef")

    assert isinstance(found.value, FusionResult), found.text
    assert "twice" in str(lost.error)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("last one", ["takes nothing"]),
        ("show", ["the ID of one run", "%fusion history"]),
        ("show abc def", ["the ID of one run"]),
        ("show abc", ['no run "abc"']),
        ("resume", ["no unfinished run"]),
        ("resume abc", ['no run "abc"']),
        ("resume abc --jugde x", ["--judge"]),
        ("rejudge", ["%fusion rejudge ID --judge MODEL"]),
        ("rejudge --judge x/y", ["%fusion rejudge ID --judge MODEL"]),
        ("rejudge abc --judge x/y", ['no run "abc"']),
    ],
)
def test_a_line_that_cant_be_carried_out_is_one_sentence(cell: Cells, line: str, words: list[str]) -> None:
    settled()

    ran = cell(f"%fusion {line}")

    assert len(ran.lines) == 1
    assert all(word in ran.lines[0] for word in words), ran.text
