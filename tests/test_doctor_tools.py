"""What the doctor says of tools: one line each, no key in any, and nothing that is missing is a fault."""

import sys

import pytest

from fusion_magic.doctor import Check, examine, missing_for_web
from fusion_magic.folders import config_dir


def found(subject: str) -> Check:
    return next(check for check in examine() if check.subject == subject)


def configure(text: str) -> None:
    path = config_dir() / "fusion.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_engines_that_are_set_up_are_named_without_their_keys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BRAVE_API_KEY", "key-of-a-test")
    monkeypatch.setenv("SEARXNG_URL", "http://localhost:8888")

    check = found("web search")

    assert check.ok
    assert check.said.startswith("brave, searxng")
    assert not any("key-of-a-test" in f"{told.said} {told.fix}" for told in examine())


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extras."""
    for name in ("ddgs", "trafilatura", "pypdf", "duckdb", "mcp", "sandlock"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("subject", "said", "fix"),
    [
        ("web search", "only by OpenRouter", 'pip install "fusion-magic[web]"'),
        ("page reading", "trafilatura, pypdf not installed", 'pip install "fusion-magic[web]"'),
        ("SQL over frames", "duckdb not installed", 'pip install "fusion-magic[data]"'),
        ("MCP servers", "none in fusion.toml", "[mcp.NAME]"),
    ],
)
def test_a_tool_that_is_not_set_up_is_no_fault_and_says_what_it_takes(subject: str, said: str, fix: str):
    check = found(subject)

    assert check.ok
    assert check.said.startswith(said)
    assert fix in check.fix


def test_what_is_installed_needs_no_fix():
    for name in ("trafilatura", "pypdf", "duckdb"):
        pytest.importorskip(name)

    assert found("page reading") == Check(True, "page reading", "HTML and PDF")
    assert found("SQL over frames") == Check(True, "SQL over frames", "duckdb")


@pytest.mark.parametrize(("name", "value"), [("FUSION_SEARCH", "gogle"), ("TAVILY_API_KEY", "two words")])
def test_a_search_that_is_set_up_wrongly_is_a_finding(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    check = found("web search")

    assert not check.ok
    assert name in check.fix
    assert "two words" not in check.fix


def test_mcp_servers_are_named_and_not_started():
    configure(
        '[mcp.files]\ncommand = "no-such-program"\nallow = ["read"]\n[mcp.wiki]\nurl = "http://127.0.0.1:9/mcp"\n'
    )

    check = found("MCP servers")

    assert (check.ok, check.said) == (True, "files, wiki")


@pytest.mark.usefixtures("bare")
def test_mcp_servers_without_the_package_say_what_to_install():
    configure('[mcp.files]\ncommand = "no-such-program"\n')

    assert 'pip install "fusion-magic[mcp]"' in found("MCP servers").fix


def test_the_sandbox_that_works_is_named(monkeypatch: pytest.MonkeyPatch):
    here = found("shell sandbox")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "sandlock", None)
    nowhere = found("shell sandbox")

    assert here.ok
    assert here.said in ("bubblewrap", "sandlock", "docker", "podman") or here.fix
    assert (nowhere.ok, nowhere.said) == (True, "none")
    assert "install" in nowhere.fix


def test_missing_for_web_is_empty_where_this_machine_searches_and_reads(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("trafilatura")
    monkeypatch.setenv("SEARXNG_URL", "http://localhost:8888")

    assert missing_for_web() == ""
