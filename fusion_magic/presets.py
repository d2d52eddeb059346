"""The panels that have a name, and what the user's `fusion.toml` says."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from .chosen import Chosen, checked, nearest
from .endpoints import Endpoint, builtin_endpoints, local_model_name, split_model
from .errors import SettingsError, UnknownPanel
from .folders import config_dir, state_of
from .keys import find_key
from .settings import Panel, Panelist, Settings

TINY = "smollm2@local"
FREE_PANEL = "free"
# A panel of the live catalogue has this one member until the catalogue is read.
FREE_MEMBER = "openrouter/free-panel"
# What `%%fusion --panel NAME` takes without quotes, and what no flag begins with.
PANEL_NAME = re.compile(r"[^\W\d_][\w-]{0,39}")


class OwnPrice(Chosen):
    """What a model costs, in US dollars per million tokens."""

    input: float = Field(ge=0, description="of the prompt")
    output: float = Field(ge=0, description="of the answer, reasoning included")
    cached: float | None = Field(default=None, ge=0, description="of input read from the prompt cache; else as input")


class UserFile(Chosen):
    """What `fusion.toml` in the user's configuration folder may say.

    A `fusion.toml` in the working folder may hold `[panels]` only, under names of their own: a cloned repository
    must not be able to send a key elsewhere, to start a program, or to spend under a name the user knows.
    """

    settings: dict[str, Any] = Field(default_factory=dict[str, Any], description="defaults for any setting")
    panels: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]], description="panels by name")
    endpoints: dict[str, dict[str, Any]] = Field(
        default_factory=dict[str, dict[str, Any]], description="servers by name"
    )
    mcp: dict[str, dict[str, Any]] = Field(
        default_factory=dict[str, dict[str, Any]], description="MCP servers by name, for --mcp"
    )
    prices: dict[str, OwnPrice] = Field(
        default_factory=dict[str, OwnPrice], description="what models cost that no catalogue prices, by name"
    )


def user_file() -> UserFile:
    """The user's own `fusion.toml`, with the panels of the working folder's beside it (the user's own win).

    Raises:
        SettingsError: a file is not TOML, or holds what it must not hold.
    """
    # Strings, of which a look takes a fraction of a Path's time: a run looks half a dozen times.
    own, project = os.path.join(config_dir(), "fusion.toml"), os.path.join(_working_folder(), "fusion.toml")
    return _user_file(own, project, (state_of(own), state_of(project)))


def _working_folder() -> str:
    """The working folder; nowhere if it was deleted meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.devnull


@functools.lru_cache(8)  # a run asks for it a dozen times
def _user_file(own_name: str, project_name: str, state: object) -> UserFile:
    own_path, project_path = Path(own_name), Path(project_name)
    own = checked(UserFile, _read(own_path), f"{own_path}: ")
    if _same(own_path, project_path):
        return own
    project = _read(project_path)
    extra = sorted(set(project) - {"panels"})
    if extra:
        raise SettingsError(
            f"{project_path.resolve()}: a project's file may hold [panels] only; move [{extra[0]}] to {own_path}."
        )
    theirs = checked(UserFile, project, f"{project_path.resolve()}: ")
    taken = sorted(name for name in theirs.panels if name in _presets())
    if taken:
        raise SettingsError(f'{project_path.resolve()}: the name "{taken[0]}" is taken; give the panel another.')
    return own.model_copy(update={"panels": {**theirs.panels, **own.panels}})


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as exc:  # TOML that can't be read is a ValueError, and so is text that is not UTF-8
        raise SettingsError(f"{path} can't be read: {exc}.") from exc


@functools.cache
def _presets() -> dict[str, dict[str, Any]]:
    return _parsed(importlib.resources.files(__spec__.parent).joinpath("presets.toml").read_text(encoding="utf-8"))


def _parsed(toml: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(toml)


def panels() -> dict[str, Panel]:
    """Every named panel: those that come with the package, the user's own and the project's."""
    named = {**_presets(), **user_file().panels}
    return {name: _build(name, named) for name in named}


def panel_named(name: str) -> Panel:
    """The panel of that name. Raises UnknownPanel with the nearest names."""
    named = {**_presets(), **user_file().panels}
    if name not in named:
        raise UnknownPanel(f'There is no panel "{name}"{nearest(name, named)} `%fusion panels` lists them.')
    return _build(name, named)


def _build(name: str, named: Mapping[str, Mapping[str, Any]]) -> Panel:
    entry = _written_out(name, named, ())
    if entry.pop("from_catalogue", None) == FREE_PANEL:
        entry["models"] = [FREE_MEMBER]
    panel = checked(Panel, {**entry, "name": name}, f'Panel "{name}": ')
    return _with_local_name(panel)


def _written_out(name: str, named: Mapping[str, Mapping[str, Any]], seen: tuple[str, ...]) -> dict[str, Any]:
    """A panel's entry over that of the panel it is the `same_as`; members of its own have no published score."""
    entry = dict(named[name])
    other = entry.pop("same_as", None)
    if other is None:
        return entry
    if other not in named or other in (name, *seen):
        raise SettingsError(f'Panel "{name}": same_as names no other panel.')
    inherited = _written_out(other, named, (*seen, name))
    if entry.keys() & {"models", "judge", "synthesizer"}:
        inherited = {key: value for key, value in inherited.items() if key not in ("score", "source")}
    if "models" in entry:
        inherited.pop("from_catalogue", None)
    return {**inherited, **entry}


def _with_local_name(panel: Panel) -> Panel:
    """The embedded model under the name of the file the user put in its place."""

    def renamed(seat: Panelist) -> Panelist:
        # The limit of tokens is the tiny model's.
        changed = {"model": own, "max_tokens": None}
        return seat.model_copy(update=changed) if seat.model == TINY and own != TINY else seat

    own = f"{local_model_name()}@local"
    seats = tuple(map(renamed, panel.models))
    writers = {"judge": renamed(panel.judge), "synthesizer": renamed(panel.synthesizer)}
    return panel.model_copy(update={"models": seats, **writers})


def save_panel(name: str, panel: Panel, *, replace: bool = False) -> Path:
    """Keep a panel in the user's `fusion.toml` as `[panels.NAME]`, where `panel="NAME"` finds it; returns the file.

    Comments and everything else in the file stay as they are.

    Args:
        name: what to call it: a letter, then letters, digits, - and _.
        panel: the panel.
        replace: whether a panel of the user's own with that name may go.

    Raises:
        SettingsError: the name can't be used or is taken, or the file can't be read or written.
    """
    if not PANEL_NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} can't be a panel's name: begin with a letter, go on with letters, digits, - or _, 40 at most."
        )
    if name in _presets():
        raise SettingsError(f'The name "{name}" belongs to a panel that comes with the package; choose another.')
    if name in user_file().panels and not replace:
        raise SettingsError(f'There is a panel "{name}" already; save it with replace=True, or under another name.')
    path = (config_dir() / "fusion.toml").resolve()  # a file kept elsewhere, and linked here, stays a link
    _write(path, _with_panel(path, name, panel))
    return path


