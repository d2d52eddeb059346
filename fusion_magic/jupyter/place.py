"""Which notebook a cell belongs to, for the accounts of what it spends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def notebook_of(namespace: Mapping[str, Any]) -> str:
    """The notebook's path, as far as its front end tells; "" in a terminal.

    VS Code leaves it in a variable, and may have put a name that changes with each start into the other place, which
    is where jupyter_server (2.0 and later) leaves it.
    """
    told = namespace.get("__vsc_ipynb_file__")
    return told if isinstance(told, str) and told else os.environ.get("JPY_SESSION_NAME", "")
