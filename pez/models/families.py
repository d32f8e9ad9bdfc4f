"""The registry of models: the family of a name, or the nearest names if none claims it."""

from __future__ import annotations

import difflib
from importlib import import_module

from pez.errors import PezError
from pez.formats.text import check_name
from pez.models.family import Companions, Family, Listed, Odds, Row

# models that read prompts; the one line of a new family
FAMILIES = {
    "photo": "pez.models.photo:Photos",
    "shipped": "pez.models.shipped:Shipped",
    "t5": "pez.models.t5:T5Encoders",
    "clip": "pez.models.clip:Clips",
    "open_clip": "pez.models.openclip:OpenClips",
}
# what else has a name and weights
OTHERS = {
    "generator": "pez.models.generators:Generators",
}
# causal language models other than transformers' own, which go by their ids and folders
LANGUAGES = {
    "shipped": "pez.models.languages:ShippedLanguages",
    "packaged": "pez.models.packaged:PackagedLanguages",
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


def companions(name: str) -> Companions:
    """What goes with a model where a user names nothing; the defaults for a name of no family,
    such as that of a reader made in Python.
    """
    for where in FAMILIES.values():
        family = open_family(where)
        if isinstance(family, Family) and family.claims(name):
            return family.companions(name)
    return Companions()


def odds(name: str) -> Odds | None:
    """How likely the words of a model are right of a picture; None where that is not known."""
    for where in FAMILIES.values():
        family = open_family(where)
        if isinstance(family, Family) and family.claims(name):
            return family.odds(name)
    return None


def all_kinds() -> list[Listed]:
    """All that has a name and weights."""
    return [open_family(w) for r in (FAMILIES, OTHERS, LANGUAGES) for w in r.values()]


def catalogue() -> list[Row]:
    """What ``pez models`` lists: each family's names, the long list of open_clip's last."""
    *first, last = FAMILIES.values()
    rest = (*first, *OTHERS.values(), *LANGUAGES.values(), last)
    return [row for family in rest for row in open_family(family).names()]
