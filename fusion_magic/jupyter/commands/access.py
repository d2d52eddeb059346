"""`%fusion login`, `logout` and `doctor`: keys, and what works."""

from __future__ import annotations

import getpass

from IPython.core.error import StdinNotImplementedError, UsageError
from pydantic import SecretStr

from ... import doctor, keys
from ...chosen import nearest
from ...presets import endpoints
from .tables import show


def login(words: list[str]) -> None:
    """Store a key that is typed without being shown."""
    name = _endpoint_name(words)
    key = _asked_key(name)
    if not key.get_secret_value():
        raise UsageError("no key was given; nothing is stored")
    print(f"The key for {name} is in {keys.store_key(name, key)}.")


def _asked_key(name: str) -> SecretStr:
    try:
        # Looked up now: a kernel puts its own getpass in the module while a cell runs.
        return SecretStr(getpass.getpass(f"Key for {name} (not shown): ").strip())
    except StdinNotImplementedError as exc:
        raise UsageError("nobody can be asked for a key here; set its variable instead") from exc


def logout(words: list[str]) -> None:
    """Delete a stored key."""
    name = _endpoint_name(words)
    print(f"The key for {name} is deleted." if keys.forget_key(name) else f"No key for {name} was stored.")


def _endpoint_name(words: list[str]) -> str:
    if len(words) > 1:
        raise UsageError("give the endpoint's name only; the key is asked for without being shown")
    name, known = words[0] if words else "openrouter", endpoints()
    if name not in known:
        raise UsageError(f'no endpoint "{name}"{nearest(name, known)}')
    return name


def doctor_table(words: list[str]) -> None:
    """Show what works and what to do about the rest."""
    if words:
        raise UsageError("%fusion doctor takes nothing")
    rows = [["✓" if check.ok else "✗", check.subject, check.said, check.fix] for check in doctor.examine()]
    show(rows, ("", "what", "found", "what to do"))
