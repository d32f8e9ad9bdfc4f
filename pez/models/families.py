"""The registry of models: the family of a name, or the nearest names if none claims it."""

from __future__ import annotations

import difflib
from importlib import import_module

from pez.errors import PezError
from pez.formats.text import check_name
from pez.models.family import Family, Listed, Row

# models that read prompts; the one line of a new family
FAMILIES = {
    "shipped": "pez.models.shipped:Shipped",
    "t5": "pez.models.t5:T5Encoders",
    "clip": "pez.models.clip:Clips",
    "open_clip": "pez.models.openclip:OpenClips",
}
# what else has a name and weights
OTHERS = {
    "generator": "pez.models.generators:Generators",
    "language": "pez.models.languages:Languages",
}


def open_family(where: str) -> Listed:
    """The family of a registry's line, ``module:class``."""
    module, _, symbol = where.partition(":")
    return getattr(import_module(module), symbol)()


def family_of(name: str) -> Family:
    """The family that a name belongs to. PezError, with the nearest names, if none claims it."""
    check_name(name, "the model")
    for where in FAMILIES.values():
        family = open_family(where)
        assert isinstance(family, Family)
        if family.claims(name):
            return family
    names = [row["name"] for where in FAMILIES.values() for row in open_family(where).names()]
    near = difflib.get_close_matches(name, names, 3, 0.3) or names[:3]
    raise PezError(
        f"unknown model {name!r}; the nearest names are {', '.join(near)} (see pez models)."
    )


def catalogue() -> list[Row]:
    """What ``pez models`` lists: each family's names, the long list of open_clip's last."""
    *first, last = FAMILIES.values()
    return [row for f in (*first, *OTHERS.values(), last) for row in open_family(f).names()]
