"""What may be asked in an endpoint's own batches, and what it costs there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import SettingsError
from ..pipeline.plan import Chair, Plan
from ..prices import Price
from ..settings import Settings

# "50% cost discount compared to synchronous APIs": https://platform.openai.com/docs/guides/batch
SHARE = 0.5
TOKENS = ("prompt", "completion", "input_cache_read", "input_cache_write", "internal_reasoning")
# Seconds that a call may wait for its batch: a day is what OpenAI takes at most, and then it says that it expired.
PATIENCE = 7 * 86_400.0


def check_batch(settings: Settings, client: object) -> None:
    """Raise SettingsError for what can't be asked in batches, whoever is asked."""
    if client is not None:
        raise SettingsError("batch=True sends the calls of all rows from this process; leave out client.")
    if settings.engine == "openrouter":
        raise SettingsError("OpenRouter's own fusion has no batches; leave out engine, or batch=True.")
    if settings.strategy != "fusion":
        raise SettingsError(f"batch=True asks each seat once; leave out strategy ({settings.strategy}), or batch=True.")
    if settings.quorum is not None:
        raise SettingsError("All answers of a batch come at once, and all are paid; leave out quorum, or batch=True.")


def at_half_price(plan: Plan) -> Plan:
    """The plan with the prices of batches, and with the time that they take.

    A call that failed is not sent again: it might be another day until its answer.

    Raises:
        SettingsError: a model whose endpoint has no batches, or tools.
    """
    if plan.has_tools or plan.settings.judge_tools:
        raise SettingsError(
            "A seat with tools would wait for a batch at each step; leave out the tools, or batch=True."
        )
    for chair in plan.chairs():
        if not chair.endpoint.batches:
            raise SettingsError(
                f"{chair.model} can't be asked in batches: {chair.endpoint.name} has none; choose a model of an "
                "endpoint that has, such as openai, or set batches = true for yours in fusion.toml."
            )
    seconds = dict.fromkeys(("timeout", "first_token_timeout", "gap_timeout"), PATIENCE)
    return replace(
        plan,
        settings=plan.settings.model_copy(update={**seconds, "retries": 0}),
        seats=tuple(map(_halved, plan.seats)),
        judge=_halved(plan.judge),
        synthesizer=_halved(plan.synthesizer),
    )


def _halved(chair: Chair) -> Chair:
    return replace(chair, price=halved(chair.price), fallback=chair.fallback and _halved(chair.fallback))


def halved(price: Price) -> Price:
    """The price of a call in a batch; what is not known stays unknown."""
    overrides = tuple(
        replace(override, **{name: value * SHARE for name, value in override.amounts().items()})
        for override in price.overrides
    )
    amounts: dict[str, Any] = {name: getattr(price, name) for name in TOKENS}
    known = {name: value * SHARE for name, value in amounts.items() if value is not None}
    return replace(price, **known, overrides=overrides)
