"""Cells that show lessons, and a script that answers them."""

from pathlib import Path

HOSTILE = Path(__file__).parents[1] / "jupyter" / "hostile.py"
SETUP = """
%load_ext fusion_magic
from fusion_magic import Line, fuse, scripted, teach
ANALYSIS = {
    "consensus": ["All name *Paris*."],
    "contradictions": [{"topic": "Its age", "stances": [
        {"label": "A", "stance": "Roman"}, {"label": "C", "stance": "Celtic"}]}],
    "partial_coverage": [{"labels": ["A", "B"], "point": "It lies on the Seine."}],
    "unique_insights": [{"label": "C", "insight": "The Parisii were Celts."}],
    "blind_spots": ["Nobody says how large it is."]}
TABLE = "\\n\\n| river | km |\\n|---|---|\\n| Seine | 777 |\\n\\n```py\\nprint('Paris')\\n```\\n"
ANSWERS = {
    "vendor/alpha": "The capital of France is **Paris**. It lies on the Seine and was founded by Romans." + TABLE,
    "vendor/beta": "Paris is the capital. It lies on the Seine.",
    "vendor/gamma": "The capital of France is Paris. The Parisii, who founded it, were Celts.",
    "judge": ANALYSIS,
    "synthesis": "The capital of France is Paris. It lies on the Seine. The Parisii, who founded it, were Celts."}
script = scripted(ANSWERS)
PANEL = dict(models=["vendor/alpha", "vendor/beta", "vendor/gamma"], judge="vendor/judge", synthesizer="vendor/writer")
MODELS = "-m vendor/alpha -m vendor/beta -m vendor/gamma --judge vendor/judge --synthesizer vendor/writer"
"""
ASKED = "%%fusion --teach {MODELS}\nWhat is the capital of France?\nSay since when it is there."
SAVED = "teach(fuse('What is the capital of France?', **PANEL, simulate='B=down'))"
HELD = """script.close()
script = scripted({**ANSWERS, "vendor/gamma": Line("Too late.", first_token=600)})"""
ANSWERED = "script.close()\nscript = scripted(ANSWERS)"
WAITS = "%%fusion --teach {MODELS}\nWhat is the capital of France?"
HOSTILES = f"""
import runpy
from fusion_magic.results import Analysis, Contradiction, FailedModel, Stance
EVIL = list(runpy.run_path({str(HOSTILE)!r})["HOSTILE"].values())
EVIL = [text.encode("utf-8", "replace").decode() for text in EVIL if len(text) < 10_000]
kept = fuse("What?", **PANEL)
def attacked(texts):  # JupyterLab shows 50 outputs of a cell: three texts in each
    text = texts[-1]
    stances = (Stance(label="A", model=text, stance=text),)
    found = Analysis(consensus=(text, *texts), contradictions=(Contradiction(topic=text, stances=stances),))
    seats = tuple(
        seat.model_copy(update={{"content": text, "model": text}}) for seat, text in zip(kept.responses, texts))
    lost = (FailedModel(label="H", model=text, error=text, content=text),)
    return kept.model_copy(update=dict(prompt=text, answer="\\n\\n".join(texts), analysis=found, responses=seats,
        failed_models=lost, warnings=tuple(texts)))
lessons = [teach(attacked(EVIL[n:n + 3])) for n in range(0, len(EVIL), 3)]
for lesson in lessons:
    lesson.note = lesson.result.prompt
    for _ in range(4):
        lesson.next()
    display(lesson)
print(len(lessons), "lessons")"""
REVEALED = "for lesson in lessons:\n    lesson.next()"
PRINTED = "print(_lesson.prediction, _lesson.votes, _lesson.note, _lesson.stage)"
CELLS = [SETUP, ASKED, SAVED, PRINTED, HELD, WAITS, ANSWERED, HOSTILES, REVEALED]
START, LIVE, FROM_RESULT, SAID, HOLD, STALLS, AGAIN, ATTACK, REVEAL = range(len(CELLS))
