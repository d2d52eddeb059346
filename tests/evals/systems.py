"""Scores of made-up systems for the tests of reports and plots."""

from __future__ import annotations

import random
from typing import Any

from matplotlib.text import Text

from fusion_magic.evals.report import Report
from fusion_magic.evals.scores import Scores

SECTIONS = ("Factual Accuracy", "Breadth and Depth of Analysis", "Presentation Quality", "Citation Quality")
SYSTEMS = {  # mean score, US dollars a task
    "solo": (58.0, 0.31),
    "self-fusion": (65.0, 0.8),
    "panel of three": (68.0, 1.3),
    "cheap <b>panel</b> with a name that is longer than a label": (64.0, 0.04),
}
METHODS = ("score_cost", "forest", "dumbbells", "axes", "waterfall")


def rows(tasks: int = 24) -> list[dict[str, Any]]:
    draw = random.Random(1)
    made = list[dict[str, Any]]()
    for task in range(tasks):
        hard = draw.gauss(0, 13)
        for config, (level, cost) in SYSTEMS.items():
            score = max(0.0, min(100.0, level + hard + draw.gauss(0, 5)))
            axes = {f"axis:{title}": max(0.0, min(100.0, score + draw.gauss(0, 9))) for title in SECTIONS}
            known = {"config": config, "task": f"task-{task:02}", "domain": f"domain {task % 6}", "score": score}
            spent = {"cost": cost, "grading_cost": 0.2, "tokens": 1000, "seconds": float(task + 1), "status": "ok"}
            how = {"grader": "google/gemini-3.1-pro-preview", "protocol": "official", "passes": 5, "coverage": 1.0}
            noise = {"sd_passes": 3.0, "flip_rate": 0.05, "pass_rate": score, "negative_penalty": 2.0}
            made.append({**known, **axes, **spent, **how, **noise})
    return made


SCORES = Scores.of(rows())


def mixed() -> Scores:
    """The same with another protocol for one configuration."""
    made = rows(6)
    for row in made[::4]:
        row["protocol"] = "response_first"
    return Scores.of(made)


def drawn(method: str, scores: Scores = SCORES) -> Any:
    report = Report(scores, baseline="solo")
    match method:
        case "dumbbells":
            return report.dumbbells("panel of three", "solo")
        case "waterfall":
            return report.waterfall("solo", "self-fusion", "panel of three")
        case _:
            return getattr(report, method)()


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]
