"""Takes the pictures in docs/pictures from a real run of the embedded model in JupyterLab: `python docs/pictures.py`.

Needs the extras lab, local and dev, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.driver import Lab, Theme, write_notebook  # noqa: E402 - the driver is the tests' own

SIZE = (1000, 1400)
CELLS = (
    "%load_ext fusion_magic",
    "%%fusion --panel local\nShould I use SQLite or PostgreSQL for a small web application with about 100 daily users?",
)


def take(theme: Theme, target: Path) -> None:
    """Run the cells and take a picture of the finished one."""
    with tempfile.TemporaryDirectory() as folder:
        write_notebook(Path(folder, "cell.ipynb"), CELLS)
        with Lab(Path(folder), theme=theme, size=SIZE) as lab:
            notebook = lab.open("cell.ipynb")
            notebook.run_all(timeout=300)
            cell = notebook.page.locator(".jp-Notebook .jp-Cell").nth(1)
            cell.screenshot(path=target)


if __name__ == "__main__":
    for theme in ("light", "dark"):
        take(theme, ROOT / "docs" / "pictures" / f"cell-{theme}.png")
