"""A panel is kept in the user's `fusion.toml` without touching anything else there."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Panel, Panelist, save_panel
from fusion_magic.errors import SettingsError
from fusion_magic.folders import config_dir
from fusion_magic.presets import panel_named, user_file


def made(**parts: Any) -> Panel:
    return Panel(**parts)


def own(text: str) -> Path:
    path = config_dir() / "fusion.toml"
    path.write_bytes(text.encode())
    return path


def members(panel: Panel) -> list[str]:
    return [seat.model for seat in panel.models]


PICKED = made(
    models=["a/one", Panelist(model="b/two", temperature=0.2, system='Say "no".\nThen {why} \\ how.'), "a/one"],
    judge="c/three",
)


def test_a_saved_panel_is_found_by_its_name_as_it_was():
    save_panel("mine", PICKED)

    found = panel_named("mine")
    assert (found.models, found.judge, found.synthesizer) == (PICKED.models, PICKED.judge, PICKED.synthesizer)


@pytest.mark.parametrize("tools", [None, [], ["web"], ["web_search", "web_fetch"]])
def test_a_saved_panel_keeps_its_tools(tools: list[str] | None):
    picked = made(models=["a/b"], tools=tools)

    save_panel("mine", made(models=["c/d"], tools=["web_fetch"]))
    save_panel("mine", picked, replace=True)

    assert panel_named("mine").tools == picked.tools


@pytest.mark.parametrize("seats", [1, 2, 8])
def test_a_panel_whose_every_seat_has_a_persona_is_saved_too(seats: int):
    picked = made(models=[Panelist(model="a/b", system="You doubt.", effort="low")] * seats)

    save_panel("mine", picked)
    save_panel("mine", picked, replace=True)

    assert panel_named("mine").models == picked.models


def test_saving_keeps_the_rest_of_the_file_with_its_comments():
    path = own("# mine since 2026\n[settings]\nmax_tokens = 5 # few\n\n[panels.old] # dear\nmodels = ['x/y']\n")
    before = path.read_text(encoding="utf-8")

    save_panel("mine", PICKED)

    after = path.read_text(encoding="utf-8")
    assert after.startswith(before)
    assert user_file().settings == {"max_tokens": 5}
    assert members(panel_named("old")) == ["x/y"]


LAYOUTS = [
    "panels = {old = {models = ['x/y']}}\n",
    "panels.old.models = ['x/y']\n",
    "[panels]\nold = {models = ['x/y']}\n",
    "[panels.old]\nmodels = ['x/y']\n[endpoints.w]\nbase_url = 'http://w/v1'\n[panels.other]\nmodels = ['z']\n",
    "[settings]\r\nmax_tokens = 5\r\n[panels.old]\r\nmodels = ['x/y']",
]


@pytest.mark.parametrize("text", LAYOUTS)
def test_a_panel_is_added_however_the_file_is_laid_out(text: str):
    path = own(text)

    save_panel("mine", PICKED)

    assert panel_named("mine").models == PICKED.models
    assert members(panel_named("old")) == ["x/y"]
    assert not list(path.parent.glob("*.tmp"))


def test_a_panel_of_ones_own_is_replaced_only_on_request_and_its_comments_stay():
    path = own("[panels.mine] # dear\nmodels = ['z'] # old\nscore = 3\n# after\n[settings]\nmax_tokens = 3\n")

    with pytest.raises(SettingsError, match="already"):
        save_panel("mine", PICKED)
    untouched = panel_named("mine")
    save_panel("mine", PICKED, replace=True)

    text = path.read_text(encoding="utf-8")
    assert members(untouched) == ["z"]
    assert (panel_named("mine").models, panel_named("mine").score) == (PICKED.models, None)
    assert all(comment in text for comment in ("# dear", "# old", "# after"))


@pytest.mark.parametrize("name", ["", "two words", "-p", "_x", "1st", "a.b", "a/b", "x" * 41, "{x}", "a\n"])
def test_a_name_that_no_line_can_hold_is_refused(name: str):
    with pytest.raises(SettingsError, match="begin with a letter"):
        save_panel(name, PICKED)

    assert not (config_dir() / "fusion.toml").exists()


def test_the_name_of_a_preset_is_refused():
    with pytest.raises(SettingsError, match="comes with the package"):
        save_panel("budget", PICKED, replace=True)


@pytest.mark.parametrize("text", ["[panels", "panels = 3\n", "[panels.mine]\nmodels = 3\n[tools]\n"])
def test_a_file_that_can_t_be_used_is_left_as_it_is(text: str):
    path = own(text)

    with pytest.raises(SettingsError):
        save_panel("new", PICKED)

    assert path.read_text(encoding="utf-8") == text


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights or links")
def test_the_file_keeps_its_rights_and_a_link_stays_a_link(tmp_path: Path):
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("# mine\n", encoding="utf-8")
    kept.chmod(0o640)
    link = config_dir() / "fusion.toml"
    link.symlink_to(kept)

    path = save_panel("mine", PICKED)

    assert path == kept.resolve()
    assert link.is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert panel_named("mine").models == PICKED.models
