"""Everything that can go wrong, as one tree; each message says what happened, to which model, and what to do next.

FusionError
├── SettingsError            a flag, setting, panel or file that can't be used as written
│   ├── UnknownPanel         no panel of that name
│   └── UnknownModel         the endpoint's catalogue has no such model
├── KeyMissing               the endpoint needs a key and none was found
├── LocalModelError          the embedded model can't run here
├── CallError                one call to one model failed
│   ├── EndpointUnreachable  no connection, or it broke before an answer
│   ├── CallTimeout          connect, first token, gap or total time ran out
│   ├── StreamBroken         the stream ended, stalled or was damaged before the answer was whole
│   ├── RequestRefused       the server answered with an error status
│   │   ├── NotAuthorized    401 or 403
│   │   ├── CreditsExhausted 402
│   │   ├── ModelNotFound    404
│   │   ├── RateLimited      429
│   │   └── ContextOverflow  the prompt is longer than the model's context
│   ├── ResponseCutOff       the answer stopped at the token limit
│   ├── ResponseFiltered     a content filter stopped the answer
│   ├── EmptyResponse        the model finished without text
│   ├── OverBudget           the limit of US dollars does not leave enough for it
│   └── JudgeUnreadable      what the judge wrote is not the analysis that was asked for
├── ToolError                a tool could not do what a model asked of it; the model reads why
└── PanelFailed              no panelist answered (`.result` has each reason)
KeyboardInterrupt
└── FusionInterrupted        the run was interrupted (`.result` has what was answered)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import FusionResult


class FusionError(Exception):
    """Any expected error of this package; notebooks show it as one line."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SettingsError(FusionError):
    """A flag, setting, panel or file that can't be used as written."""


class UnknownPanel(SettingsError):
    """No panel of that name; the message lists the nearest ones."""


class UnknownModel(SettingsError):
    """The endpoint's catalogue has no such model; the message lists the nearest ones."""


class KeyMissing(FusionError):
    """The endpoint needs a key and none was found."""


class LocalModelError(FusionError):
    """The embedded model can't run here; the message names the command that mends it."""


class CallError(FusionError):
    """One call to one model failed.

    Attributes:
        status_code: the HTTP status, or None if there was none.
        retryable: whether asking again may help.
        retry_after: seconds the server asked to wait, or None.
        text: what had been written before the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.text = text

    @property
    def slows_down(self) -> bool:
        """Whether the server wants to be asked less often: 429, 529, or a 503 that says when to come back."""
        return self.status_code in (429, 529) or (self.status_code == 503 and self.retry_after is not None)


class EndpointUnreachable(CallError):
    """No connection to the endpoint, or it broke before an answer began."""


class CallTimeout(CallError):
    """The time for the connection, the first token, the next chunk or the whole call ran out."""


class StreamBroken(CallError):
    """The stream ended or was damaged before the answer was whole."""


class RequestRefused(CallError):
    """The server answered with an error status, before or in the stream."""


class NotAuthorized(RequestRefused):
    """401 or 403: the key is wrong or may not do this."""


class CreditsExhausted(RequestRefused):
    """402: the account or the key has no credit left."""


class ModelNotFound(RequestRefused):
    """404: the endpoint does not know or can't route to the model."""


class RateLimited(RequestRefused):
    """429: too many requests, also after the retries."""


class ContextOverflow(RequestRefused):
    """The prompt is longer than the model's context."""


class ResponseCutOff(CallError):
    """The answer stopped at the token limit."""


class ResponseFiltered(CallError):
    """A content filter stopped the answer."""


class EmptyResponse(CallError):
    """The model finished without any text."""


class OverBudget(CallError):
    """The run's limit of US dollars does not leave enough for the call; it was not sent."""


class JudgeUnreadable(CallError):
    """What the judge wrote is not the analysis that was asked for."""


class ToolError(FusionError):
    """A tool could not do what a model asked of it; the model reads the message and goes on."""


class PanelFailed(FusionError):
    """No panelist answered; `.result` is a FusionResult with each reason in `failed_models`."""

    def __init__(self, message: str, result: FusionResult) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type[PanelFailed], tuple[str, FusionResult]]:
        return PanelFailed, (str(self), self.result)


class FusionInterrupted(KeyboardInterrupt):
    """The run was interrupted; `.result` is a FusionResult with what was answered so far, or
    None if nothing had been asked.

    A KeyboardInterrupt, so that loops and Run All stop as they do for any interrupt.
    """

    def __init__(self, message: str, result: FusionResult | None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type[FusionInterrupted], tuple[str, FusionResult | None]]:
        return FusionInterrupted, (str(self), self.result)

    def _render_traceback_(self) -> list[str]:
        return [f"FusionInterrupted: {self}"]
