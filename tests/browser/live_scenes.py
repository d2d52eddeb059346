"""Cells that show a run in a live view and hold it where a test wants to look at it."""

from pathlib import Path

HOSTILE = Path(__file__).parents[1] / "jupyter" / "hostile.py"
# The magic is not in it: a widget, a run, and a cell that awaits or, for older kernels, waits in its thread.
SETUP = """
import asyncio, runpy, time
from datetime import datetime
from fusion_magic import Line, scripted
from fusion_magic.api import Running, request_for
from fusion_magic.errors import RateLimited
from fusion_magic.events import (
    CallRetried, CallStarted, Delta, Notice, PlannedCall, RunStarted, ToolEnded, ToolStarted, Warned)
from fusion_magic.jupyter.live import LiveView
from fusion_magic.results import ToolUse
from IPython.display import display

class Watched:
    def __init__(self, answers, seats, can_click=True, prompt="What is the capital of France?\\nIn a word.", tools=()):
        self.clicks, self.events, self.script = [], [], scripted(answers)
        self.view = LiveView(can_click=can_click, on_stop=self.stop, on_skip=self.skip)
        display(self.view)
        models = [f"vendor{n}/model-{n}" for n in range(seats)]
        chairs = dict(judge="j/udge", synthesizer="s/ynth")
        request = request_for(prompt, models=models, **chairs, retries=1, tools=list(tools))
        self.running = Running(request, self.events.append)
    def stop(self):
        self.clicks.append("stop")
        self.running.cancel()
    def skip(self, label):
        self.clicks.append(label)
        self.running.skip(label)
    def goes_on(self):
        ended = self.running.future.done()
        while self.events:
            self.view.apply(self.events.pop(0))
        self.view.flush()
        if ended:
            self.script.close()
        return not ended

async def watch(answers, seats, **options):
    watched = Watched(answers, seats, **options)
    while watched.goes_on():
        await asyncio.sleep(0.06)
    print("clicks:", *watched.clicks)
    globals()["view"] = watched.view

def watch_waiting(answers, seats):
    watched = Watched(answers, seats, can_click=False)
    while watched.goes_on():
        time.sleep(0.06)

HALF = "# Title\\n\\nOne *two*.\\n\\n" + "and on " * 20
ANALYSIS = {"consensus": ["It *is*."], "contradictions": [{"topic": "Where", "stances": [
    {"label": "A", "stance": "On the Seine."}, {"label": "B", "stance": "In France."}]}]}
RICH = "## Title\\n\\nOne [two](https://a.example) `three`.\\n\\n> quoted\\n\\n" \
    "```py\\n# code\\nx = 'y' + 1\\n```\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |\\n\\n" + "word " * 400

def look_up(city: str) -> str:
    "What is known of a city."
    return f"{city} lies on a river. " * 40

def refuse(city: str) -> str:
    "Refuses."
    raise ValueError(f"nothing is known of <b>{city}</b>")

async def wait(city: str) -> str:
    "Waits for news of a city."
    await asyncio.sleep(600)

CALLS = [("look_up", {"city": "Paris & <i>Lyon</i>"}), ("refuse", {"city": "Atlantis" * 12})]
WAITS = Line(tools=[("wait", {"city": "Rome"})])
MANY = "\\n\\n".join(f"Paragraph {n} has some words." for n in range(400))
"""
# A gap of ten minutes holds a run where it is until a click ends it: nothing here waits for a clock.
SCENES = {
    "eight": "await watch({'*': Line(HALF, pieces=2, gap=600)}, 8)",
    "waiting": "watch_waiting({'panel': Line(HALF * 20, pieces=100, gap=0.05), '*': Line(HALF, first_token=600)}, 3)",
    "streaming": "await watch({'*': Line(MANY, reasoning='Hm. ' * 900, pieces=800, gap=0.03)}, 2)",
    "reloaded": "await watch({'*': Line(MANY, reasoning='Hm.', pieces=800, gap=0.05)}, 2)\n"
    "view.finish('<p class=\"fm-done\">The result.</p>')",
    "rich": "await watch({'*/model-0': Line(RICH, reasoning=RICH), '*/model-1': RateLimited('429, too many.'),"
    "'*/model-2': [RateLimited('429, too many.', retryable=True, retry_after=600)],"
    "'*/model-3': Line(RICH, pieces=2, gap=600), '*/model-4': Line('x', first_token=600), '*': RICH}, 5)",
    "answer": "await watch({'panel': RICH, 'judge': ANALYSIS, 'synthesis': Line(RICH * 2, pieces=2, gap=600)}, 2)",
    "tools": "await watch({'*/model-0': [Line('Hm.', reasoning='Hm. ' * 99, tools=CALLS * 3)] * 3 + [WAITS],"
    "'*/model-1': [Line(tools=CALLS), Line(HALF, pieces=2, gap=600)], '*/model-2': [Line(tools=CALLS), WAITS]}, 3,"
    "tools=[look_up, refuse, wait])",
    "hostile": f"HOSTILE = list(runpy.run_path({str(HOSTILE)!r})['HOSTILE'].values())\n"
    """
def attack(texts):
    label = "ABCDEFGH"
    plan = [PlannedCall("panel", label[n], text, None, None) for n, text in enumerate(texts)]
    plan += [PlannedCall(stage, "", texts[0], None, None) for stage in ("judge", "synthesis")]
    view = LiveView(can_click=True, on_stop=print, on_skip=print)
    display(view)
    view.apply(Notice(texts[0]))
    view.flush()
    view.apply(RunStarted("id", datetime.now(), texts[-1], {"panel": {"name": texts[0]}}, tuple(plan)))
    for n, text in enumerate(texts):
        view.apply(Warned(text))
        view.apply(CallStarted("panel", label[n], text))
        for part in (text[:len(text) // 2], text[len(text) // 2:]):
            view.apply(Delta("panel", label[n], part, part))
            view.flush()
        view.apply(ToolStarted("panel", label[n], 1, 1, text, text))
        use = dict(stage="panel", label=label[n], tool=text, arguments=text, output=text)
        view.apply(ToolEnded(ToolUse(**use, number=2, error=text)))
        view.flush()
        view.apply(ToolEnded(ToolUse(**use)))
        view.apply(CallRetried("panel", label[n], text, text, 1.0))
        view.flush()
    while view._board.news():
        pass
    view.flush()
    return view

views = [attack(HOSTILE[n:n + 8]) for n in range(0, len(HOSTILE), 8)]
print(len(views), 'views')""",
}
