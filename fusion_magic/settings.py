"""What the user chose: panelists, panels, endpoints and every setting of a run, as frozen values."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import SettingsError

LABELS = "ABCDEFGH"
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
MODEL_NAME = re.compile(r"(?P<slug>\S+?)@(?P<endpoint>https?://\S+|[\w.-]+)")
T = TypeVar("T", bound=BaseModel)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(_Value):
    """An OpenAI-compatible server."""

    name: str = Field(description="what stands behind the @ of a model")
    base_url: str = Field(description="address up to and including /v1")
    key_env: str | None = Field(None, description="environment variable that holds the key")
    free: bool = Field(False, description="calls cost nothing; loopback addresses always do")

    @property
    def is_openrouter(self) -> bool:
        return self.name == "openrouter"

    @property
    def is_local(self) -> bool:
        """The embedded model."""
        return self.name == "local"

    @property
    def is_loopback(self) -> bool:
        return self.is_local or is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def costs_nothing(self) -> bool:
        return self.free or (self.is_loopback and not self.is_openrouter)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def builtin_endpoints() -> dict[str, Endpoint]:
    """Endpoints that need no configuration. OPENROUTER_BASE_URL overrides OpenRouter's address."""
    openrouter = os.environ.get("OPENROUTER_BASE_URL") or "https://openrouter.ai/api/v1"
    known = (
        Endpoint(name="openrouter", base_url=openrouter.rstrip("/"), key_env="OPENROUTER_API_KEY"),
        Endpoint(name="openai", base_url="https://api.openai.com/v1", key_env="OPENAI_API_KEY"),
        Endpoint(name="ollama", base_url="http://localhost:11434/v1"),
        Endpoint(name="lmstudio", base_url="http://localhost:1234/v1"),
        Endpoint(name="llamacpp", base_url="http://localhost:8080/v1"),
        Endpoint(name="vllm", base_url="http://localhost:8000/v1"),
        Endpoint(name="local", base_url="embedded", free=True),
        Endpoint(name="scripted", base_url="scripted", free=True),
    )
    return {endpoint.name: endpoint for endpoint in known}


def split_model(model: str) -> tuple[str, str]:
    """A model's slug and its endpoint: "llama3.2@ollama" → ("llama3.2", "ollama"); no @ means OpenRouter.

    The endpoint may be an address, "name@http://localhost:9000/v1"; it is then asked without a key.
    """
    match = MODEL_NAME.fullmatch(model)
    return (match["slug"], match["endpoint"]) if match else (model, "openrouter")


def local_model_name() -> str:
    """What the embedded model is called: "smollm2", or the name of the file in FUSION_LOCAL_MODEL."""
    path = os.environ.get("FUSION_LOCAL_MODEL")
    return Path(path).stem.replace(" ", "-") if path else "smollm2"


class Panelist(_Value):
    """A seat: a model with what it is asked differently from the others."""

    model: str = Field(description='"vendor/model" on OpenRouter, or "model@endpoint"', min_length=1)
    label: str = Field("", description="the seat's letter; given by position")
    system: str | None = Field(None, description="the seat's persona, put before the system text of the run")
    temperature: float | None = Field(None, ge=0, le=2, description="overrides the run's temperature")
    effort: Effort | None = Field(None, description="overrides the run's reasoning effort")
    max_tokens: int | None = Field(None, gt=0, description="overrides the run's limit of output tokens")
    seed: int | None = Field(None, description="seed for servers that honour one")
    fallback: str | None = Field(None, description="model asked when the first one fails")


def _seat(value: object) -> object:
    return {"model": value.strip()} if isinstance(value, str) else value


Seat = Annotated[Panelist, BeforeValidator(_seat)]


def _seats(value: object) -> object:
    return (value,) if isinstance(value, str | Panelist) else value


Seats = Annotated[tuple[Seat, ...], BeforeValidator(_seats)]


