"""Ask a panel of language models in a notebook, let a judge compare them and a synthesizer write the answer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .agent_tool import fusion_tool
    from .api import estimate, fuse, fuse_async, last, stream
    from .batch import map, map_async, map_background
    from .errors import FusionError, FusionInterrupted, PanelFailed
    from .events import fold
    from .examine.compare import compare
    from .examine.frames import frames
    from .jupyter.picker import pick_panel
    from .jupyter.teach import teach
    from .notebooks import from_notebook
    from .presets import save_panel
    from .providers.scripted import Line, scripted
    from .results import FusionResult
    from .settings import Panel, Panelist, Settings
    from .tools.corpus import Corpus
    from .tools.functions import tool
    from .verbs import load

__all__ = [
    "Corpus",
    "FusionError",
    "FusionInterrupted",
    "FusionResult",
    "Line",
    "Panel",
    "PanelFailed",
    "Panelist",
    "Settings",
    "compare",
    "estimate",
    "fold",
    "frames",
    "from_notebook",
    "fuse",
    "fuse_async",
    "fusion_tool",
    "last",
    "load",
    "map",
    "map_async",
    "map_background",
    "pick_panel",
    "save_panel",
    "scripted",
    "stream",
    "teach",
    "tool",
]
# Where each name is; it is imported when it is asked for, so that `import fusion_magic` costs nothing.
PLACES = {
    "agent_tool": ("fusion_tool",),
    "api": ("estimate", "fuse", "fuse_async", "last", "stream"),
    "batch": ("map", "map_async", "map_background"),
    "errors": ("FusionError", "FusionInterrupted", "PanelFailed"),
    "evals": (),
    "events": ("fold",),
    "examine.compare": ("compare",),
    "examine.frames": ("frames",),
    "jupyter.picker": ("pick_panel",),
    "jupyter.teach": ("teach",),
    "notebooks": ("from_notebook",),
    "presets": ("save_panel",),
    "providers.scripted": ("Line", "scripted"),
    "results": ("FusionResult",),
    "settings": ("Panel", "Panelist", "Settings"),
    "tools.corpus": ("Corpus",),
    "tools.functions": ("tool",),
    "verbs": ("load",),
    "votes": (),
}
_HOME = {name: place for place, names in PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fusion-magic")
    if name in _HOME:
        found = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = found
        return found
    if name in {place.partition(".")[0] for place in PLACES}:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext fusion_magic`: register `%%fusion` and `%fusion`."""
    from .jupyter.magic import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext fusion_magic`."""
    from .jupyter.magic import unload

    unload(shell)
