"""A puzzle and three scripted answers to it: what `05_teaching_ensembles.ipynb` puts together in different ways.

The models here read what they are sent and answer accordingly, so that a stage that is left out changes what the next
one writes. They are simple: they show how a strategy works, not how good it is.
"""

from __future__ import annotations

import re
from typing import Any

QUESTION = "A farmer has 17 sheep. All but 9 run away. How many are left?"
REASON = "All but 9 means that nine stay"
SAMPLES = {
    "A": "17 − 9 = 8.\n\nAnswer: 8",
    "B": f"{REASON}; how many there were does not matter.\n\nAnswer: 9",
    "C": "Nine of the 17 run away, and 8 are left.\n\nAnswer: 8",
}
GIVES_IN = "Both others have 8, so I must have misread the puzzle.\n\nAnswer: 8"


def seat(request: Any) -> str:
    """A seat's answer; B gives in to a majority that it is shown."""
    others = responses(request)
    if request.label == "B" and sum("Answer: 8" in text for text in others.values()) > 1:
        return GIVES_IN
    return SAMPLES[request.label]


def judge(request: Any) -> dict[str, Any]:
    """Who says 8 and who says 9."""
    read = responses(request)
    said = {label: "9" if "Answer: 9" in text else "8" for label, text in read.items()}
    stances = [{"label": label, "stance": f"{number} are left."} for label, number in sorted(said.items())]
    differ = len(set(said.values())) > 1
    alone = [label for label, text in sorted(read.items()) if REASON in text]
    return {
        "consensus": [] if differ else [f"{stances[0]['stance']}"],
        "contradictions": [{"topic": "How many are left", "stances": stances}] if differ else [],
        "partial_coverage": [],
        "unique_insights": [{"label": label, "insight": f"{REASON}."} for label in alone],
        "blind_spots": [],
    }


def synthesizer(request: Any) -> str:
    """It weighs reasons, not heads, as far as it is shown any."""
    for label, text in responses(request).items():
        if REASON in text:
            return f"Nine: {REASON.lower()} [{label}]; the others subtract."
    return "Eight: 17 − 9."


def responses(request: Any) -> dict[str, str]:
    """The responses that a call was sent, by letter."""
    sent = "\n".join(message["content"] for message in request.messages)
    return dict(re.findall(r"<(\w) \w+>\n(.*?)\n</\1 ", sent, re.DOTALL))


SCRIPT = {"judge": judge, "synthesis": synthesizer, "panel": seat}
