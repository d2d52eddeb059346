"""`self`: one model asked several times, its samples compared and fused like the seats of a panel."""

from __future__ import annotations

from ...settings import Panel, Settings
from . import fusion
from .strategy import Evidence, Strategy, distinct, repeated

SAMPLES = 4  # TrustedRouter measured 2, 4 and 10: each step brought something, and prices grow as fast


def arrange(panel: Panel, settings: Settings) -> Panel:
    """The first seat, N times; judge and synthesizer stay, and without any they are the same model."""
    return repeated(panel, distinct(panel)[:1], settings.samples or SAMPLES)


SELF = Strategy(
    name="self",
    does="The panel's first model is asked N times (--samples, 4); judge and synthesizer compare and fuse its samples.",
    cost="N + 2 calls",
    evidence=(
        Evidence(
            "for",
            "Samples of the best model alone beat a mix of models by 6.6 points on AlpacaEval 2 and 3.8 on average "
            "elsewhere: quality counts for more than variety.",
            "Self-MoA, arXiv:2502.00674",
        ),
        Evidence(
            "for",
            "On DRACO Opus × 2 gained 6.9 and Sonnet × 2 gained 8.0 [4.6, 11.3] over one call.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
        Evidence(
            "against",
            "MiniMax-M3 gained 0.0 with 2 samples, 1.9 with 4 and 3.2 with 10; a higher temperature changed nothing.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
    ),
    places=fusion.places,
    carry_out=fusion.carry_out,
    arrange=arrange,
    options=("samples", "one_pass"),
    is_judged=False,
)
