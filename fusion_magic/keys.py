"""Where keys come from and where `%fusion login` puts them; a key is never shown, logged or saved elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from .endpoints import Endpoint
from .errors import KeyMissing, SettingsError
from .folders import config_dir, state_of

SERVICE = "fusion_magic"
IN_KEYRING = {"in": "keyring"}


def find_key(endpoint: Endpoint) -> SecretStr | None:
    """The key of an endpoint: its environment variable, else what `%fusion login` stored; None if neither."""
    if endpoint.key_env and (value := os.environ.get(endpoint.key_env, "").strip()):
        return SecretStr(value)
    value = _kept(endpoint.name, _stored().get(endpoint.name))
    return SecretStr(value) if value else None


def is_in_keyring(endpoint: Endpoint) -> bool:
    """Whether the system's keyring has to be asked for the key, which may wait for its user."""
    has_value = endpoint.key_env and os.environ.get(endpoint.key_env, "").strip()
    return not has_value and _stored().get(endpoint.name) == IN_KEYRING


def _kept(name: str, entry: object) -> str:
    """The key behind an entry of the file; a keyring that is gone or locked has none."""
    value: object = None
    if entry == IN_KEYRING:
        with contextlib.suppress(Exception):
            value = _keyring().get_password(SERVICE, name)
    elif isinstance(entry, dict):
        value = cast("dict[str, object]", entry).get("key")
    return value.strip() if isinstance(value, str) else ""


def require_sendable(endpoint: Endpoint, key: SecretStr | None) -> None:
    """Refuse a key that no header can carry: the HTTP libraries would show it in their complaint.

    Raises:
        KeyMissing: the key holds a space, a line break or a character outside ASCII.
    """
    if key and not _is_sendable(key):
        raise KeyMissing(
            f"The key for {endpoint.name} holds a space, a line break or a letter that no key has; copy it again, "
            f"into {endpoint.key_env or 'its variable'} or `%fusion login {endpoint.name}`."
        )


def _is_sendable(key: SecretStr) -> bool:
    return all("!" <= letter <= "~" for letter in key.get_secret_value())


def environment_keys(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """The keys that the environment holds for these endpoints, by the name of their variable."""
    names = {endpoint.key_env for endpoint in endpoints if endpoint.key_env}
    # Shorter ones are placeholders ("x", "none") that may stand in any text.
    return {name: value for name in sorted(names) if len(value := os.environ.get(name, "").strip()) >= 12}


def store_key(endpoint: str, key: SecretStr) -> str:
    """Keep a key in the system's keyring, or in a file of mode 600; returns in words where it is.

    Raises:
        SettingsError: it is no key, or the file can't be written.
    """
    key = SecretStr(key.get_secret_value().strip())
    if not key or not _is_sendable(key):
        raise SettingsError(f"That is no key for {endpoint}: it is empty or holds a character that no key has.")
    entry: dict[str, str] = {"key": key.get_secret_value()}
    with contextlib.suppress(Exception):  # no keyring installed, none unlocked, no session bus: each its own error
        _keyring().set_password(SERVICE, endpoint, key.get_secret_value())
        entry = IN_KEYRING
    _write({**_stored(), endpoint: entry})
    return "the system's keyring" if entry == IN_KEYRING else f"{_path()} (readable by you alone)"


def forget_key(endpoint: str) -> bool:
    """Delete a stored key; False if there was none. Raises SettingsError if the file can't be written."""
    stored = _stored()
    entry = stored.pop(endpoint, None)
    if entry == IN_KEYRING:
        with contextlib.suppress(Exception):
            _keyring().delete_password(SERVICE, endpoint)
    if entry is not None:
        _write(stored)
    return entry is not None


def redact(text: str, key: SecretStr | None) -> str:
    """`text` without the key, should a server have echoed it."""
    return text.replace(key.get_secret_value(), "[key]") if key else text


def _path() -> Path:
    return config_dir() / "keys.json"


def _stored() -> dict[str, Any]:
    path = os.path.join(config_dir(), "keys.json")
    state = state_of(path)
    try:
        return dict(_entries(path, state)) if state else {}
    except (OSError, ValueError):
        return {}


@lru_cache(4)  # a run asks for it with each call; a failure is not remembered
def _entries(path: str, _: object) -> dict[str, Any]:
    entries: object = json.loads(Path(path).read_text(encoding="utf-8"))
    return cast("dict[str, Any]", entries) if isinstance(entries, dict) else {}


def _write(entries: Mapping[str, Any]) -> None:
    """Written beside and moved into place, so that a full disk costs no key that was there."""
    path = _path()
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(entries, file)
        beside.replace(path)
    except OSError as exc:
        raise SettingsError(f"{path} can't be written ({exc.strerror}); set the key's variable instead.") from exc


def _keyring() -> Any:
    return importlib.import_module("keyring")
