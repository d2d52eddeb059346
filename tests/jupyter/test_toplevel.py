"""Which cells are awaited, so that the kernel's loop is free while they run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .kernels import Kernel, start, stop

pytest.importorskip("ipykernel")

HELLO = """
import asyncio
from fusion_magic import Line, fuse, scripted
%load_ext fusion_magic
script = scripted({"*": Line("Paris.", first_token=0.1)})
ticks, begun, during = 0, [], 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)
ticking = asyncio.get_running_loop().create_task(tick())
def begin(_):
    begun.append(ticks)
def end(_):
    global during
    during = ticks - begun.pop() if begun else 0
get_ipython().events.register("pre_run_cell", begin)
get_ipython().events.register("post_run_cell", end)
"""
CELL = "%%fusion -m a/one --judge a/one --into r\nWhat is the capital of France?"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = start("")
    assert kernel.run(HELLO).reply["status"] == "ok"
    yield kernel
    stop(kernel)


def ticks_during(kernel: Kernel, code: str) -> int:
    """How often a task on the kernel's loop ran while a cell did."""
    kernel.run("r = None")
    ran = kernel.run(code)
    during = kernel.value("during")
    assert ran.reply["status"] == "ok", ran.error
    assert kernel.value("r.answer") == "Paris."
    return during


def test_a_cell_of_its_own_leaves_the_kernels_loop_free(kernel: Kernel) -> None:
    assert ticks_during(kernel, CELL) > 2


@pytest.mark.parametrize(
    "code",
    [
        f"%%time\n{CELL}",
        f"get_ipython().run_cell({CELL!r})",
        f"for _ in range(2):\n    get_ipython().run_cell({CELL!r})",
        f"def ask():\n    get_ipython().run_cell({CELL!r})\nask()",
    ],
    ids=["%%time", "run_cell", "in a loop", "in a function"],
)
def test_a_cell_inside_another_waits_in_its_thread(kernel: Kernel, code: str) -> None:
    assert ticks_during(kernel, code) == 0


def test_a_cell_under_capture_works(kernel: Kernel) -> None:
    ticks_during(kernel, f"%%capture said\n{CELL}")

    assert kernel.value("['Paris.' in str(shown.data) for shown in said.outputs if shown.data]") == [True]


def test_without_autoawait_the_cell_waits_in_its_thread(kernel: Kernel) -> None:
    kernel.run("%autoawait off")
    try:
        assert ticks_during(kernel, CELL) == 0
    finally:
        kernel.run("%autoawait on")


def test_after_cells_that_fail_the_next_is_awaited_again(kernel: Kernel) -> None:
    for broken in ("1 / 0", "this is no Python", "%%fusion --no-such-flag\nWhat?", "%%nomagic\nx"):
        kernel.run(broken)

    assert ticks_during(kernel, CELL) > 2


def test_other_cells_stay_as_they_are(kernel: Kernel) -> None:
    code = ["%fusion panels", "x = '%%fusion'", "%%time\nx = 1", "%%fusionist\nx"]

    assert kernel.value(f"['fusion_async' in get_ipython().transform_cell(code) for code in {code!r}]") == [False] * 4


def test_unloading_takes_the_rewriting_away_and_reloading_leaves_it_once(kernel: Kernel) -> None:
    kernel.run("before = len(get_ipython().input_transformers_post)\n%reload_ext fusion_magic")
    assert kernel.value("len(get_ipython().input_transformers_post) - before") == 0
    assert ticks_during(kernel, CELL) > 2

    kernel.run("%unload_ext fusion_magic")

    assert kernel.value("len(get_ipython().input_transformers_post) - before") == -1
    kernel.run("%load_ext fusion_magic")


def test_a_cell_without_a_prompt_is_told_so_by_its_own_name(kernel: Kernel) -> None:
    ran = kernel.run("%%fusion -m a/one")

    assert ran.reply["ename"] == "UsageError"
    assert "%%fusion is a cell magic, but the cell body is empty" in ran.reply["evalue"] + ran.text + "".join(ran.error)
