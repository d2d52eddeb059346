"""A call that was kept comes back as it was, if it may be reused, and what tools found on the web for a day."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from fusion_magic.store import Store, calls
from fusion_magic.store.bodies import unpacked
from store.keeping import HERE, NOW, alter, kept

HOSTILE = "NUL \x00, half a pair \ud800, quotes '\"; DROP TABLE calls; -- \u202e and 日本語 🙂"


def test_a_call_comes_back_as_it_was(store: Store):
    given = kept(made=NOW, usage=None, cost=None, seed="abc")
    store.keep(given, HERE, reusable=True).result(30)

    assert store.find("key") == given


def test_without_a_file_there_is_nothing_and_looking_makes_none(store: Store):
    assert store.find("key") is None
    assert store.web("key") is None
    assert not store.path.exists()


def test_the_newest_reusable_call_of_a_key_is_found(store: Store):
    for minutes, text, reusable in ((0, "old", True), (2, "cut off", False), (1, "new", True)):
        made = NOW + timedelta(minutes=minutes)
        store.keep(kept(made=made, answer={"text": text}), HERE, reusable=reusable)
    store.settled().result(30)

    found = store.find("key")

    assert found is not None
    assert found.answer == {"text": "new"}


def test_a_disowned_call_is_found_no_more_but_still_booked(store: Store):
    store.keep(kept(), HERE, reusable=True)
    store.disown("key").result(30)

    assert store.find("key") is None
    assert store.size().calls == 1


def test_a_reused_call_is_not_kept_again(store: Store):
    store.keep(kept(reused=True, cost=0.0), HERE, reusable=True).result(30)
    store.settled().result(30)

    assert store.find("key") is None
    assert store.costs("model") == []


@pytest.mark.parametrize("pack", [zlib.compress, bytes])
@pytest.mark.parametrize("length", [10, 10_000])
def test_a_body_is_read_whether_it_is_compressed_or_not(store: Store, length: int, pack: Callable[[bytes], bytes]):
    """An earlier version compressed short ones too."""
    given = kept(answer={"text": "x" * length})
    store.keep(given, HERE, reusable=True).result(30)
    [(body,)] = alter(store, "SELECT body FROM calls")
    alter(store, f"UPDATE calls SET body = x'{pack(json.dumps(unpacked(body)).encode()).hex()}'")

    assert store.find("key") == given
    assert (len(body) < length) == (length > 10)


def test_hostile_text_comes_back_as_it_was(store: Store):
    given = kept(HOSTILE.replace("\ud800", ""), answer={"text": HOSTILE}, request={HOSTILE: HOSTILE}, model=HOSTILE)
    store.keep(given, HERE, reusable=True).result(30)

    assert store.problem is None
    assert store.find(given.key) == given


def test_a_number_of_tokens_that_no_database_can_hold_costs_nothing_else(store: Store):
    usage = {"prompt_tokens": 10**30, "completion_tokens": 10**30}
    for number in range(20):
        store.keep(kept(str(number), usage=usage), HERE, reusable=True)
    store.settled().result(30)

    assert store.problem is None
    assert store.costs("model")[0].calls == 20


def test_of_a_picture_the_kind_length_and_hash_are_kept(store: Store):
    picture = "data:image/png;base64," + "A" * 2_000
    request = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]}]}
    store.keep(kept(request=request), HERE, reusable=True).result(30)

    found = store.find("key")

    assert found is not None
    url = found.request["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,… (2022 characters, SHA-256 ")


def test_a_value_that_is_no_json_costs_its_own_call_alone(store: Store):
    store.keep(kept("bad", answer={"text": object()}), HERE, reusable=True)
    store.keep(kept("good"), HERE, reusable=True).result(30)

    assert store.find("bad") is None
    assert store.find("good") is not None
    assert "<class 'object'>" in str(store.problem)


def test_a_damaged_call_is_asked_again_and_said(store: Store):
    store.keep(kept(), HERE, reusable=True).result(30)
    alter(store, "UPDATE calls SET body = x'00'")

    assert store.find("key") is None
    assert "is damaged" in str(store.problem)


def test_what_was_found_on_the_web_comes_back_with_its_time(store: Store):
    before = datetime.now(UTC)
    store.keep_web("key", [["https://example.org", HOSTILE]])
    store.keep_web("other", None).result(30)

    found = store.web("key")

    assert found is not None
    assert before <= found[0] <= datetime.now(UTC)
    assert found[1] == [["https://example.org", HOSTILE]]


def test_after_a_day_what_was_found_on_the_web_is_gone(store: Store):
    store.keep_web("key", "page").result(30)
    alter(store, "UPDATE web SET made = made - ?", calls.WEB_SECONDS + 1)

    assert store.web("key") is None
    store.keep_web("other", "page").result(30)
    assert alter(store, "SELECT key FROM web") == [("other",)]


@pytest.mark.parametrize("length", [0, 1, 5_000_000])
def test_an_answer_of_any_length_comes_back(store: Store, length: int):
    store.keep(kept(answer={"text": "ä" * length}), HERE, reusable=True).result(30)

    found = store.find("key")

    assert found is not None
    assert len(found.answer["text"]) == length
