"""An IPython shell inside the test process, with the extension loaded anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


@dataclass(frozen=True)
class Ran:
    """What running a cell did: its value, its error, the text on the terminal and the bundles that were displayed."""

    value: Any
    error: BaseException | None
    text: str
    shown: list[dict[str, Any]]

    @property
    def everything(self) -> str:
        return "\n".join([self.text, *(str(part) for bundle in self.shown for part in bundle.values())])

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


class Cells:
    """Runs cells as a user types them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def __call__(self, code: str) -> Ran:
        with capture_output() as captured:
            result = self.shell.run_cell(code, store_history=True)
        shown = [output.data for output in captured.outputs]
        error = result.error_before_exec or result.error_in_exec
        return Ran(result.result, error, captured.stdout + captured.stderr, shown)

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __setitem__(self, name: str, value: object) -> None:
        self.shell.user_ns[name] = value


@pytest.fixture(scope="module")
def bare_shell() -> Iterator[InteractiveShell]:
    """The process's shell: `display` knows only the one instance, so it is taken away again afterwards."""
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell = InteractiveShell.instance(config=config)
    yield shell
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


@pytest.fixture
def cell(bare_shell: InteractiveShell) -> Iterator[Cells]:
    """`cell(code)` runs a cell in a shell with an empty namespace and fresh settings."""
    bare_shell.user_ns.clear()
    bare_shell.init_user_ns()
    bare_shell.run_cell("%load_ext fusion_magic")
    yield Cells(bare_shell)
    bare_shell.run_cell("%unload_ext fusion_magic")
    bare_shell.config.pop("FusionMagics", None)
