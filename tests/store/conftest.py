"""A store in a folder that is not there yet."""

from pathlib import Path

import pytest

from fusion_magic.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / "store.sqlite3")