def _with_panel(path: Path, name: str, panel: Panel) -> str:
    """The file's text with the panel in it. Raises SettingsError rather than change anything else."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    entry, before = _as_entry(panel), _read(path)
    wanted = {**before, "panels": {**before.get("panels", {}), name: entry}}
    try:
        document = tomlkit.parse(path.read_bytes().decode() if path.exists() else "")
        _put(document.setdefault("panels", tomlkit.table(is_super_table=True)), name, entry)
        text = tomlkit.dumps(document).rstrip() + "\n"
        if _parsed(text) == wanted:
            return text
    except (OSError, ValueError, TypeError, TOMLKitError) as exc:
        raise SettingsError(f"{path} can't be changed ({exc}); write [panels.{name}] into it by hand.") from exc
    raise SettingsError(f"{path} can't be changed without touching the rest of it; write [panels.{name}] by hand.")


def _put(tables: Any, name: str, entry: dict[str, Any]) -> None:
    """Set `tables[name]`, one model on a line; key by key where it is there, so that comments inside it stay."""
    import tomlkit
    from tomlkit.items import Table

    models: Any = tomlkit.array().multiline(True)
    for seat in entry["models"]:  # one by one: a list of tables alone would become [[panels.NAME.models]]
        models.append(seat if isinstance(seat, str) else _inline(seat))
    laid_out: dict[str, Any] = {**entry, "models": models}
    if name in tables:
        for key in set(tables[name]) - set(entry):
            del tables[name][key]
        for key, value in laid_out.items():
            tables[name][key] = value
        return
    tables[name] = laid_out
    if isinstance(tables[name], Table):
        tables[name].add(tomlkit.nl())


def _inline(seat: dict[str, Any]) -> Any:
    import tomlkit

    table: Any = tomlkit.inline_table()
    table.update(seat)
    return table


def _as_entry(panel: Panel) -> dict[str, Any]:
    """A panel as `fusion.toml` holds it; a seat without anything of its own is its model's name."""

    def written(seat: Panelist) -> str | dict[str, Any]:
        given = seat.model_dump(exclude_none=True, exclude={"label"})
        return seat.model if len(given) == 1 else given

    about = panel.model_dump(include={"about", "score", "source", "max_usd"}, exclude_defaults=True)
    chairs = {"judge": written(panel.judge), "synthesizer": written(panel.synthesizer)}
    tools = {} if panel.tools is None else {"tools": list(panel.tools)}
    return {**about, "models": [written(seat) for seat in panel.models], **chairs, **tools}


