"""What a run is given by name or by value, and that nothing else of a namespace is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Corpus, fuse, scripted, tool
from fusion_magic.errors import SettingsError
from fusion_magic.folders import config_dir
from fusion_magic.pipeline.material import gather
from fusion_magic.providers.scripted import Line
from fusion_magic.tools import Tool

pandas = pytest.importorskip("pandas")


def twice(number: int) -> int:
    """Twice a number."""
    return 2 * number


@tool
def thrice(number: int) -> int:
    """Three times a number."""
    return 3 * number


class Untouchable:
    """A variable that must not be looked at: whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} of an unnamed variable was looked at")


def test_names_on_a_line_mean_variables():
    settings, material = gather([{"tools": ["web,twice", "thrice"]}], {"twice": twice, "thrice": thrice})

    assert settings.tools == ("web", "twice", "thrice")
    assert list(material.functions) == ["twice", "thrice"]
    assert all(isinstance(made, Tool) for made in material.functions.values())


def test_values_from_python_are_kept_under_their_names():
    frame = pandas.DataFrame({"x": [1]})
    papers = Corpus.from_texts({"a.md": "Text."}, name="papers")

    settings, material = gather([{"tools": twice, "data": {"sales": frame}, "corpus": papers}], {})

    assert (settings.tools, settings.data, settings.corpus) == (("twice",), ("sales",), ("papers",))
    assert material.frames["sales"] is frame


def test_a_frame_alone_is_called_data():
    settings, material = gather([{"data": pandas.DataFrame({"x": [1]})}], {})

    assert settings.data == ("data",)
    assert list(material.frames) == ["data"]


def test_what_was_not_given_stays_with_the_weaker_layers():
    settings, material = gather([{"max_tokens": 5}], {"tools": twice})

    assert (settings.max_tokens, settings.tools) == (5, None)
    assert not material.functions


def test_an_empty_list_takes_tools_away():
    settings, _ = gather([{"tools": []}, {"tools": ["web"]}], {})

    assert settings.tools == ()


def test_weaker_layers_name_material_too(tmp_path: Path):
    (tmp_path / "a.md").write_text("Text.", encoding="utf-8")
    layers = [{"tools": "twice"}, {"corpus": str(tmp_path), "tools": "web"}, {"data": "sales"}]

    settings, material = gather(layers, {"twice": twice, "sales": pandas.DataFrame({"x": [1]})})

    assert settings.tools == ("twice",)
    assert (list(material.frames), len(material.corpora)) == (["sales"], 1)


def test_nothing_that_is_not_named_is_looked_at():
    namespace = {"twice": twice, "secret": Untouchable(), "sales": pandas.DataFrame({"x": [1]})}

    settings, _ = gather([{"tools": "twice", "data": "sales"}], namespace)

    assert (settings.tools, settings.data) == (("twice",), ("sales",))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tools": "twise"}, 'no tool "twise"; did you mean "twice"'),
        ({"data": "salez"}, 'no DataFrame "salez"'),
        ({"tools": "number"}, '"number" is of type int, not a function'),
        ({"attach": "missing.png"}, "missing.png"),
    ],
)
def test_a_name_that_means_nothing_is_one_sentence(chosen: dict[str, Any], message: str):
    with pytest.raises(SettingsError, match=message) as caught:
        gather([chosen], {"twice": twice, "number": 5})

    assert "\n" not in str(caught.value)


def test_a_variable_goes_before_a_file_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("From the file.", encoding="utf-8")

    _, material = gather([{"attach": "notes"}], {"notes": "From the variable."})

    assert material.attachments[0].text == "From the variable."


def test_an_unknown_mcp_server_is_an_error_that_names_the_file():
    with scripted({"*": "x"}), pytest.raises(SettingsError, match=r"no \[mcp.librery\] in .*fusion.toml"):
        fuse("Why?", models=["a/b"], mcp="librery")


def test_a_project_may_not_bring_mcp_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fusion.toml").write_text('[mcp.evil]\ncommand = "calc"\n', encoding="utf-8")

    with scripted({"*": "x"}), pytest.raises(SettingsError, match="may hold"):
        fuse("Why?", models=["a/b"])


def test_a_misspelled_field_of_an_mcp_server_is_one_sentence():
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "fusion.toml").write_text('[mcp.books]\ncomand = "x"\n', encoding="utf-8")

    with scripted({"*": "x"}), pytest.raises(SettingsError, match=r'\[mcp.books\] no setting "comand"; did you mean'):
        fuse("Why?", models=["a/b"], mcp="books")


def test_search_on_this_machine_without_any_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSION_SEARCH", "tavily")

    with scripted({"*": "x"}), pytest.raises(SettingsError, match="TAVILY_API_KEY"):
        fuse("Why?", models=["a/b"], tools="web", web="client")


def test_sql_sees_the_named_frame_and_no_other():
    pytest.importorskip("duckdb")
    hidden = pandas.DataFrame({"x": [41]})
    ask = [("data_query", {"sql": f"SELECT * FROM {name}"}) for name in ("shown", "hidden")]
    answers = {"panel": [Line(tools=ask), "Done."], "judge": {"consensus": ["x"]}, "*": "Written."}

    with scripted(answers):
        result = fuse("Why?", models=["a/b"], judge="c/d", data={"shown": pandas.DataFrame({"x": [17]})})

    seen, missing = sorted(result.tools, key=lambda use: use.number)
    assert "17" in seen.output
    assert missing.error is not None
    assert "41" not in missing.output + missing.error + str(hidden.empty)
