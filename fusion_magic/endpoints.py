"""Where calls go: endpoints, and which of them a model's name means."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from .chosen import Chosen, checked

NO_ADDRESS = ("embedded", "scripted")  # of the two endpoints that are inside this process or its child
MODEL_NAME = re.compile(r"(?P<slug>.+?)@(?P<endpoint>https?://\S+|[\w.-]+)")


class Endpoint(Chosen):
    """An OpenAI-compatible server."""

    name: str = Field(description="what stands behind the @ of a model")
    base_url: str = Field(description="address up to and including /v1")
    key_env: str | None = Field(default=None, description="environment variable that holds the key")
    free: bool = Field(default=False, description="calls cost nothing; loopback addresses always do")
    batches: bool = Field(default=False, description="has /files and /batches as OpenAI does, at half price")

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value in NO_ADDRESS:
            return value
        value = value.strip().rstrip("/")
        if _host(value) is None:
            raise ValueError('it is not an address like "https://host/v1"')
        if "@" in value:
            raise ValueError("it must not hold a user or a password; name the variable of the key in key_env")
        return value

    @field_validator("key_env")
    @classmethod
    def _is_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("it must be the name of an environment variable, not the key itself")
        return value

    @property
    def is_openrouter(self) -> bool:
        return self.name == "openrouter"

    @property
    def is_local(self) -> bool:
        """The embedded model."""
        return self.name == "local"

    @property
    def is_loopback(self) -> bool:
        return self.is_local or is_loopback(_host(self.base_url) or "")

    @property
    def costs_nothing(self) -> bool:
        return self.free or (self.is_loopback and not self.is_openrouter)


@functools.lru_cache(256)
def _host(address: str) -> str | None:
    """The host of an HTTP address, or None if it is not one."""
    if any(letter <= " " or letter in "?#" for letter in address):
        return None
    try:
        parts = urlsplit(address)
        return parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        return None


@functools.lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine; servers that listen everywhere print 0.0.0.0."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def builtin_endpoints() -> dict[str, Endpoint]:
    """Endpoints that need no configuration. OPENROUTER_BASE_URL overrides OpenRouter's address.

    Raises:
        SettingsError: OPENROUTER_BASE_URL is no address.
    """
    return {endpoint.name: endpoint for endpoint in _builtin(os.environ.get("OPENROUTER_BASE_URL", "").strip())}


@functools.lru_cache(4)
def _builtin(openrouter_address: str) -> tuple[Endpoint, ...]:
    address = openrouter_address or "https://openrouter.ai/api/v1"
    openrouter = {"name": "openrouter", "base_url": address, "key_env": "OPENROUTER_API_KEY"}
    return (
        checked(Endpoint, openrouter, "OPENROUTER_BASE_URL: "),
        Endpoint(name="openai", base_url="https://api.openai.com/v1", key_env="OPENAI_API_KEY", batches=True),
        Endpoint(name="ollama", base_url="http://localhost:11434/v1"),
        Endpoint(name="lmstudio", base_url="http://localhost:1234/v1"),
        Endpoint(name="llamacpp", base_url="http://localhost:8080/v1"),
        Endpoint(name="vllm", base_url="http://localhost:8000/v1"),
        Endpoint(name="local", base_url="embedded", free=True),
        Endpoint(name="scripted", base_url="scripted", free=True),
    )


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
