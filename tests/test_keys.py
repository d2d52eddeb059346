"""Keys are found, stored for their owner alone, forgotten, and shown to nobody."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import SecretStr

from fusion_magic.endpoints import builtin_endpoints
from fusion_magic.errors import KeyMissing, SettingsError
from fusion_magic.folders import config_dir
from fusion_magic.keys import find_key, forget_key, redact, require_sendable, store_key

OPENROUTER = builtin_endpoints()["openrouter"]
KEY = "sk-test-0123456789"


def found() -> str | None:
    key = find_key(OPENROUTER)
    return key.get_secret_value() if key else None


def file() -> Path:
    return config_dir() / "keys.json"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A key store of the system, as the keyring package gives it."""
    kept: dict[tuple[str, str], str] = {}
    module = ModuleType("keyring")
    module.__dict__.update(
        set_password=lambda service, name, value: kept.update({(service, name): value}),
        get_password=lambda service, name: kept.get((service, name)),
        delete_password=lambda service, name: kept.pop((service, name)),
    )
    monkeypatch.setitem(sys.modules, "keyring", module)
    return kept


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)


def test_no_key_is_none():
    assert found() is None


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_a_key_is_in_a_file_for_its_owner_alone():
    where = store_key("openrouter", SecretStr(KEY))

    assert found() == KEY
    assert str(file()) in where
    assert KEY not in where
    if os.name == "posix":
        assert stat.S_IMODE(file().stat().st_mode) == 0o600


@pytest.mark.usefixtures("no_keyring")
def test_a_file_that_others_could_read_is_replaced_by_one_they_can_t():
    file().write_text("{}", encoding="utf-8")
    file().chmod(0o644)

    store_key("openrouter", SecretStr(KEY))

    if os.name == "posix":
        assert stat.S_IMODE(file().stat().st_mode) == 0o600
    assert [path.name for path in config_dir().glob("*keys*")] == ["keys.json"]


@pytest.mark.usefixtures("no_keyring")
def test_a_file_that_could_not_be_read_once_is_read_again(monkeypatch: pytest.MonkeyPatch):
    """As when a process has opened too many files."""
    store_key("openrouter", SecretStr(KEY))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        assert found() is None

    assert found() == KEY


def test_with_a_keyring_the_file_holds_no_key(keyring):
    where = store_key("openrouter", SecretStr(KEY))

    assert found() == KEY
    assert keyring == {("fusion_magic", "openrouter"): KEY}
    assert KEY not in file().read_text(encoding="utf-8")
    assert where == "the system's keyring"


def test_the_environment_comes_before_what_is_stored(keyring, monkeypatch):
    store_key("openrouter", SecretStr("sk-test-stored"))
    stored = found()
    monkeypatch.setenv("OPENROUTER_API_KEY", f" {KEY}\n")

    assert (stored, found()) == ("sk-test-stored", KEY)


@pytest.mark.usefixtures("no_keyring")
def test_an_empty_variable_is_no_key(monkeypatch):
    store_key("openrouter", SecretStr(KEY))
    monkeypatch.setenv("OPENROUTER_API_KEY", " ")

    assert found() == KEY


def test_a_key_is_forgotten_in_both_places(keyring):
    store_key("openrouter", SecretStr(KEY))

    assert forget_key("openrouter") is True
    assert (found(), keyring) == (None, {})
    assert forget_key("openrouter") is False


@pytest.mark.usefixtures("no_keyring")
def test_one_key_is_forgotten_and_the_others_stay():
    store_key("openrouter", SecretStr(KEY))
    store_key("openai", SecretStr("sk-test-other"))

    forget_key("openai")

    assert found() == KEY


def test_a_keyring_that_is_gone_has_no_key(keyring, monkeypatch):
    store_key("openrouter", SecretStr(KEY))
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert found() is None
    assert forget_key("openrouter") is True


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"openrouter": "x"}', '{"openrouter": {"key": 5}}', "\ufeff"])
def test_a_damaged_file_has_no_key_and_can_be_written_anew(text):
    file().write_text(text, encoding="utf-8")

    assert found() is None
    store_key("openrouter", SecretStr(KEY))
    assert found() == KEY


@pytest.mark.usefixtures("no_keyring")
def test_a_key_is_stored_without_the_spaces_around_it():
    store_key("openrouter", SecretStr(f"  {KEY}\n"))

    assert json.loads(file().read_text(encoding="utf-8")) == {"openrouter": {"key": KEY}}


@pytest.mark.parametrize("key", ["", "  ", "sk-test-ü", "sk-test a", "sk-test-\x00"])
def test_what_can_be_no_key_is_refused_and_not_repeated(key):
    with pytest.raises(SettingsError) as stored:
        store_key("openrouter", SecretStr(key))

    assert "sk-test" not in str(stored.value)
    assert not file().exists()


def test_a_key_that_no_header_can_carry_is_refused_with_the_variable_s_name():
    with pytest.raises(KeyMissing, match="OPENROUTER_API_KEY") as caught:
        require_sendable(OPENROUTER, SecretStr("sk-test-ü"))

    assert "sk-test" not in str(caught.value)


@pytest.mark.usefixtures("no_keyring")
def test_a_folder_that_can_t_be_written_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FUSION_HOME", str(tmp_path / "file"))

    with pytest.raises(SettingsError, match="can't be written") as caught:
        store_key("openrouter", SecretStr(KEY))

    assert KEY not in str(caught.value)


def test_a_key_is_not_in_its_own_repr(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)

    assert KEY not in f"{find_key(OPENROUTER)!r} {find_key(OPENROUTER)}"


def test_redaction_takes_out_the_key_and_nothing_else():
    assert redact(f"bad {KEY}, {KEY}", SecretStr(KEY)) == "bad [key], [key]"
    assert redact("as it is", None) == redact("as it is", SecretStr("")) == "as it is"
