"""What every model of ours that holds data is: frozen, and closed to fields that it does not know."""

from __future__ import annotations

import os

from pydantic import VERSION, BaseModel, ConfigDict

# Building the checks of some thirty models takes a fifth of our import, so each waits until it is used. Before 2.14 two
# threads that use a model first at the same time break each other (pydantic issues 11849 and 13419).
BUILT_LATER = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=BUILT_LATER)


def _build_all(kind: type[Value] = Value) -> None:
    """Pydantic builds under a lock, and a child that is forked while it is held waits for it for ever."""
    kind.model_rebuild()
    for special in kind.__subclasses__():
        _build_all(special)


if BUILT_LATER and hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_build_all)
