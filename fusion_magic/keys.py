"""Where keys come from and where `%fusion login` puts them; a key is never shown, logged or saved elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from .settings import Endpoint, config_dir

SERVICE = "fusion_magic"
IN_KEYRING = {"in": "keyring"}


def find_key(endpoint: Endpoint) -> SecretStr | None:
    """The key of an endpoint: its environment variable, else what `%fusion login` stored; None if neither."""
    if endpoint.key_env and (value := os.environ.get(endpoint.key_env, "").strip()):
        return SecretStr(value)
    entry = _stored().get(endpoint.name)
    if entry is None:
        return None
    value = _keyring().get_password(SERVICE, endpoint.name) if entry == IN_KEYRING else entry.get("key")
    return SecretStr(value) if value else None


def store_key(endpoint: str, key: SecretStr) -> str:
    """Keep a key in the system's keyring, or in a file of mode 600; returns in words where it is."""
    entry: dict[str, str] = {"key": key.get_secret_value()}
    with contextlib.suppress(Exception):  # no keyring installed, none unlocked, no session bus: each its own error
        _keyring().set_password(SERVICE, endpoint, key.get_secret_value())
        entry = IN_KEYRING
    _write({**_stored(), endpoint: entry})
    return "the system's keyring" if entry == IN_KEYRING else f"{_path()} (readable by you alone)"


def forget_key(endpoint: str) -> bool:
    """Delete a stored key; False if there was none."""
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


def _path():
    return config_dir() / "keys.json"


def _stored() -> dict[str, Any]:
    try:
        return json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(entries: Mapping[str, Any]) -> None:
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(entries, file)


def _keyring() -> Any:
    return importlib.import_module("keyring")
