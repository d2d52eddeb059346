"""Keeps every test away from the user's settings, keys and proxies, and decides what may be skipped."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from browser import driver
from fusion_magic import folders
from fusion_magic.providers import local
from hosted import pins

CHECKOUT = Path(__file__).parents[1]
PACKAGE = Path(local.__file__).parents[1]  # the wheel's; the source folder under `python -m pytest`
# Marker → what is missing, in words.
NEEDS = {"local_model": local.ready, "browser": driver.missing, "hosted": pins.missing}
REQUIRED = set(os.environ.get("FUSION_REQUIRE", "").split(",")) - {""}  # markers whose skips are failures
OURS = {"FUSION_REQUIRE", "FUSION_SHARED"}  # variables of the tests themselves
USERS_CACHE = folders.cache_dir()
USERS_MODEL = os.environ.get("FUSION_LOCAL_MODEL")

_missing: dict[str, str | None] = {}
_ran: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    if unknown := REQUIRED - NEEDS.keys():
        raise pytest.UsageError(f"FUSION_REQUIRE names {sorted(unknown)}; known are {sorted(NEEDS)}.")
    if os.environ.get("CI") and PACKAGE == CHECKOUT / "fusion_magic":
        raise pytest.UsageError("The tests import the source folder; install the wheel and run `pytest`.")
    _missing.update({marker: missing() for marker, missing in NEEDS.items()})
    # Now, not in a fixture: kernels and servers that outlive one test, and nbval's, inherit it too.
    config.add_cleanup(_leave_the_users_environment())


def pytest_report_header() -> list[str]:
    return [f"fusion_magic: {PACKAGE}", *filter(None, _missing.values())]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, reason in _missing.items():
        if reason and item.get_closest_marker(marker):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    markers = {marker for marker in NEEDS if item.get_closest_marker(marker)}
    if report.skipped and not hasattr(report, "wasxfail") and markers & REQUIRED:
        report.outcome = "failed"
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"required by FUSION_REQUIRE, but not run. {reason}"
    if report.when == "call":
        _ran.update(markers)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if REQUIRED - _ran and not session.config.option.collectonly:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for marker in sorted(REQUIRED - _ran):
        terminalreporter.line(f"FUSION_REQUIRE={marker}, but no test marked {marker} ran.", red=True)


@pytest.fixture(autouse=True)
def isolated(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A settings folder and a working folder for each test; model weights only where they are asked for."""
    home = tmp_path_factory.mktemp("fusion-home")
    (home / "store.sqlite3").touch()  # an empty one, so that no run is the first, which says where the store is
    monkeypatch.setenv("FUSION_HOME", str(home))
    monkeypatch.chdir(tmp_path)  # a kernel puts this on sys.path, and the checkout holds our source
    if request.node.get_closest_marker("local_model"):
        if USERS_MODEL:
            monkeypatch.setenv("FUSION_LOCAL_MODEL", USERS_MODEL)
        _share_weights()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded data that lies beside the checkout, or where FUSION_SHARED says."""
    folder = Path(os.environ.get("FUSION_SHARED") or CHECKOUT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("no shared data folder")
    return folder.resolve()


@pytest.fixture
def schema(shared: Path) -> Callable[[Any, str], None]:
    """A function that validates a value against a named schema of OpenRouter's OpenAPI document."""
    jsonschema = pytest.importorskip("jsonschema")
    document = json.loads((shared / "data" / "openrouter" / "openapi-fusion.json").read_text(encoding="utf-8"))

    def validate(value: Any, name: str) -> None:
        reference = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(reference).validate(value)

    return validate


def _leave_the_users_environment() -> Callable[[], None]:
    """Point every settings folder at a temporary one, without keys and proxies; returns what undoes it."""
    own = dict(os.environ)
    home = Path(tempfile.mkdtemp(prefix="fusion-tests-"))
    for name in own.keys() - OURS:
        if name.startswith(("FUSION_", "OPENROUTER_", "SEARXNG_")) or name.upper().endswith(("_PROXY", "_API_KEY")):
            del os.environ[name]
    os.environ["FUSION_HOME"] = str(home / "fusion")
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = str(home / name.lower())
    _share_weights()

    def undo() -> None:
        os.environ.clear()
        os.environ.update(own)
        shutil.rmtree(home, ignore_errors=True)

    return undo


def _share_weights() -> None:
    """Let the current FUSION_HOME find the model files of the user's own cache; a link, as they are large."""
    for weights in USERS_CACHE.rglob("*.gguf"):
        link = folders.cache_dir() / weights.relative_to(USERS_CACHE)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.symlink_to(weights)
        except OSError:  # Windows lets only some users make links
            shutil.copy(weights, link)
