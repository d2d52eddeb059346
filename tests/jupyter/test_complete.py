"""What Tab offers in `%%fusion` and `%fusion`, and that it takes the place of exactly what was typed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from IPython.core import completer

from fusion_magic import Panel, Settings
from fusion_magic.endpoints import Endpoint
from fusion_magic.folders import config_dir
from fusion_magic.jupyter import complete, flags
from fusion_magic.presets import endpoints, panels
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from fusion_magic.providers.catalogue import catalogue
from servers.openrouter import Server

from .conftest import Cells
from .kernels import SECONDS, Kernel, start, stop

if not hasattr(completer, "context_matcher"):
    pytest.skip("IPython before 8.6 has nothing to attach completion to", allow_module_level=True)
OPENROUTER = ("deepseek/deepseek-v3.2", "meta-llama/llama-4:free", "openai/gpt-5.5", "~openai/gpt-latest")
OLLAMA = ("llama3.2:1b", "qwen3-coder")


@dataclass(frozen=True)
class Pressed:
    """What Tab offered, and the cell after each of them was taken."""

    offered: list[str]
    cells: list[str]


def press(cell: Cells, text: str) -> Pressed:
    """Press Tab where `|` stands."""
    before, after = text.split("|")
    with completer.provisionalcompleter():
        found = list(cell.shell.Completer.completions(before + after, len(before)))
    code = before + after
    return Pressed([one.text for one in found], [code[: one.start] + one.text + code[one.end :] for one in found])


class Shelf:
    """A provider that lists models and answers nothing."""

    def __init__(self, *names: str) -> None:
        self.names = names

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        raise NotImplementedError
        yield

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return tuple(map(ModelInfo, self.names))


@pytest.fixture
def listed() -> None:
    """Catalogues that were read once and are in the cache."""
    for name, models in (("openrouter", OPENROUTER), ("ollama", OLLAMA)):
        asyncio.run(catalogue(endpoints()[name], Providers(Shelf(*models))))


# --- flags ------------------------------------------------------------------------------------------


def test_the_beginning_of_a_flag_becomes_the_flag(cell: Cells) -> None:
    assert press(cell, "%%fusion --pan|\nWhy?").cells == ["%%fusion --panel\nWhy?"]


def test_every_flag_is_offered_where_a_word_begins(cell: Cells) -> None:
    assert set(press(cell, "%%fusion |").offered) == {
        flag for action in flags.parser()._actions for flag in action.option_strings
    }


@pytest.mark.parametrize("line", ["-p budget --raw |", "| --raw -p budget", "--panel=budget |--raw"])
def test_a_flag_that_is_given_is_not_offered_again_but_models_are(cell: Cells, line: str) -> None:
    offered = press(cell, f"%%fusion -m a/one {line}\nWhy?").offered

    assert not {"-p", "--panel", "--raw"} & set(offered)
    assert {"-m", "--model", "--quiet"} <= set(offered)


@pytest.mark.parametrize("line", ["--effort |", "--effort=|", "--effort '|", "--raw --effort |"])
def test_a_flag_with_choices_offers_them(cell: Cells, line: str) -> None:
    (levels,) = [kind for kind in get_args(Settings.model_fields["effort"].annotation) if get_args(kind)]

    assert press(cell, f"%%fusion {line}").offered == list(get_args(levels))


def test_a_magic_above_the_cells_own_is_no_obstacle(cell: Cells) -> None:
    assert press(cell, "%%time\n%%fusion --pan|\nWhy?").cells == ["%%time\n%%fusion --panel\nWhy?"]


# --- panels -----------------------------------------------------------------------------------------


def test_every_panel_with_a_name_is_offered(cell: Cells) -> None:
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "fusion.toml").write_text('[panels.my-own]\nmodels = ["a/one", "b/two"]\n')

    assert press(cell, "%%fusion -p |").offered == list(panels())
    assert press(cell, "%%fusion -p my|").cells == ["%%fusion -p my-own"]


@pytest.mark.parametrize("line", ["-p bud|", "--panel bud|", "--panel=bud|", '-p "bud|', "--panel='bud|"])
def test_a_panels_name_takes_the_place_of_its_beginning(cell: Cells, line: str) -> None:
    pressed = press(cell, f"%%fusion {line}\nWhy?")

    assert pressed.offered == ["budget"]
    assert pressed.cells == [f"%%fusion {line}\nWhy?".replace("bud|", "budget")]


def test_variables_with_a_panel_are_offered_and_no_others(cell: Cells) -> None:
    cell["my_panel"] = Panel.model_validate({"models": ["a/one"]})
    cell["my_list"] = ["a/one"]
    cell["_picker"] = cell["my_panel"]
    cell("class Picker:\n    @property\n    def panel(self):\n        return my_panel\nmy_picker = Picker()")
    cell("class Broken:\n    @property\n    def panel(self):\n        raise OSError\nmy_broken = Broken()")

    assert press(cell, "%%fusion -p my_|").offered == ["my_panel", "my_picker"]
    assert press(cell, "%%fusion -p _|").offered == ["_picker"]


# --- models -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("flag", ["-m ", "--model ", "--model=", "--judge ", "--synthesizer "])
def test_a_models_name_is_completed_over_its_slash_and_dashes(cell: Cells, flag: str) -> None:
    pressed = press(cell, f"%%fusion {flag}deepseek/dee|\nWhy?")

    assert pressed.cells == [f"%%fusion {flag}deepseek/deepseek-v3.2\nWhy?"]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("typed", "model"),
    [
        ("meta-llama/llama-4:|", "meta-llama/llama-4:free"),
        ("llama3.2:|", "llama3.2:1b@ollama"),
        ("llama3.2:1b@|", "llama3.2:1b@ollama"),
        ("'qwen3-|", "'qwen3-coder@ollama"),
        ("~open|", "~openai/gpt-latest"),
        ("smol|", "smollm2@local"),
        ("new-model@lmst|", "new-model@lmstudio"),
        ("V3|", "deepseek/deepseek-v3.2"),
    ],
)
def test_a_model_takes_the_place_of_what_was_typed_of_it(cell: Cells, typed: str, model: str) -> None:
    assert press(cell, f"%%fusion -m a/one -m {typed} --raw").cells == [f"%%fusion -m a/one -m {model} --raw"]


@pytest.mark.usefixtures("listed")
def test_models_that_begin_so_come_before_those_that_have_it_in_them(cell: Cells) -> None:
    assert press(cell, "%%fusion -m llama|").offered == ["llama3.2:1b@ollama", "meta-llama/llama-4:free"]


@pytest.mark.usefixtures("listed")
def test_only_a_word_finds_models_that_begin_otherwise(cell: Cells) -> None:
    assert press(cell, "%%fusion -m gpt|").offered == ["openai/gpt-5.5", "~openai/gpt-latest"]
    assert not set(press(cell, "%%fusion -m gpt-|").offered) & set(OPENROUTER)


def test_without_a_catalogue_the_embedded_model_is_known(cell: Cells) -> None:
    assert press(cell, "%%fusion -m |").offered == ["smollm2@local"]


# --- the prompt -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["{", "Compare {", "Why {a} and {", "{ } {"])
def test_a_brace_in_the_prompt_offers_variables(cell: Cells, before: str) -> None:
    cell("import re as sales_module\nsales_rows, sales_sum = [1], 2\ndef sales_of(): ...")

    pressed = press(cell, f"%%fusion -p budget\nFirst.\n{before}sales_|}}?")

    assert pressed.offered == ["sales_rows", "sales_sum"]
    assert pressed.cells[0] == f"%%fusion -p budget\nFirst.\n{before}sales_rows}}?"


@pytest.mark.parametrize("before", ["{{sal", r"\{sal", "x_{sal", "${sal", "sal", "{a.sal"])
def test_other_braces_are_not_ours(before: str) -> None:
    assert complete.offered(f"%%fusion\n{before}", 1, len(before), {"sales": 1}).texts == ()


def test_names_that_are_ipythons_are_not_offered_but_ours_are(cell: Cells) -> None:
    cell("1 + 1")
    cell["mine"] = cell["_fusion"] = "text"

    assert press(cell, "%%fusion\n{|").offered == ["mine", "_fusion"]


# --- %fusion ----------------------------------------------------------------------------------------


def test_every_word_of_the_guide_is_offered(cell: Cells) -> None:
    guide = cell("%fusion").everything
    offered = press(cell, "%fusion |").offered

    assert {"panels", "models", "login", "logout", "doctor"} <= set(offered)
    assert all(f"%fusion {word}" in guide for word in offered)


@pytest.mark.parametrize("opening", ["%fusion ", "x = %fusion ", "1 + 1\n%fusion "])
def test_a_words_beginning_becomes_the_word(cell: Cells, opening: str) -> None:
    assert press(cell, f"{opening}doc|").cells == [f"{opening}doctor"]


@pytest.mark.parametrize("word", ["login", "logout"])
def test_a_key_is_asked_for_an_endpoint(cell: Cells, word: str) -> None:
    assert press(cell, f"%fusion {word} |").offered == list(endpoints())
    assert press(cell, f"%fusion {word} openai |").offered != list(endpoints())


# --- what must not happen ---------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_costs_only_what_is_in_it(cell: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "fusion.toml").write_text("[panels")

    assert "budget" not in press(cell, "%%fusion -p bud|").offered
    assert press(cell, "%%fusion --pan|").offered == ["--panel"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text", ["%%fusion|", "%fusion|", "fusion -|", "%%fusionist -|", "%%bash\nls -|", "|", "x = |"]
)
def test_what_is_not_ours_is_left_alone(text: str) -> None:
    before, _ = text.split("|")
    lines = before.split("\n")

    assert complete.offered(before, len(lines) - 1, len(lines[-1]), {"x": 1}) == complete.NONE


def test_reloading_leaves_one_matcher_and_unloading_none(cell: Cells) -> None:
    def matchers() -> list[Any]:
        known = cell.shell.Completer.custom_matchers
        return [one for one in known if one.matcher_identifier == complete.IDENTIFIER]

    loaded = len(matchers())
    cell("%reload_ext fusion_magic")
    reloaded = len(matchers())
    cell("%unload_ext fusion_magic")
    unloaded = len(matchers())
    cell("%load_ext fusion_magic")

    assert (loaded, reloaded, unloaded) == (1, 1, 0)


# --- a real kernel ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel whose catalogue was read from a server that is gone."""
    pytest.importorskip("ipykernel")
    kernel = start("nobodys-secret")
    with Server() as server:
        kernel.run(f"import os; os.environ['OPENROUTER_BASE_URL'] = {server.base_url!r}")
        ran = kernel.run("%load_ext fusion_magic\n%fusion models gpt")
    assert ran.reply["status"] == "ok", ran.error
    yield kernel
    stop(kernel)


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("%%fusion --pan", "%%fusion --panel"),
        ("%%fusion -p bud", "%%fusion -p budget"),
        ("%%fusion -m deepseek/dee", "%%fusion -m deepseek/deepseek-v4-pro"),
        ("%%fusion -m 'deepseek/dee", "%%fusion -m 'deepseek/deepseek-v4-pro"),
        ("%%fusion -m qwen/qwen3-coder:f", "%%fusion -m qwen/qwen3-coder:free"),
        ("%%fusion --model=smollm2@l", "%%fusion --model=smollm2@local"),
        ("%%fusion --effort hi", "%%fusion --effort high"),
        ("%%fusion\nWhat of {äpfel_pr", "%%fusion\nWhat of {äpfel_preise"),
        ("%fusion log", "%fusion login"),
    ],
)
def test_a_kernel_says_what_to_replace(kernel: Kernel, typed: str, taken: str) -> None:
    kernel.run("äpfel_preise = [1, 2]")
    client: Any = kernel.client  # its `reply` is not in its signature
    reply = client.complete(f"{typed}\nmore", len(typed), reply=True, timeout=SECONDS)["content"]

    start_, end = reply["cursor_start"], reply["cursor_end"]
    assert reply["status"] == "ok"
    assert end == len(typed)
    assert typed[:start_] + reply["matches"][0] == taken
    assert {one["start"] for one in reply["metadata"]["_jupyter_types_experimental"]} == {start_}
