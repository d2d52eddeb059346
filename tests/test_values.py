"""What an import builds and loads, and that models built later are the same in every thread."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from fusion_magic.values import BUILT_LATER

# What only some runs need, or none before its first call.
LATER = (
    "httpx",
    "sqlite3",
    "tomllib",
    "platformdirs",
    "difflib",
    "fusion_magic.store",
    "fusion_magic.pipeline.estimate",
    "fusion_magic.pipeline.hosted",
    "fusion_magic.pipeline.strategies.auto",
    "fusion_magic.pipeline.strategies.vote",
    "fusion_magic.providers.chat_completions",
    "fusion_magic.providers.scripted",
)


def printed(script: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_importing_fuse_loads_nothing_that_only_some_runs_need():
    script = f"""
        import sys
        before = set(sys.modules)
        from fusion_magic import fuse
        print([name for name in {LATER} if name in set(sys.modules) - before])
    """

    assert printed(script) == "[]"


@pytest.mark.skipif(not BUILT_LATER, reason="this pydantic can't build models later safely")
def test_importing_fuse_builds_the_checks_of_no_model():
    script = """
        from fusion_magic import fuse
        from fusion_magic.chosen import Chosen
        from fusion_magic.values import Value
        kinds = [*Chosen.__subclasses__(), *Value.__subclasses__()]
        print(len(kinds) > 20, [kind.__name__ for kind in kinds if kind.__pydantic_complete__])
    """

    assert printed(script) == "True []"


def test_a_model_that_many_threads_use_first_at_the_same_time_is_whole_for_each():
    script = """
        import sys, threading
        from fusion_magic.results import FusionResult, Usage
        from fusion_magic.settings import Panel, Settings
        sys.setswitchinterval(1e-6)
        start, made = threading.Barrier(16), []
        def make():
            start.wait()
            settings = Settings(panel=Panel(models=["a/b", "c/d"]), max_usd=1)
            result = FusionResult(id="x", created="2026-01-01", prompt="Why?", settings={})
            again = FusionResult.model_validate_json(result.model_dump_json())
            made.append((settings.panel.models[1].label, again == result, Usage(prompt_tokens="3").total_tokens))
        threads = [threading.Thread(target=make) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(made), set(made))
    """

    assert printed(script) == "16 {('B', True, 3)}"
