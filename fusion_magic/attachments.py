"""Placeholder while this room is being built."""

from typing import Any

Attachment = Any


def attachment_of(value: Any, name: str = "") -> Any:
    raise NotImplementedError


def message_parts(prompt: str, attachments: Any, takes: Any) -> tuple[Any, tuple[Any, ...]]:
    return prompt, ()


def told(saw: Any) -> tuple[str, ...]:
    return ()


def names_for_others(attachments: Any) -> str:
    return ""
