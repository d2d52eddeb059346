"""What can stand in a place of a line: panels, models, runs, tools, variables, folders and files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ...characters import plain
from ...endpoints import local_model_name
from ...presets import endpoints, panels
from ...providers.catalogue import cached_ids
from ...settings import Panel
from ...tools import Tool
from ...tools.columns import is_frame
from ...tools.functions import Function

if TYPE_CHECKING:
    from ...store import RunLine

PATHS_AT_MOST = 500  # of a folder
RUNS_AT_MOST = 50  # of the store
# `_`, `_5`, `_i5`, `__name__` and the like; `_fusion` and `_picker` are for the user.
IPYTHONS = re.compile(r"_+|_i{0,3}\d*|_[iod]h|_exit_code|__\w+__|In|Out|exit|quit|open|get_ipython")
Namespace = Mapping[str, Any]


@dataclass(frozen=True)
class Candidates:
    """What may take the place of the characters `typed` before the cursor, and what kind of thing it is."""

    typed: str
    texts: tuple[str, ...]
    kind: str


NONE = Candidates("", (), "")


def unquoted(typed: str) -> str:
    return typed[1:] if typed[:1] in ("'", '"') else typed


def panel_names(typed: str, namespace: Namespace) -> Candidates:
    return beginning([*panels(), *variables(namespace, _holds_panel)], typed, "panel")


def beginning(names: Iterable[str], typed: str, kind: str) -> Candidates:
    return Candidates(typed, tuple(dict.fromkeys(name for name in names if name.startswith(typed))), kind)


# --- models -----------------------------------------------------------------------------------------


def models(typed: str) -> Candidates:
    """Models that begin so, then those that have it in them; for a name with its @, the endpoints."""
    known = list(_known_models())
    begin = [model for model in known if model.startswith(typed)]
    slug, at, _ = typed.rpartition("@")
    if at and not begin:
        return beginning([f"{slug}@{name}" for name in endpoints()], typed, "model")
    # JupyterLab would put a name that begins otherwise behind the last sign in what is typed: only a word is replaced.
    have = [model for model in known if typed.isidentifier() and typed.lower() in model.partition("@")[0].lower()]
    return Candidates(typed, tuple(dict.fromkeys([*begin, *have])), "model")


def _known_models() -> Iterable[str]:
    """The embedded model, and all that the cached catalogues list."""
    yield f"{local_model_name()}@local"
    for name, endpoint in endpoints().items():
        ids = cached_ids(endpoint)
        yield from ids if endpoint.name == "openrouter" else [f"{model}@{name}" for model in ids]


# --- runs -------------------------------------------------------------------------------------------


def runs(typed: str) -> Candidates:
    """Runs in the store, newest first."""
    return beginning((line.id for line in _history()), typed, "run")


def threads(typed: str) -> Candidates:
    """Conversations that runs in the store belong to."""
    return beginning((line.thread for line in _history() if line.thread), typed, "thread")


def _history() -> list[RunLine]:
    from ...store import open_store

    return open_store().history(limit=RUNS_AT_MOST)


# --- tools and what they work on --------------------------------------------------------------------


def one_more(names: Iterable[str], typed: str, kind: str) -> Candidates:
    """Names of a list with commas; what stands in it is not offered again."""
    *given, last = typed.split(",")
    return beginning((name for name in names if name not in given and not (given and name == "none")), last, kind)


def values_or_paths(variables: Iterable[str], written: str, *, files: bool) -> Candidates:
    """Variables, then folders and files, as they have to stand on the line."""
    typed, is_open = unquoted(written), written[:1] in ("'", '"')
    paths = _paths(typed if is_open else typed.replace("\\ ", " "), files=files)
    shown = paths if is_open else (path.replace(" ", "\\ ") for path in paths)
    return beginning([*variables, *shown], typed, "path")


def _paths(typed: str, *, files: bool) -> list[str]:
    """The folders, and if wanted files, that begin so; a folder ends with / and goes on with the next Tab."""
    folder, slash, begun = typed.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(folder + slash) or ".") as entries:
            fitting = (entry for entry in entries if entry.name.startswith(begun) and _can_stand(entry.name, begun))
            found = [(entry.name, entry.is_dir()) for entry in islice(fitting, PATHS_AT_MOST)]
    except OSError:  # no such folder, or one that can't be listed
        return []
    return [f"{folder}{slash}{name}{'/' * is_folder}" for name, is_folder in sorted(found) if is_folder or files]


def _can_stand(name: str, begun: str) -> bool:
    """Whether a line can hold a file's name: IPython evaluates {…} and $…, argparse takes -x for a flag."""
    is_hidden = name.startswith(".") and not begun.startswith(".")
    return not is_hidden and not re.search(r"""^-|[{}$'"\\]|[^\S ]""", name) and plain(name) == name


def is_tool(value: object) -> bool:
    """A tool, or a function that says in a docstring what it does: without one it can't be a tool."""
    return isinstance(value, Tool | Function) or (isinstance(value, FunctionType) and bool(value.__doc__))


def is_corpus(value: object) -> bool:
    """A Corpus, or a frame, which can become one."""
    return _is("fusion_magic.tools.corpus", "Corpus", value) or is_frame(value)


def can_be_attached(value: object) -> bool:
    """A frame, a column of one, a figure, or what shows itself as an image; nothing is drawn to find out."""
    if isinstance(value, type):
        return False
    is_column = _is("pandas", "Series", value) or _is("polars", "Series", value)
    is_image = any(hasattr(type(value), draw) for draw in ("_repr_png_", "_repr_jpeg_"))
    return is_frame(value) or is_column or is_image or _is("matplotlib.artist", "Artist", value)


def _is(module: str, kind: str, value: object) -> bool:
    loaded = sys.modules.get(module)  # there is no value of a library that was never imported
    return loaded is not None and isinstance(value, getattr(loaded, kind))


# --- variables --------------------------------------------------------------------------------------


def variables(namespace: Namespace, wanted: Callable[[object], bool]) -> list[str]:
    """The user's own names, without what IPython puts beside them."""
    return [name for name, value in list(namespace.items()) if not IPYTHONS.fullmatch(name) and wanted(value)]


def is_text(value: object) -> bool:
    return not isinstance(value, type | ModuleType) and not callable(value)


def _holds_panel(value: object) -> bool:
    """A Panel, or what has one, such as a picker; only a class that says so is asked."""
    if isinstance(value, Panel):
        return True
    if not any("panel" in vars(kind) for kind in type(value).__mro__):
        return False
    try:
        return isinstance(getattr(value, "panel", None), Panel)
    except Exception:  # one variable that fails does not take the others away
        return False
