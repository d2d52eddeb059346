"""`%%fusion` in a real `jupyter console` and a real `ipython`, where text is shown as it comes and stays as it is."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import IPython
import pytest

pexpect = pytest.importorskip("pexpect")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals"),
]

PROMPT = r"\r\nIn \[\d+\]: "
OUT = re.compile(r"^Out\[\d+\]:")
SECONDS = 60  # for one text; far above what any takes
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SCRIPT = (
    "from fusion_magic import Line, scripted; "
    "script = scripted({'judge': {'consensus': ['It is Paris.'], 'contradictions': [], 'partial_coverage': [], "
    "'unique_insights': [], 'blind_spots': ['Nobody says since when.']}, 'synthesis': 'The capital is Paris.', "
    "'c/slow': Line('Never.', first_token=600), '*': 'Paris, says the seat.'})"
)


PROGRAMS = {
    "jupyter console": ["-m", "jupyter_console", "--JupyterConsoleApp.confirm_exit=False"],
    "ipython": ["-m", "IPython", "--no-confirm-exit"],
}


class Console:
    """A program on a terminal and who types into it."""

    def __init__(self, program: str) -> None:
        self.program = program
        # A dumb terminal: what is typed is written once, and nothing is drawn over.
        self.terminal = pexpect.spawn(
            sys.executable,
            PROGRAMS[program],
            env={**os.environ, "TERM": "dumb"},
            dimensions=(50, 200),
            encoding="utf-8",
            timeout=SECONDS,
        )
        self.terminal.expect(PROMPT)

    def type(self, code: str) -> None:
        """Type a cell and end it; a cell magic ends with an empty line."""
        ending = "\r\r\r" if code.startswith("%%") else "\r"
        self.terminal.send(code.replace("\n", "\r") + ending)

    def wait(self, pattern: str) -> str:
        """Wait for a text; returns what came before it."""
        self.terminal.expect(pattern)
        return CONTROL.sub("", self.terminal.before).replace("\r", "")

    def run(self, code: str) -> list[str]:
        """The lines that a cell writes, without those that were typed."""
        self.type(code)
        typed = tuple(code.splitlines())
        lines = [OUT.sub("", line).strip() for line in self.wait(PROMPT).splitlines()]
        return [line for line in lines if line and not line.startswith(typed)]


@pytest.fixture(scope="module", params=PROGRAMS)
def console(request: pytest.FixtureRequest) -> Iterator[Console]:
    console = Console(request.param)
    console.run("%load_ext fusion_magic")
    console.run(SCRIPT)
    yield console
    console.terminal.close(force=True)


def test_a_run_is_told_line_by_line_then_the_whole_result_is_readable(console: Console) -> None:
    lines = console.run("%%fusion -m a/one -m b/two\nWhat is the capital of France?")

    told = [line for line in lines if line.startswith(("A  a/one", "B  b/two", "judge  a/one", "synthesizer  a/one"))]
    result = lines[lines.index("The capital is Paris.") :]
    assert [line.split("  ")[0] for line in told[:4]] == ["A", "B", "judge", "synthesizer"]
    assert all(line.endswith("waiting") for line in told[:4])
    assert {line.split("  ")[0] for line in told if "  done  " in line} == {"A", "B", "judge", "synthesizer"}
    assert lines.index(told[-1]) < lines.index("The capital is Paris.")
    for part in ("It is Paris.", "Nobody says since when.", "Paris, says the seat."):
        assert part in "\n".join(result)
    assert result[-1].startswith("4 calls · ")
    assert not any(re.search(r"<\w+|LiveView|\*\*", line) for line in lines)


def test_the_result_is_printed_once_and_again_when_it_is_asked_for(console: Console) -> None:
    if console.program == "ipython" and IPython.version_info[0] < 8:
        pytest.skip("IPython 7's terminal does not ask a value how to show itself and prints it again")
    ran = console.run("%%fusion -m a/one\nWhat is the capital of France?")
    asked_for = console.run("_fusion")

    assert ran.count("The capital is Paris.") == 1
    assert asked_for.count("The capital is Paris.") == 1


def test_an_error_is_one_line(console: Console) -> None:
    (line,) = console.run("%%fusion -p budgt\nWhat?")

    assert line.startswith('UnknownPanel: There is no panel "budgt"')


def test_control_c_prints_what_was_answered(console: Console) -> None:
    console.type("%%fusion -m a/one -m c/slow\nWhat is the capital of France?")
    console.wait("A  a/one .*  done  ")  # while the other seat goes on: the lines come as it happens

    console.terminal.sendintr()
    ended = console.wait(PROMPT)

    assert "Stopped. What was answered is kept." in ended
    assert "Paris, says the seat." in ended
    assert "FusionInterrupted: The run was stopped; 1 of 2 answers are kept" in ended
