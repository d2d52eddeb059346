"""From what a caller wrote to a request: settings from every layer, keys refused, the thread so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from .errors import KeyMissing, SettingsError
from .keys import environment_keys
from .pipeline.given import Turn, bounded
from .pipeline.material import gather
from .pipeline.run import FusionRequest
from .presets import default_panel, endpoints, user_file
from .providers.installed import installed
from .settings import Settings

if TYPE_CHECKING:
    from .store import Store


def request_for(
    prompt: str,
    *,
    schema: type[BaseModel] | None = None,
    without_key: str | None = None,
    defaults: Iterable[dict[str, Any]] = (),
    notes: tuple[str, ...] = (),
    namespace: Mapping[str, Any] | None = None,
    notebook: str = "",
    **chosen: Any,
) -> FusionRequest:
    """The request for a prompt and the settings chosen, over the defaults and the user's `fusion.toml`.

    Args:
        prompt: what to ask.
        schema: a pydantic model for the answer.
        without_key: panel to use if none was chosen and there is no key; without it that is an error.
        defaults: further layers of settings, strongest first.
        notes: sentences that belong to the result, such as what was put into the prompt.
        namespace: the variables that names of functions, frames, collections and attachments may mean.
        notebook: where it is asked, for the accounts.
        chosen: settings; None leaves the default. `tools`, `corpus`, `data` and `attach` may hold values.

    Raises:
        SettingsError: a setting is not valid.
        KeyMissing: no panel was chosen and there is no key.
    """
    settings, material = gather((chosen, *defaults, user_file().settings), namespace or {})
    keys = keys_now()
    prompt = sendable(prompt, keys)
    refuse_keys(settings.system, settings.rubric, *(each.text for each in material.attachments), keys=keys)
    is_chosen = bool(settings.panel or settings.models)
    named = None if is_chosen else default_panel() or without_key
    if named is None and installed() is None and not is_chosen:
        raise KeyMissing(
            "No key for OpenRouter: set OPENROUTER_API_KEY or type `%fusion login`; to try it without, "
            'panel="local" runs a tiny embedded model.'
        )
    turns, told = thread_so_far(settings, prompt)
    return FusionRequest(
        prompt,
        settings,
        default_panel=named,
        schema=schema,
        notes=(*notes, *told),
        material=material,
        turns=turns,
        notebook=notebook,
    )


def sendable(prompt: str, keys: Mapping[str, str] | None = None) -> str:
    """The prompt as it can be sent and saved. Raises SettingsError if it holds a key; see `refuse_keys`."""
    # Halves of a character, as a broken paste leaves them.
    prompt = prompt.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    refuse_keys(prompt, keys=keys)
    return prompt


def keys_now() -> dict[str, str]:
    """The keys that the environment holds, by the name of their variable."""
    return environment_keys(endpoints().values())


def refuse_keys(*texts: str | None, keys: Mapping[str, str] | None = None) -> None:
    """Raise SettingsError for a text that holds a key, as `{os.environ}` in a prompt would.

    Args:
        keys: by name, for who asks often; else they are looked up.
    """
    for name, value in (keys_now() if keys is None else keys).items():
        if any(value in text for text in texts if text):
            raise SettingsError(f"The text holds the key in {name}; it is not sent to anybody. Take the key out of it.")


def thread_so_far(settings: Settings, prompt: str) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """The turns of the thread before this prompt, and what was left out; a turn asked again is not its own past.

    Raises:
        SettingsError: there is a thread and no store.
    """
    if settings.thread is None:
        return (), ()
    store = store_for(settings)
    if store is None:
        why = "which is turned off" if not settings.store else "and while a script answers nothing is kept"
        raise SettingsError(f"The thread {settings.thread} can't go on: its turns are in the store, {why}.")
    turns = [Turn(asked, answer) for _, asked, answer in store.turns(settings.thread)]
    before = next((place for place, turn in enumerate(turns) if turn.prompt == prompt), len(turns))
    kept, note = bounded(turns[:before], settings.thread)
    return kept, (note,) if note else ()


def store_for(settings: Settings) -> Store | None:
    """The user's store; none where it is turned off, or where a script answers, whose words mean nothing elsewhere."""
    if not settings.store or installed():
        return None
    from .store import open_store

    return open_store()
