"""The old versions that hosted notebooks ship, and whether they are the ones installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")


def pins() -> dict[str, str]:
    """The pinned version of each package."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def missing() -> str | None:
    """What keeps the tests of the old environment from running here, in a sentence; None if nothing does."""
    absent = [f"{name} {wanted}" for name, wanted in pins().items() if _installed(name) != wanted]
    return f"Tests of an old hosted environment need {', '.join(absent)}." if absent else None


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
