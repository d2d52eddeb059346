"""Ask a panel of language models in a notebook, let a judge compare them and a synthesizer write the answer."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from .api import estimate, fuse, fuse_async, last, stream
from .errors import FusionError, FusionInterrupted, PanelFailed
from .events import fold
from .notebooks import from_notebook
from .presets import save_panel
from .providers.scripted import Line, scripted
from .results import FusionResult
from .settings import Panel, Panelist, Settings

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .agent_tool import fusion_tool
    from .batch import map, map_async, map_background
    from .examine.compare import compare
    from .examine.frames import frames
    from .jupyter.picker import pick_panel
    from .jupyter.teach import teach
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
# Imported when they are asked for: widgets and SQLite cost more than all the rest.
LATER = {
    "map": ".batch",
    "map_async": ".batch",
    "map_background": ".batch",
    "Corpus": ".tools.corpus",
    "compare": ".examine.compare",
    "frames": ".examine.frames",
    "fusion_tool": ".agent_tool",
    "load": ".verbs",
    "pick_panel": ".jupyter.picker",
    "teach": ".jupyter.teach",
    "tool": ".tools.functions",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version("fusion-magic")
    if name in LATER:
        return getattr(import_module(LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext fusion_magic`: register `%%fusion` and `%fusion`."""
    from .jupyter.magic import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext fusion_magic`."""
    from .jupyter.magic import unload

    unload(shell)
