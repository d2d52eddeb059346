"""What a person sees of a cell in JupyterLab."""

from collections.abc import Iterator

import pytest

from browser.driver import Lab, write_notebook

pytestmark = pytest.mark.browser


# Ends with the module: while playwright's synchronous API is open, asyncio.run fails in this thread.
@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("notebooks")) as lab:
        yield lab


def test_a_cell_runs_in_a_real_browser_without_errors_on_its_console(lab: Lab) -> None:
    write_notebook(lab.root / "sum.ipynb", ["1 + 1"])
    notebook = lab.open("sum.ipynb")

    notebook.run_all()

    assert notebook.outputs() == [["2"]]
    assert notebook.save().cells[0].outputs[0].data["text/plain"] == "2"
    assert notebook.errors == []
