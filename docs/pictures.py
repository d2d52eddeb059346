"""Takes the pictures in docs/pictures from real runs of the embedded model in JupyterLab: `python docs/pictures.py`.

Needs the extras lab, local and dev, and Chromium. The picker searches the catalogue of the tests' server: the models
have their real names, the prices are those of the day it was written.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.driver import Lab, Notebook, Theme, write_notebook  # noqa: E402 - the driver is the tests' own
from fusion_magic.folders import cache_dir  # noqa: E402
from servers.openrouter import Server  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
SIZE = (1000, 1500)
CELLS = (
    "%load_ext fusion_magic",
    "%%fusion --panel local\nShould I use SQLite or PostgreSQL for a small web application with about 100 daily users?",
    "%fusion pick budget",
)


def take(theme: Theme) -> None:
    """Run the cells and take a picture of the run, of its end and of the picker."""
    weights = cache_dir() / "models"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home, Server() as server:
        (Path(home) / "cache").mkdir()
        (Path(home) / "cache" / "models").symlink_to(weights)
        (Path(home) / "store.sqlite3").touch()  # of its own, so nothing is reused; not new, so its place is not told
        os.environ |= {"OPENROUTER_BASE_URL": server.base_url, "FUSION_HOME": home}
        write_notebook(Path(folder, "cell.ipynb"), CELLS)
        with Lab(Path(folder), theme=theme, size=SIZE) as lab:
            notebook = lab.open("cell.ipynb")
            notebook.command("application:toggle-left-area")
            notebook.start_cell(0)
            notebook.wait_idle()
            notebook.start_cell(1)
            _until_all_write(notebook)
            _picture(notebook, 1, f"run-{theme}")
            notebook.wait_idle(timeout=300)
            _picture(notebook, 1, f"cell-{theme}")
            notebook.start_cell(2)
            notebook.wait_idle()
            notebook.page.locator(".fm-picker").wait_for()
            _picture(notebook, 2, f"picker-{theme}")


def _until_all_write(notebook: Notebook) -> None:
    """Wait until every seat shows a few lines, or the judge has begun."""
    notebook.page.wait_for_function(
        """() => document.querySelector('.fm-judge:not([data-state=queued])')
            || [...document.querySelectorAll('.fm-panel .fm-text')].filter(t => t.innerText.length > 150).length > 2""",
        timeout=120_000,
    )


def _picture(notebook: Notebook, cell: int, name: str) -> None:
    notebook.page.locator(".jp-Notebook .jp-Cell").nth(cell).screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    for theme in ("light", "dark"):
        take(theme)
        del os.environ["FUSION_HOME"]
