"""JupyterLab on loopback and one of its notebooks in headless Chromium, as a person would use them.

    with Lab(folder) as lab:
        notebook = lab.open("demo.ipynb")
        notebook.run_all()
        notebook.screenshot("demo.png")

`python driver.py NOTEBOOK.ipynb PICTURE.png [light|dark]` runs a notebook and takes its picture.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

Theme = Literal["light", "dark"]
START_SECONDS = 60.0
RUN_SECONDS = 120.0
# Chromium refuses to sandbox as root, which CI is; the other switches keep it off the network.
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_IDLE = """() => {
    const panel = jupyterapp.shell.currentWidget;
    const waiting = panel.content.widgets.some(cell => (cell.prompt || '').includes('*'));
    return !waiting && window.fmPending === 0 && panel.sessionContext.session.kernel.status === 'idle';
}"""
_CONNECTED = """() => {
    const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
# Counted, because the kernel is still idle in the moment after a command was given.
_COMMAND = """command => {
    window.fmPending = (window.fmPending || 0) + 1;
    jupyterapp.commands.execute(command)
        .catch(error => console.error(command, String(error)))
        .finally(() => { window.fmPending -= 1; });
}"""
_TRUSTED = "() => [...jupyterapp.shell.currentWidget.content.model.cells].every(cell => cell.trusted !== false)"
_OUTPUTS = """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell =>
    [...cell.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText))"""


def missing() -> str | None:
    """What keeps the browser tests from running here, in a sentence; None if nothing does."""
    absent = [name for name in ("jupyterlab", "playwright") if importlib.util.find_spec(name) is None]
    if absent:
        return f"Browser tests need {' and '.join(absent)}: install the dev extra."
    return None if _chromium() else "Browser tests need Chromium: install it, or name it in CHROMIUM."


def write_notebook(path: Path, cells: Iterable[str]) -> None:
    """A notebook of code cells."""
    import nbformat  # costs every test process a second

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


class Notebook:
    """An open notebook with its kernel connected; `page` is playwright's, for all that is not named here."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path
        self.errors: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location['url']}")

    def command(self, name: str) -> None:
        """Give a JupyterLab command without waiting for its end."""
        self.page.evaluate(_COMMAND, name)

    def run_all(self, timeout: float = RUN_SECONDS) -> None:
        self.command("notebook:run-all-cells")
        self.wait_idle(timeout)

    def start_cell(self, index: int) -> None:
        """Run one cell; returns at once, so that a test can watch it, click in it or interrupt it."""
        self.page.evaluate("i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i }", index)
        self.command("notebook:run-cell")

    def interrupt(self) -> None:
        self.command("notebook:interrupt-kernel")

    def wait_idle(self, timeout: float = RUN_SECONDS) -> None:
        self.page.wait_for_function(_IDLE, timeout=timeout * 1000)

    def outputs(self) -> list[list[str]]:
        """The visible text of each output of each cell."""
        return self.page.evaluate(_OUTPUTS)

    def reload(self, shows: Locator) -> None:
        """Reload the page until a part of it that comes through a widget is there again.

        While a cell awaits, the kernel does not answer what JupyterLab asks of it first. JupyterLab waits 3 s for that,
        and the widgets' manager 4 s for the widgets: on a busy machine the second between can be too short, and the
        widgets come back only at the cell's end. Then a reader would reload again, as this does, twice at most.
        """
        from playwright.sync_api import TimeoutError

        for patience in (20, 20, 60):
            self.page.reload()
            try:
                return shows.wait_for(timeout=patience * 1000)
            except TimeoutError:
                continue
        raise AssertionError("The part did not come back after three reloads.")

    def trust(self) -> None:
        """Trust the notebook, as its reader does by the command; its outputs are then drawn anew."""
        self.command("notebook:trust")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function(_TRUSTED)

    def save(self) -> Any:
        """Save, and read back what is in the file, as a notebook of nbformat."""
        import nbformat

        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4)

    def screenshot(self, path: Path | str) -> None:
        self.page.screenshot(path=path)


class Lab:
    """A JupyterLab server with settings of its own, and a browser; `root` is the folder it serves."""

    def __init__(self, root: Path, theme: Theme = "light", size: tuple[int, int] = (1280, 900)) -> None:
        self.root, self.size = root.resolve(), size
        self.theme: Theme = theme
        self._token, self._port = secrets.token_hex(16), _free_port()

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            _write_settings(home, self.theme)
            server = self._start(home)
            stack.callback(_stop, server)
            self._wait_ready(server, home / "log")
            chromium = stack.enter_context(sync_playwright()).chromium
            self._browser: Browser = chromium.launch(executable_path=_chromium(), args=CHROMIUM_ARGS)
            stack.callback(self._browser.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def open(self, name: str) -> Notebook:
        """Open a notebook of the served folder in a new browser context, with a kernel of its own."""
        # The kernel is there before the page opens: JupyterLab attaches to it and asks nothing.
        self._api("sessions", {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}})
        notebook = self._show(name)
        notebook.page.wait_for_function(_CONNECTED, timeout=START_SECONDS * 1000)
        return notebook

    def read(self, name: str) -> Notebook:
        """Open a notebook without a kernel, as one that was sent; its file must name none."""
        notebook = self._show(name)
        notebook.page.locator(".jp-Dialog button", has_text="No Kernel").click()
        return notebook

    def blank_page(self) -> Page:
        """A page of the same browser, for a file that is none of JupyterLab's."""
        return self._browser.new_page(viewport={"width": self.size[0], "height": self.size[1]})

    def _show(self, name: str) -> Notebook:
        page = self.blank_page()
        notebook = Notebook(page, self.root / name)
        page.goto(f"http://127.0.0.1:{self._port}/lab/tree/{name}?token={self._token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
        page.evaluate("() => { window.fmPending = 0 }")
        return notebook

    def _start(self, home: Path) -> subprocess.Popen[bytes]:
        folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        folders |= {f"JUPYTERLAB_{kind}_DIR": str(home / kind.lower()) for kind in ("SETTINGS", "WORKSPACES")}
        options = {
            "--ip": "127.0.0.1",
            "--port": self._port,
            "--IdentityProvider.token": self._token,
            "--ServerApp.root_dir": self.root,
            "--ServerApp.port_retries": 0,
            "--LabApp.expose_app_in_browser": True,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"{option}={value}" for option, value in options.items()]
        with (home / "log").open("wb") as log:
            return subprocess.Popen(command, env=os.environ | folders, stdout=log, stderr=log)

    def _wait_ready(self, server: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while server.poll() is None and time.monotonic() < deadline:
            try:
                return self._api("status")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")

    def _api(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"token {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
            return json.load(response)


def _chromium() -> str | None:
    programs = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, programs)), None)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _write_settings(home: Path, theme: Theme) -> None:
    """JupyterLab's user settings, and a kernel that is this very interpreter."""
    apputils, notebook = "settings/@jupyterlab/apputils-extension", "settings/@jupyterlab/notebook-extension"
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    files = {
        f"{apputils}/themes.jupyterlab-settings": {"theme": f"JupyterLab {theme.title()}"},
        f"{apputils}/notification.jupyterlab-settings": quiet,
        # By default cells outside the window are not in the page at all.
        f"{notebook}/tracker.jupyterlab-settings": {"windowingMode": "none"},
        "data/kernels/python3/kernel.json": {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
        },
    }
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()  # it then shuts its kernels down
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _main(notebook: str, picture: str, theme: str = "light") -> None:
    path = Path(notebook).resolve()
    with Lab(path.parent, "dark" if theme == "dark" else "light") as lab:
        opened = lab.open(path.name)
        opened.run_all()
        opened.screenshot(picture)
        print(*opened.errors, sep="\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
