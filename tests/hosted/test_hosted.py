"""`%%fusion` in a kernel of an old hosted notebook; the tests of tests/jupyter run in that environment as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hosted.pins import pins

from ..jupyter.kernels import SECONDS, Kernel, start, stop

pytestmark = pytest.mark.hosted
SCRIPT = """
%load_ext fusion_magic
from fusion_magic import scripted
script = scripted({"synthesis": "The capital is **Paris**.", "*": "Paris."})
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = start("nobodys-secret")
    loaded = kernel.run(SCRIPT)
    assert loaded.reply["status"] == "ok", loaded.error
    yield kernel
    stop(kernel)


def test_the_kernel_has_the_old_versions(kernel: Kernel) -> None:
    kernel.run(f"from importlib.metadata import version\nnames = {[*pins()]}")

    assert kernel.value("dict(zip(names, map(version, names)))") == pins()


@pytest.mark.parametrize("above", ["", "%%time\n", "%%capture --no-display\n"])
def test_a_cell_is_answered(kernel: Kernel, above: str) -> None:
    ran = kernel.run(f"{above}%%fusion -m a/one -m b/two --into r\nWhat is the capital of France?")

    assert ran.reply["status"] == "ok", ran.error
    assert "The capital is <strong>Paris</strong>." in ran.html[-1]
    assert kernel.value("[r.answer, r.status, r is _fusion]") == ["The capital is **Paris**.", "ok", True]


def test_tab_offers_nothing_of_ours_and_says_nothing(kernel: Kernel) -> None:
    client: Any = kernel.client  # its `reply` is not in its signature
    reply = client.complete("%%fusion --pan", 14, reply=True, timeout=SECONDS)["content"]
    printed = kernel.run("pass")

    assert reply["status"] == "ok"
    assert "--panel" not in reply["matches"]
    assert printed.text == ""
