"""Attachments in a run: each seat gets them in the form it takes, and the output says which seat saw what."""

from pathlib import Path
from typing import Any

import pytest

from fusion_magic import fuse
from fusion_magic.errors import SettingsError
from pipeline.asking import chats, sent
from servers.openrouter import Server

FLASH, KIMI, OPUS = "google/gemini-3-flash-preview", "moonshotai/kimi-k2.6", "anthropic/claude-opus-4.8"


def sees_images(server: Server, slug: str) -> None:
    entry = next(entry for entry in server.models if entry["id"] == slug)
    entry["architecture"]["input_modalities"] = ["text", "image"]


def picture(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    path = folder / "chart.png"
    image.new("RGB", (4, 4), "red").save(path)
    return path


def ask(**more: Any) -> Any:
    return fuse("What does it show?", **({"models": [FLASH, KIMI], "judge": OPUS, "tools": []} | more))


def test_a_picture_goes_to_the_seats_that_see_and_that_is_told(openrouter: Server, tmp_path: Path, schema: Any):
    sees_images(openrouter, FLASH)

    result = ask(attach=[picture(tmp_path)])

    seeing, blind = (chats(openrouter, model)[0].body for model in (FLASH, KIMI))
    kinds = [part["type"] for part in seeing["messages"][-1]["content"]]
    assert "image_url" in kinds
    assert "data:image" not in str(blind["messages"])
    schema(seeing, "ChatRequest")
    assert any("A" in told and "chart.png" in told and "B" in told for told in result.warnings)


def test_text_goes_to_all_and_judge_and_writer_read_how_it_begins(openrouter: Server, tmp_path: Path):
    (tmp_path / "notes.md").write_text("The heron is grey.", encoding="utf-8")

    ask(attach=str(tmp_path / "notes.md"))

    assert all("The heron is grey." in sent(openrouter, model) for model in (FLASH, KIMI, OPUS))
    assert str(tmp_path) not in str([request.body for request in chats(openrouter)])


def test_an_attachment_that_holds_a_key_is_refused(openrouter: Server, tmp_path: Path):
    (tmp_path / "dot.env").write_text("OPENROUTER_API_KEY=key-of-a-test", encoding="utf-8")

    with pytest.raises(SettingsError, match="holds the key in OPENROUTER_API_KEY"):
        ask(attach=[tmp_path / "dot.env"])

    assert not chats(openrouter)


def test_a_file_that_is_not_there_is_one_sentence_before_anything_is_asked(openrouter: Server, tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nothing\.png"):
        ask(attach=[tmp_path / "nothing.png"])

    assert not chats(openrouter)
