"""A catalogue is kept for a day, asked anew after that, and an endpoint that is away leaves the old one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from fusion_magic import scripted
from fusion_magic.endpoints import Endpoint
from fusion_magic.errors import EndpointUnreachable, KeyMissing
from fusion_magic.folders import cache_dir
from fusion_magic.prices import FREE, Override, Price
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from fusion_magic.providers.catalogue import (
    Listing,
    cached_ids,
    catalogue,
    find,
    free_models,
    kept,
    listing,
    successors,
)
from fusion_magic.providers.chat_completions import ChatCompletions
from servers.openrouter import Server, default_models

ENDPOINT = Endpoint(name="openrouter", base_url="http://nowhere.invalid/v1")
GPT = ModelInfo(
    "openai/gpt-5.5",
    "GPT-5.5",
    1000,
    Price(5e-6, 3e-5, input_cache_read=5e-7, overrides=(Override(272_000, (100, 1030), prompt=1e-5),)),
    frozenset({"seed", "reasoning"}),
    17,
    inputs=frozenset({"text", "image"}),
    outputs=frozenset({"text"}),
)
BARE = ModelInfo("llama3.2")
HOUR = 3600.0


class Shelf:
    """A provider whose catalogue the test writes; counts how often it is asked."""

    def __init__(self, *models: ModelInfo) -> None:
        self.listed, self.asked = models, 0
        self.error: Exception | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        raise NotImplementedError
        yield

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        self.asked += 1
        if self.error:
            raise self.error
        return self.listed


def listed(shelf: Shelf, endpoint: Endpoint = ENDPOINT, **more: float) -> tuple[ModelInfo, ...] | None:
    return asyncio.run(catalogue(endpoint, Providers(shelf), **more))


def cached() -> Path:
    (path,) = cache_dir().glob("models-*.json")
    return path


def age(seconds: float) -> None:
    then = time.time() - seconds
    os.utime(cached(), (then, then))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(GPT, BARE)


def test_a_catalogue_is_asked_for_once_a_day_and_comes_back_as_it_was(shelf):
    first, second = listed(shelf), listed(shelf)

    assert first == second == (GPT, BARE)
    assert shelf.asked == 1


@pytest.mark.parametrize(("old", "asked"), [(23 * HOUR, 1), (25 * HOUR, 2), (-48 * HOUR, 2)])
def test_an_old_catalogue_and_one_from_the_future_are_asked_for_anew(shelf, old, asked):
    listed(shelf)
    age(old)

    listed(shelf)

    assert shelf.asked == asked


def test_a_shorter_age_can_be_asked_for(shelf):
    listed(shelf)
    age(120)

    listed(shelf, max_age=60)

    assert shelf.asked == 2


@pytest.mark.parametrize("error", [EndpointUnreachable("Away."), KeyMissing("No key.")])
def test_an_endpoint_that_is_away_leaves_the_old_catalogue(shelf, error):
    listed(shelf)
    age(48 * HOUR)
    shelf.error = error

    assert listed(shelf) == (GPT, BARE)


def test_an_endpoint_that_is_away_from_the_beginning_has_none(shelf):
    shelf.error = EndpointUnreachable("Away.")

    assert listed(shelf) is None


def test_an_empty_catalogue_is_none_and_does_not_replace_the_old_one(shelf):
    listed(shelf)
    age(48 * HOUR)

    assert listed(Shelf()) is None
    assert listed(shelf, max_age=72 * HOUR) == (GPT, BARE)


DAMAGED = ["", "null", "[]", "{}", "[1]", '[{"id": "x", "price": null}]', '[{"name": "x"}]', '[{"id": 5}]', "[[[["]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_asked_for_anew(shelf, text):
    listed(shelf)
    cached().write_text(text, encoding="utf-8")

    assert listed(shelf) == (GPT, BARE)
    assert shelf.asked == 2


def test_a_listing_says_when_it_was_given_and_what_is_wrong_now(shelf):
    asked = asyncio.run(listing(ENDPOINT, Providers(shelf)))
    age(3 * HOUR)
    shelf.error = EndpointUnreachable("Away.")
    old = asyncio.run(listing(ENDPOINT, Providers(shelf), max_age=60))

    assert asked.problem == ""
    assert 0 <= asked.age < HOUR
    assert (old.models, old.problem) == ((GPT, BARE), "Away.")
    assert 3 * HOUR <= old.age < 4 * HOUR


def test_what_is_kept_is_read_without_asking_however_old(shelf):
    listed(shelf)
    age(400 * 24 * HOUR)

    assert kept(ENDPOINT).models == (GPT, BARE)
    assert cached_ids(ENDPOINT) == ("openai/gpt-5.5", "llama3.2")
    assert shelf.asked == 1


def test_of_an_endpoint_that_was_never_asked_nothing_is_kept():
    assert kept(ENDPOINT) == Listing()
    assert cached_ids(ENDPOINT) == ()
    assert kept(ENDPOINT).age == float("inf")


def test_a_catalogue_that_was_written_anew_is_read_anew(shelf):
    listed(shelf)
    before = cached_ids(ENDPOINT)
    listed(Shelf(BARE), max_age=-1.0)

    assert before == ("openai/gpt-5.5", "llama3.2")
    assert cached_ids(ENDPOINT) == ("llama3.2",)


def test_a_folder_that_can_t_be_written_costs_only_the_cache(shelf, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FUSION_HOME", str(tmp_path / "file"))

    assert listed(shelf) == listed(shelf) == (GPT, BARE)
    assert shelf.asked == 2


def test_each_address_has_its_own_catalogue(shelf):
    listed(shelf)

    listed(shelf, Endpoint(name="openrouter", base_url="http://elsewhere.invalid/v1"))

    assert shelf.asked == 2
    assert not list(cache_dir().glob("*.tmp"))


def test_while_a_script_answers_there_is_no_catalogue(shelf):
    with scripted({"*": "x"}):
        assert listed(shelf) is None

    assert shelf.asked == 0


def test_the_real_client_s_catalogue_survives_the_cache():
    async def asked_of(endpoint: Endpoint) -> tuple[ModelInfo, ...] | None:
        client = ChatCompletions()
        try:
            return await catalogue(endpoint, Providers(client))
        finally:
            await client.aclose()

    with Server() as server:
        endpoint = Endpoint(name="openrouter", base_url=server.base_url)
        fresh = asyncio.run(asked_of(endpoint))
        kept = asyncio.run(asked_of(endpoint))

    assert fresh == kept
    assert fresh is not None
    assert [model.id for model in fresh] == [entry["id"] for entry in default_models()]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("slug", "found"),
    [
        ("a/b", "a/b"),
        ("a/b:nitro", "a/b"),
        ("a/b:floor", "a/b"),
        ("a/c:free", "a/c:free"),
        ("a/b:free", None),
        ("a/x", None),
        ("", None),
    ],
)
def test_a_routing_variant_is_its_model_and_a_vanished_free_one_is_not_the_paid_one(slug, found):
    entry = find([ModelInfo("a/b"), ModelInfo("a/c:free")], slug)

    assert (entry and entry.id) == found


def test_the_successors_of_a_vanished_model_are_the_same_vendor_s_first():
    models = [
        ModelInfo(name) for name in ("anthropic/claude-opus-4.9", "~anthropic/claude-opus-latest", "openai/gpt-6")
    ]

    near = successors(models, "anthropic/claude-opus-4.8")

    assert near[0] == "anthropic/claude-opus-4.9"
    assert "openai/gpt-6" not in near


def test_a_model_whose_vendor_is_unknown_has_the_likest_and_nonsense_has_none():
    models = [ModelInfo("openai/gpt-5.5"), ModelInfo("qwen/qwen3")]

    assert successors(models, "openia/gpt-5.5") == ["openai/gpt-5.5"]
    assert successors(models, "zzz") == []


def test_free_models_are_of_different_vendors_the_longest_context_first():
    models = [
        ModelInfo("a/small:free", context=10, price=FREE),
        ModelInfo("a/large:free", context=99, price=FREE),
        ModelInfo("b/old:free", context=50, price=FREE, created=1),
        ModelInfo("b/new:free", context=50, price=FREE, created=2),
        ModelInfo("c/none:free", price=FREE),
        ModelInfo("d/tiny:free", context=1, price=FREE),
        ModelInfo("e/paid", context=1000),
    ]

    assert free_models(models) == ["a/large:free", "b/new:free", "d/tiny:free"]
    assert free_models(models[-1:]) == []


@pytest.mark.parametrize(
    "name",
    [
        "a/llama-guard-4",
        "a/content-safety",
        "a/embed-vl-1b",
        "a/rerank-3",
        "a/flash-image",
        "a/vision-only",
        "a/mini-tts",
    ],
)
def test_a_free_model_that_does_not_write_text_is_left_out(name):
    models = [ModelInfo(f"{name}:free", context=99), ModelInfo("b/attsel-vision:free", context=1)]

    assert free_models(models) == ["b/attsel-vision:free"]


def test_a_model_whose_endpoint_says_that_it_paints_is_no_writer():
    painter = ModelInfo("a/brush:free", context=99, outputs=frozenset({"image"}))
    writer = ModelInfo("b/pen:free", context=1, outputs=frozenset({"image", "text"}))

    assert free_models([painter, writer]) == ["b/pen:free"]
