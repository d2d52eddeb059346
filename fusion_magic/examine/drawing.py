"""What all plots share: a figure that shows itself, looks the same on light and dark pages, and survives greyscale."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from ..characters import plain
from ..endpoints import split_model
from ..errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..results import Stage

MISSING = 'Plots need matplotlib; run `pip install "fusion-magic[data]"`.'
PAPER = "#ffffff"  # a background of its own: ink that is readable on both light and dark pages is good on neither
INK, QUIET, FAINT = "#1f2328", "#59636e", "#d1d9e0"
# Their lightness differs (79, 37, 63 and 22 of 100 in CIELAB), so that greyscale keeps them apart.
STAGES: dict[Stage, str] = {"panel": "#9ecae1", "judge": "#1f5a8c", "synthesis": "#d98324", "hosted": "#2b1440"}
WIDTH = 8.0  # inches, 800 pixels where it is shown
SHOWN, RENDERED = 100, 150  # dots per inch
NAME = 26  # characters of a model's name
# Fonts for answers in Chinese, Japanese and Korean, where one is installed; matplotlib's own has no such letters.
CJK = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Malgun Gothic",
    "WenQuanYi Zen Hei",
)  # fmt: skip


@contextmanager
def drawn(height: float, title: str, columns: int = 1) -> Generator[tuple[Any, list[Any]]]:
    """A new figure with its axes; what is drawn within has our style, whatever style the notebook has set.

    It is no figure of pyplot, so that nothing shows it a second time, and it shows itself without `%matplotlib`.

    Args:
        height: inches.
        title: stands above the axes; says what to see.
        columns: axes side by side.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise SettingsError(MISSING) from exc
    with style.context(["default", _style()]):
        figure: Any = Figure(figsize=(WIDTH, height), dpi=SHOWN, layout="constrained")
        figure._repr_png_ = partial(_png, figure)
        figure.suptitle(plain(title), x=0.01, ha="left", fontsize=11)
        axes: list[Any] = list(figure.subplots(1, columns, squeeze=False)[0])
        for one in axes:
            one.tick_params(colors=INK, length=0)  # ticks are made when they are drawn, with the style of that moment
        yield figure, axes


def _style() -> dict[str, Any]:
    from matplotlib import font_manager

    installed = font_manager.get_font_names()
    return {
        "font.family": ["DejaVu Sans", *(font for font in CJK if font in installed)],
        "font.size": 9,
        "text.color": INK,
        "text.parse_math": False,  # a $ in a model's words is a dollar
        "axes.edgecolor": FAINT,
        "axes.labelcolor": QUIET,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.6,
        "figure.facecolor": PAPER,
        "legend.frameon": False,
        "legend.labelcolor": QUIET,
    }


def _png(figure: Any) -> tuple[bytes, dict[str, int]]:
    """The picture and, for screens with finer dots, the size at which it is to be shown."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the boxes in their places say it
        # Without the version of matplotlib in it, so that a notebook that is run again does not change.
        figure.savefig(written, format="png", dpi=RENDERED, metadata={"Software": None})
    width, height = figure.get_size_inches()
    return written.getvalue(), {"width": round(width * SHOWN), "height": round(height * SHOWN)}


def nothing(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    with drawn(1.0, title) as (figure, (axes,)):
        axes.set_axis_off()
        axes.text(0, 0.5, plain(sentence), color=QUIET, transform=axes.transAxes, va="center")
    return figure


def name(model: str) -> str:
    """A model's name without vendor and endpoint, cut where it is long."""
    text = " ".join(plain(split_model(model)[0].rpartition("/")[2]).split())
    most = _fitting(text, NAME)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def folded(text: str, width: int, lines: int = 2) -> str:
    """A sentence on so many lines, cut where it is longer."""
    cut = wrap(plain(text), _fitting(text, width)) or [""]
    return "\n".join(cut) if len(cut) <= lines else "\n".join(cut[:lines]) + " …"


def _fitting(text: str, width: int) -> int:
    """How many characters of a text are as wide as `width` small letters; Chinese ones are twice as wide as those."""
    widths = [2.0 if east_asian_width(each) in "WF" else 1.4 if each.isupper() else 1.0 for each in text]
    return int(width * len(widths) / sum(widths)) if widths else width


def seats_told(seats: Iterable[tuple[str, str]]) -> str:
    """Letters and names on lines that fit below a picture: "A gpt-5.5 · B kimi-k2.6"."""
    return "\n".join(wrap(" · ".join(f"{label} {name(model)}".replace(" ", "\xa0") for label, model in seats), 100))
