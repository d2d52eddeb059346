"""What a picker has to offer: the models of every endpoint that answers, how old each list is, what speaks against."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...characters import plain
from ...doctor import SERVERS, missing_for_web
from ...endpoints import Endpoint, split_model
from ...keys import find_key
from ...pipeline.plan import PARAMETERS, kinship
from ...presets import FREE_MEMBER, TINY, endpoints
from ...prices import FREE, UNKNOWN, Price
from ...providers import ModelInfo, Providers
from ...providers.catalogue import DAY, Listing, find, free_models, kept, listing, successors, writes_text
from ...settings import Panel, Panelist

# Seconds that an endpoint other than OpenRouter has for its list; all are asked side by side.
PATIENCE = 3.0
# Of one endpoint: a list without end must not fill the page.
MOST_ROWS, MOST_CHARACTERS = 5_000, 200
# The letters of a row's abilities, and what a catalogue's `supported_parameters` calls them.
ABILITIES = {"t": "tools", "r": "reasoning", "j": "structured_outputs"}


@dataclass(frozen=True, slots=True)
class Offer:
    """The lists of several endpoints."""

    listings: Mapping[str, tuple[Endpoint, Listing]]

    def entry(self, model: str) -> ModelInfo | None:
        """What is known of a model, by the name that the user writes."""
        slug, name = split_model(model)
        if name not in self.listings:
            return None
        models = self.listings[name][1].models
        # Ollama lists "llama3.2:latest" where one asks for "llama3.2".
        return find(models, slug) or find(models, f"{slug}:latest")

    def price_of(self, model: str) -> Price:
        """US dollars per token; what runs on this machine, or is free, costs nothing."""
        name = split_model(model)[1]
        if model == FREE_MEMBER or (name in self.listings and self.listings[name][0].costs_nothing):
            return FREE
        entry = self.entry(model)
        return entry.price if entry else UNKNOWN

    def rows(self) -> list[list[Any]]:
        """For the page: name, title, US dollars per million tokens in and out, context, abilities, date.

        Servers of one's own come first, then the newest.
        """
        found = [row for endpoint, known in self.listings.values() for row in _rows(endpoint, known)]
        return sorted(found, key=lambda row: ("@" not in row[0], -row[6], row[0].lstrip("~")))

    def sources(self) -> list[dict[str, Any]]:
        """For the page: each endpoint with the number of its models, when it gave them, and what is wrong."""
        return [
            {"name": name, "count": len(known.models), "asked": known.asked, "problem": plain(known.problem)}
            for name, (_, known) in self.listings.items()
            if known.models or known.problem
        ]

    def free_members(self) -> list[str]:
        """The members that the panel `free` would have now; none without OpenRouter's list."""
        return free_models(self.listings["openrouter"][1].models)

    def doubts(self, panel: Panel) -> list[str]:
        """What speaks against a panel, a sentence each."""
        seats = (*panel.models, panel.judge, panel.synthesizer)
        return list(
            dict.fromkeys(
                [*_kin(panel), *kinship(panel), *self._unknown(seats), *self._deaf(seats), *self._webless(panel)]
            )
        )

    def _unknown(self, seats: Iterable[Panelist]) -> Iterator[str]:
        listed = self.listings["openrouter"][1].models
        for model in (seat.model for seat in seats if listed and seat.model != FREE_MEMBER):
            slug, name = split_model(model)
            if name == "openrouter" and find(listed, slug) is None:
                near = successors(listed, slug, 1)
                yield f"{model} is not in OpenRouter's catalogue{f'; nearest: {near[0]}' if near else ''}."

    def _webless(self, panel: Panel) -> Iterator[str]:
        """Who would go without the panel's web tools, and for whom this machine lacks what they need."""
        if not panel.tools:
            return
        elsewhere: list[str] = []
        for model in dict.fromkeys(seat.model for seat in panel.models):
            entry = self.entry(model)
            if model == TINY or (entry and entry.parameters is not None and "tools" not in entry.parameters):
                yield f"{model} takes no tools; it would answer without the web."
            elif split_model(model)[1] != "openrouter":
                elsewhere.append(model)
        if elsewhere and (missing := missing_for_web()):
            are = "is" if len(elsewhere) == 1 else "are"
            yield f"{', '.join(elsewhere)} {are} not on OpenRouter, and this machine can't search for it yet. {missing}"

    def _deaf(self, seats: Iterable[Panelist]) -> Iterator[str]:
        for seat in seats:
            entry = self.entry(seat.model)
            for option, parameter in PARAMETERS.items():
                known = entry.parameters if entry else None
                if known is not None and getattr(seat, option) is not None and parameter not in known:
                    yield f"{seat.model} does not take {option}; it would run with its own."


