"""Where settings, caches and weights lie: FUSION_HOME, or the system's usual folders."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

Kind = Literal["config", "cache", "data"]
# What the folders depend on, as long as a process runs: a run asks a dozen times.
NAMES = (
    *("FUSION_HOME", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
    *("USERPROFILE", "APPDATA", "LOCALAPPDATA"),
)


def _folder(kind: Kind) -> Path:
    return _found(kind, *map(os.environ.get, NAMES))


@lru_cache(64)
def _found(kind: Kind, home: str | None, *_: str | None) -> Path:
    if home:
        return Path(home).expanduser() / ("cache" if kind == "cache" else "")
    import platformdirs

    found = {
        "config": platformdirs.user_config_path,
        "cache": platformdirs.user_cache_path,
        "data": platformdirs.user_data_path,
    }
    return found[kind]("fusion_magic", appauthor=False)


def config_dir() -> Path:
    """Where `fusion.toml` and stored keys are: FUSION_HOME, or the user's configuration folder."""
    return _folder("config")


def cache_dir() -> Path:
    """Where catalogues and model weights are kept: FUSION_HOME/cache, or the user's cache folder."""
    return _folder("cache")


def data_dir() -> Path:
    """Where the store is: FUSION_HOME, or the user's data folder."""
    return _folder("data")


def state_of(path: str) -> tuple[int, ...] | None:
    """What changes when a file is written; None if there is none, or it can't be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def shown(path: Path) -> str:
    """A path for a text that others may read: the user's home is ~."""
    return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)
