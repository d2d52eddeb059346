"""Every error status and body becomes one sentence of the right class, and only what may help is tried again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from fusion_magic import errors
from fusion_magic.endpoints import Endpoint
from fusion_magic.providers import ChatRequest
from fusion_magic.providers.refusals import refusal, stream_refusal

OPENROUTER = Endpoint(name="openrouter", base_url="https://openrouter.invalid/api/v1")
REQUEST = ChatRequest(OPENROUTER, "a/b", (), 10)
AT_OLLAMA = replace(REQUEST, endpoint=Endpoint(name="ollama", base_url="http://localhost:11434/v1"))
KEY = SecretStr("sk-test-0123456789")


def refused(status: int, body: Any = None, headers: dict[str, str] | None = None, **more: Any) -> errors.RequestRefused:
    data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return refusal(replace(REQUEST, **more), status, headers or {}, data, KEY)


def error(message: str = "Broken", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestRefused),
        (401, errors.NotAuthorized),
        (402, errors.CreditsExhausted),
        (403, errors.NotAuthorized),
        (404, errors.ModelNotFound),
        (422, errors.RequestRefused),
        (429, errors.RateLimited),
        (503, errors.RequestRefused),
    ],
)
def test_each_status_has_its_error(status, kind):
    failed = refused(status, error())

    assert type(failed) is kind
    assert failed.status_code == status
    assert str(failed).startswith(f"a/b answered {status}: Broken.")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 501, 502, 503, 504, 520, 524, 529])
def test_what_may_pass_is_tried_again(status):
    assert refused(status).retryable


@pytest.mark.parametrize("status", [204, 301, 307, 400, 401, 402, 403, 404, 405, 413, 422])
def test_what_will_not_pass_is_never_tried_again(status):
    assert not refused(status).retryable
    assert not refused(status, error(availability={"retryable": True})).retryable


def test_a_server_that_says_it_is_no_use_is_believed():
    assert not refused(503, error(availability={"retryable": False})).retryable


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "too odd"}, ": too odd."),
        ({"message": "plain"}, ": plain."),
        ({"detail": "Not Found"}, ": Not Found."),
        ([{"error": {"message": "in a list"}}], ": in a list."),
        ({"error": None}, "."),
        ({"error": {"message": None}}, "."),
        (b"<html>Bad gateway</html>", "."),
        (b"", "."),
        (b"[" * 100_000, "."),
        (b"\xff\xfe", "."),
        ([], "."),
        ("word", "."),
        (error("two\n lines\x1b[31m."), ": two lines[31m."),
    ],
)
def test_a_body_of_any_shape_becomes_one_line(body, said):
    assert str(refused(500, body)) == f"a/b answered 500{said}"


def test_what_the_provider_said_is_passed_on_where_openrouter_only_says_that_it_failed():
    failed = refused(502, error("Provider returned error", metadata={"raw": '{"reason":\n"overheated"}'}))

    assert 'Provider returned error: {"reason": "overheated"}' in str(failed)


def test_a_long_message_is_cut():
    assert len(str(refused(500, error("x" * 5000)))) < 400


@pytest.mark.parametrize("before", [0, 285, 290, 299])
def test_a_key_in_the_message_is_never_shown_not_even_its_beginning(before):
    failed = refused(401, error("." * before + KEY.get_secret_value()))

    assert "sk-" not in str(failed)


def test_a_key_in_what_the_provider_said_is_never_shown():
    failed = refused(400, error("Provider returned error", metadata={"raw": f"bad {KEY.get_secret_value()}"}))

    assert "sk-" not in str(failed)


@pytest.mark.parametrize(
    "body",
    [
        error(
            "request (5031 tokens) exceeds the available context size (2048 tokens)", type="exceed_context_size_error"
        ),
        error("Too long", metadata={"error_type": "context_length_exceeded"}),
        error("This model's maximum context length is 8192 tokens."),
        error("Provider returned error", metadata={"raw": "prompt is too long: 210000 tokens > 200000 maximum"}),
        error("Too long", error_type="context_length_exceeded"),
    ],
)
def test_a_prompt_that_is_too_long_is_a_context_overflow(body):
    failed = refused(400, body, private=True)

    assert isinstance(failed, errors.ContextOverflow)
    assert "Shorten the prompt" in str(failed)


@pytest.mark.parametrize(
    "body", [error("x/y is not a valid model ID"), error("Gone", availability={"code": "model_not_found"})]
)
def test_an_unknown_model_that_openrouter_answers_with_400_is_not_found(body):
    failed = refused(400, body)

    assert isinstance(failed, errors.ModelNotFound)
    assert "%fusion models" in str(failed)


def test_another_server_s_404_speaks_of_that_server():
    failed = refusal(AT_OLLAMA, 404, {}, b"{}", None)

    assert str(failed).startswith("a/b@ollama answered 404.")
    assert "/v1" in str(failed)


def test_a_refused_key_names_the_login_of_its_endpoint():
    assert "`%fusion login ollama`" in str(refusal(AT_OLLAMA, 401, {}, b"{}", None))


def test_a_refused_private_request_says_what_to_drop():
    failed = refused(404, error("No endpoints found matching your data policy"), private=True)

    assert "drop --private" in str(failed)


def test_a_parameter_refused_in_a_private_run_is_not_blamed_on_privacy():
    assert "--private" not in str(refused(400, error("Unsupported parameter: seed"), private=True))


def test_a_redirect_is_one_sentence_that_names_the_host_alone():
    failed = refused(307, b"", {"location": "https://user:pw@login.example/path?next=1"})

    assert "login.example" in str(failed)
    assert "pw" not in str(failed)
    assert "base_url" in str(failed)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.05", 0.05), ("-3", 0.0), ("1e9", 1e9), ("nan", None), ("inf", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(value, seconds):
    assert refused(429, headers={"retry-after": value}).retry_after == seconds


def test_retry_after_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert refused(503, headers={"retry-after": later}).retry_after == pytest.approx(60, abs=5)


def test_retry_after_that_has_passed_is_no_wait():
    assert refused(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}).retry_after == 0


def test_retry_after_in_the_body():
    assert refused(429, error(availability={"retry_after": 3})).retry_after == 3


@pytest.mark.parametrize(
    ("told", "status", "retryable"),
    [
        ({"code": 502, "message": "x"}, 502, True),
        ({"code": "429"}, 429, True),
        ({"code": "server_error"}, 500, True),
        ({"code": "rate_limit_exceeded"}, 429, True),
        ({"code": "never heard of"}, 502, True),
        ({"metadata": {"error_type": "provider_overloaded"}}, 503, True),
        ({"code": 402}, 402, False),
        ({"code": "insufficient_quota"}, 402, False),
        ({"code": "invalid_api_key"}, 401, False),
        ({"code": None, "type": "invalid_request_error"}, 400, False),
        ({"http_status": 403}, 403, False),
        ({"code": 0}, 502, True),
        ({"code": True}, 502, True),
        ("overloaded", 502, True),
        (["odd"], 502, True),
    ],
)
def test_an_error_in_a_stream_has_a_status_from_its_number_or_word(told, status, retryable):
    failed = stream_refusal(REQUEST, told, KEY)

    assert (failed.status_code, failed.retryable) == (status, retryable)


def test_a_stream_s_word_for_an_overflow_is_a_context_overflow():
    assert isinstance(stream_refusal(REQUEST, {"code": "context_length_exceeded"}, None), errors.ContextOverflow)


def test_an_error_in_a_stream_never_shows_the_key():
    assert "sk-" not in str(stream_refusal(REQUEST, f"bad key {KEY.get_secret_value()}", KEY))
