"""A panel as a model of inspect_ai: `import fusion_magic.evals.inspect`, then `--model fusion/budget`."""

# inspect_ai is no extra of ours, so its types are not there where this is checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..api import Running
from ..errors import SettingsError
from ..pipeline.given import Turn
from ..request import request_for
from ..results import FusionResult, Usage

try:
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessage,
        ChatMessageAssistant,
        GenerateConfig,
        ModelAPI,
        ModelOutput,
        ModelUsage,
        modelapi,
    )
except ImportError as exc:
    raise SettingsError("A panel as a model of inspect_ai needs inspect_ai; run `pip install inspect_ai`.") from exc

# inspect's epochs are to be independent, so the store does not answer unless `-M reuse=calls` says so.
DEFAULTS = {"reuse": "never"}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class FusionModel(ModelAPI):
    """A panel with its judge and synthesizer behind inspect_ai's interface of a model.

    Args:
        model_name: a panel's name; "custom" where `models` is among the arguments.
        base_url, api_key: not used; endpoints and keys are those of fusion_magic.
        config: what is generated how: max_tokens, temperature and reasoning_effort are passed on.
        model_args: settings as of `fuse`, such as `-M tools=web -M max_usd=2`.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - the signature is inspect_ai's
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        named = {} if "models" in model_args else {"panel": model_name}
        self._settings = {**DEFAULTS, **named, **model_args}

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """The panel's answer to a conversation.

        Raises:
            SettingsError: inspect's own tools or something other than text is sent along.
            FusionError: as `fuse`; also where the panel has answered and there is no fused answer.
        """
        if tools and tool_choice != "none":
            raise SettingsError("A panel takes no tools of inspect_ai; its own are set by `-M tools=web`.")
        system, turns, prompt = _conversation(input)
        settings = {**self._settings, **_configured(config)}
        if system:
            settings["system"] = "\n\n".join(filter(None, (settings.get("system"), system)))
        request = replace(request_for(prompt, **settings), turns=turns)
        result = await Running(request).wait_async()
        if result.answer is None:
            raise SettingsError(result.error or "There is no fused answer.")
        return _output(self.model_name, result)


@modelapi(name="fusion")
def fusion() -> type[ModelAPI]:
    """What inspect_ai calls for `fusion/…`."""
    return FusionModel


def _conversation(messages: list[ChatMessage]) -> tuple[str, tuple[Turn, ...], str]:
    """System text, earlier turns, and what is asked now."""
    if any(message.role == "tool" for message in messages):
        raise SettingsError("A panel takes no results of inspect_ai's tools.")
    if any(not isinstance(message.content, str) and _has_media(message) for message in messages):
        raise SettingsError("A panel of inspect_ai takes text alone; pictures and files go with fuse(attach=…).")
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    said = [message for message in messages if message.role in ("user", "assistant")]
    if not said or said[-1].role != "user":
        raise SettingsError("The last message to a panel must be the user's.")
    turns: list[Turn] = []
    asked: list[str] = []
    for message in said[:-1]:
        if message.role == "user":
            asked.append(message.text)
        else:
            turns.append(Turn("\n\n".join(asked), message.text))
            asked = []
    return system, tuple(turns), "\n\n".join([*asked, said[-1].text])


def _has_media(message: Any) -> bool:
    return any(part.type not in ("text", "reasoning") for part in message.content)


def _configured(config: GenerateConfig) -> dict[str, Any]:
    effort = config.reasoning_effort if config.reasoning_effort in EFFORTS else None
    given = {"max_tokens": config.max_tokens, "temperature": config.temperature, "effort": effort}
    return {name: value for name, value in given.items() if value is not None}


def _output(model: str, result: FusionResult) -> ModelOutput:
    used = [call.usage for call in result.calls if call.usage]
    message = ChatMessageAssistant(content=result.answer or "", model=f"fusion/{model}", source="generate")
    return ModelOutput(
        model=f"fusion/{model}",
        choices=[ChatCompletionChoice(message=message, stop_reason="stop")],
        usage=_usage(sum(used, Usage()), result.cost) if used else None,
        metadata={"run": result.id, "status": result.status, "failed": len(result.failed_models)},
    )


def _usage(used: Usage, cost: float | None) -> ModelUsage:
    """inspect's input tokens are without cached ones, ours with them."""
    return ModelUsage(
        input_tokens=max(0, used.prompt_tokens - used.cached_tokens - used.cache_write_tokens),
        output_tokens=used.completion_tokens,
        total_tokens=used.total_tokens,
        input_tokens_cache_read=used.cached_tokens,
        input_tokens_cache_write=used.cache_write_tokens,
        reasoning_tokens=used.reasoning_tokens,
        total_cost=cost,
    )