def _write(path: Path, text: str) -> None:
    """Written beside and moved into place, with the rights the file had; a full disk costs nothing that was there."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(0, "it is read-only")
        beside.write_bytes(text.encode())
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o7777)
        beside.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SettingsError(f"{path} can't be written ({exc.strerror}).") from exc


def endpoints() -> dict[str, Endpoint]:
    """Every named endpoint: the built-in ones and the user's own."""
    known = builtin_endpoints()
    for name, entry in user_file().endpoints.items():
        built_in = known[name].model_dump() if name in known else {}
        data = {"name": name, **built_in, **entry}
        known[name] = checked(Endpoint, data, f"fusion.toml [endpoints.{name}]: ")
    return known


def endpoint_of(model: str, known: Mapping[str, Endpoint]) -> Endpoint:
    """The endpoint a model is asked on. Raises SettingsError for a name nobody configured."""
    name = split_model(model)[1]
    if "://" in name:
        return checked(Endpoint, {"name": name, "base_url": name}, "The address behind the @ of a model: ")
    if name == "openrouter" and "@" in model and not model.endswith("@openrouter"):
        # It would be sent to OpenRouter, while the user meant a server of their own.
        raise SettingsError(
            f'"{model}" can\'t be read: write a model as "name@endpoint" or "name@http://host:port/v1".'
        )
    if name not in known:
        raise SettingsError(
            f'No endpoint "{name}" (in {model}){nearest(name, known)} '
            f"Add [endpoints.{name}] with base_url to {config_dir() / 'fusion.toml'}."
        )
    return known[name]


def choose_panel(settings: Settings, *, default: str | None = None) -> Panel:
    """The panel that the settings name, with their models, judge and synthesizer in its place.

    Args:
        settings: what the user chose.
        default: name of the panel if none was chosen; without it, `budget`.

    Raises:
        UnknownPanel: no panel of that name.
        SettingsError: no seat, or more than eight.
    """
    base: Panel | None = settings.panel if isinstance(settings.panel, Panel) else None
    if isinstance(settings.panel, str):
        base = panel_named(settings.panel)
    if base is None and not settings.models:
        base = panel_named(default or "budget")
    parts: dict[str, Any] = {}
    if base is not None:
        parts = {"models": base.models, "judge": base.judge, "synthesizer": base.synthesizer, "name": base.name}
        parts |= {name: getattr(base, name) for name in ("about", "score", "source", "tools", "max_usd")}
    chosen = {name: getattr(settings, name) for name in ("models", "judge", "synthesizer")}
    changed = {name: value for name, value in chosen.items() if value is not None}
    if changed and base is not None:
        # A published score is that of the published members only.
        parts |= {"name": f"{base.name} (changed)" if base.name else "", "score": None, "source": ""}
    return checked(Panel, {**parts, **changed})


def comes_with_package(panel: Panel) -> bool:
    """Whether a panel is, unchanged, one that comes with the package, and no other of its name."""
    return panel.name in _presets() and panel == _build(panel.name, _presets())


def default_panel() -> str | None:
    """Name of the panel used when none is named: the user's, else `budget` if there is an OpenRouter key."""
    named = user_file().settings.get("panel")
    if named:
        return str(named)
    return "budget" if find_key(builtin_endpoints()["openrouter"]) else None