class Panel(_Value):
    """One to eight seats with a judge and a synthesizer.

    Without a judge the first seat's model judges, as OpenRouter's Fusion does; without a synthesizer the
    judge's model writes the answer. `Panel(models=["a/b", "c/d"], judge="e/f")`.
    """

    models: Seats = Field(description="one to eight models, each a name or a Panelist; the same may sit twice")
    judge: Seat = Field(None, validate_default=False, description="who compares the responses")  # type: ignore[assignment]
    synthesizer: Seat = Field(None, validate_default=False, description="who writes the answer")  # type: ignore[assignment]
    name: str = Field("", description="the panel's name, if it has one")
    about: str = Field("", description="one sentence")
    score: float | None = Field(None, description="published DRACO score in percent, measured with tools")
    source: str = Field("", description="where the members and the score are published")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = dict(data)
        seats = _seats(given.get("models") or ())
        if not seats:
            raise ValueError("a panel needs at least one model")
        if len(seats) > len(LABELS):
            raise ValueError(f"a panel has at most {len(LABELS)} models; {len(seats)} were given")
        first = _model_name(next(iter(seats)))
        given["judge"] = given.get("judge") or first
        given["synthesizer"] = given.get("synthesizer") or _model_name(given["judge"])
        return given

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        wanted = zip(LABELS, self.models, strict=False)
        seats = tuple(seat.model_copy(update={"label": letter}) for letter, seat in wanted)
        object.__setattr__(self, "models", seats)
        return self


def _model_name(seat: object) -> str:
    if isinstance(seat, Panelist):
        return seat.model
    return str(seat["model"] if isinstance(seat, Mapping) else seat)


class Settings(_Value):
    """Every setting of a run. The defaults are reasoned beside each field."""

    panel: str | Panel | None = Field(None, description="name of a panel, or a Panel")
    models: Seats | None = Field(None, description="models that sit on the panel instead of the named ones")
    judge: Seat | None = Field(None, description="model that compares the responses")
    synthesizer: Seat | None = Field(None, description="model that writes the answer")
    # OpenRouter's own default for every inner call of Fusion since August 2026; it includes reasoning.
    max_tokens: int = Field(16_000, gt=0, description="output tokens of a call at most, reasoning included")
    temperature: float | None = Field(None, ge=0, le=2, description="of the panel; the judge is always at 0")
    effort: Effort | None = Field(None, description="reasoning effort of every call")
    system: str | None = Field(None, description="system text for the panel and the synthesizer")
    rubric: str | None = Field(None, description="what the judge shall weigh")
    # A frontier model with much reasoning took up to 30 minutes in DRACO runs; most answer within 5.
    timeout: float = Field(900.0, gt=0, description="seconds for one call in all, retries included")
    connect_timeout: float = Field(10.0, gt=0, description="seconds to reach the server")
    # Models that hide their reasoning send nothing for minutes.
    first_token_timeout: float = Field(300.0, gt=0, description="seconds to the first token")
    gap_timeout: float = Field(120.0, gt=0, description="seconds between two chunks of a stream")
    retries: int = Field(2, ge=0, le=10, description="how often a failed call is sent again")
    quorum: int | None = Field(None, ge=1, le=8, description="go on once this many panelists have answered")
    grace: float = Field(10.0, ge=0, description="seconds the others still have after the quorum")
    private: bool = Field(False, description="only OpenRouter endpoints that neither keep nor train on data")

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name in data:
                if name not in cls.model_fields:
                    raise ValueError(f'no setting "{name}"{nearest(str(name), cls.model_fields)}')
        return data


def build_settings(*layers: Mapping[str, Any]) -> Settings:
    """Settings from layers, the first one strongest; a value of None leaves the next layer in force.

    Raises:
        SettingsError: a name or value is not valid; one sentence says which.
    """
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged |= {name: value for name, value in layer.items() if value is not None}
    return checked(Settings, merged)


def checked(kind: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Validate `data`, with pydantic's report turned into one sentence.

    Raises:
        SettingsError: the first thing that is wrong.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as exc:
        raise SettingsError(where + _sentence(exc)) from exc


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "Panel")))
    message = first["msg"].removeprefix("Value error, ")
    if not place:
        return message if message.endswith((".", "?")) else f"{message}."
    given = first.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float) else ""
    return f"{place}: {message}{shown}."


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: '; did you mean "budget"?', or a full stop if nothing is near."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return "; did you mean " + " or ".join(f'"{other}"' for other in close) + "?" if close else "."


def _folder(kind: Literal["config", "cache", "data"]) -> Path:
    home = os.environ.get("FUSION_HOME")
    if home:
        return Path(home).expanduser() / ("cache" if kind == "cache" else "")
    found = {
        "config": platformdirs.user_config_path,
        "cache": platformdirs.user_cache_path,
        "data": platformdirs.user_data_path,
    }
    return found[kind]("fusion_magic", appauthor=False)


def config_dir() -> Path:
    """Where `fusion.toml` and stored keys are: FUSION_HOME, or the user's configuration folder."""
    return _folder("config")


def cache_dir() -> Path:
    """Where catalogues and model weights are kept: FUSION_HOME/cache, or the user's cache folder."""
    return _folder("cache")
