"""Whether the model that answered is the one that was asked."""

from __future__ import annotations

import re

DATED = re.compile(r"[-@:](\d{8}|\d{4}-\d{2}-\d{2})$")


def same_model(asked: str, served: str) -> bool:
    """Whether the served model is the one asked for.

    Dates do not count, nor a variant that only one of the names has (":free", ":latest"); of an alias such as
    `~vendor/model-latest` only the vendor is known.
    """
    if asked.startswith("~"):
        vendor, _, rest = served.partition("/")
        return not rest or vendor == asked[1:].partition("/")[0]
    (wanted, variant), (got, other) = (_parts(name) for name in (asked, served))
    same_variant = variant == other or not variant or not other or "latest" in (variant, other)
    return same_variant and (got in (wanted, wanted.rpartition("/")[2]) or got.startswith(f"{wanted}-20"))


def _parts(name: str) -> tuple[str, str]:
    """A model's name without its date, and its variant."""
    model, _, variant = name.partition(":")
    return DATED.sub("", model), variant
