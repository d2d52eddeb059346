"""Evaluation: datasets, graders, scores with their intervals, and what a panel adds to one model."""

from __future__ import annotations

from . import draco, statistics
from .ablation import ablation, ablation_systems
from .contamination import Screen
from .datasets import Dataset, Sample, mini, read_dataset
from .estimates import estimate
from .gains import Ablation, ablation_of
from .graders import Grader
from .leaks import leak_audit
from .report import Report
from .rubrics import Criterion, Graded
from .runner import evaluate
from .scores import MixedGraders, Scores, read_scores

__all__ = [
    "Ablation",
    "Criterion",
    "Dataset",
    "Graded",
    "Grader",
    "MixedGraders",
    "Report",
    "Sample",
    "Scores",
    "Screen",
    "ablation",
    "ablation_of",
    "ablation_systems",
    "draco",
    "estimate",
    "evaluate",
    "leak_audit",
    "mini",
    "read_dataset",
    "read_scores",
    "statistics",
]