def kept_offer() -> Offer:
    """What the cache has; nothing is asked. Raises SettingsError for a `fusion.toml` that can't be used."""
    return Offer({name: (endpoint, kept(endpoint)) for name, endpoint in _offering().items()})


async def look(using: Providers, *, max_age: float = DAY) -> Offer:
    """Ask every endpoint for its models, OpenRouter only if its list is older than `max_age` seconds.

    Raises:
        SettingsError: a `fusion.toml` that can't be used.
    """
    known = _offering()
    found = await asyncio.gather(*(_listing(endpoint, using, max_age) for endpoint in known.values()))
    return Offer({name: (known[name], listed) for name, listed in zip(known, found, strict=True)})


def _offering() -> dict[str, Endpoint]:
    """The endpoints that have models to offer; `scripted` has whatever a test calls them."""
    return {name: endpoint for name, endpoint in endpoints().items() if name != "scripted"}


async def _listing(endpoint: Endpoint, using: Providers, max_age: float) -> Listing:
    if endpoint.name == "openai" and await asyncio.to_thread(find_key, endpoint) is None:
        return Listing()
    if endpoint.is_openrouter:
        return await listing(endpoint, using, max_age=max_age)
    try:
        # A server on this machine is asked each time: models are loaded there, and it is stopped and started.
        found = await asyncio.wait_for(
            listing(endpoint, using, max_age=0 if endpoint.is_loopback else max_age), timeout=PATIENCE
        )
    except TimeoutError:
        old = kept(endpoint)
        found = Listing(old.models, old.asked, f"no answer in {PATIENCE:g} s")
    # One of these that does not run is no fault, and what it would have can't be asked.
    return Listing() if found.problem and endpoint.name in SERVERS else found


def _rows(endpoint: Endpoint, known: Listing) -> Iterator[list[Any]]:
    for model in known.models[:MOST_ROWS]:
        name = model.id if endpoint.is_openrouter else f"{model.id}@{endpoint.name}"
        if not writes_text(model) or len(name) > MOST_CHARACTERS or plain(name) != name:
            continue  # a name that hides or turns characters is not what it seems
        dollars = [None if price is None else price * 1e6 for price in (model.price.prompt, model.price.completion)]
        able = "".join(letter for letter, parameter in ABILITIES.items() if parameter in (model.parameters or ()))
        able += "i" if "image" in (model.inputs or ()) else ""
        yield [name, plain(model.name[:MOST_CHARACTERS]), *dollars, model.context or 0, able, model.created]


def _kin(panel: Panel) -> Iterator[str]:
    """A sentence for every vendor that has several seats, and for every model if its family has no other seat."""
    slugs = [(seat.label, split_model(seat.model)[0].lstrip("~")) for seat in panel.models]
    families = _several((label, slug.partition("/")[0]) for label, slug in slugs if "/" in slug)
    twins = _several((seat.label, seat.model) for seat in panel.models)
    for model, labels in twins:
        if not any(set(labels) < set(family) for _, family in families):
            yield f"{_listed(labels)} are the same model ({model}): they tend to make the same mistakes."
    for vendor, labels in families:
        if labels not in [twin for _, twin in twins]:
            yield f"{_listed(labels)} are of one family ({vendor}): they tend to make the same mistakes."


def _several(named: Iterable[tuple[str, str]]) -> list[tuple[str, tuple[str, ...]]]:
    labels: dict[str, tuple[str, ...]] = {}
    for label, name in named:
        labels[name] = (*labels.get(name, ()), label)
    return [(name, several) for name, several in labels.items() if len(several) > 1]


def _listed(labels: tuple[str, ...]) -> str:
    return f"{', '.join(labels[:-1])} and {labels[-1]}"
