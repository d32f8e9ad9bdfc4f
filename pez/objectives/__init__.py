"""What makes a prompt good: name -> module:symbol, loaded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from pez.errors import PezError
from pez.search.problem import Objective

OBJECTIVES = {
    "match": "pez.objectives.match:Match",
    "denoise": "pez.objectives.denoise:Denoise",
}


def objective_class(name: str) -> Callable[[Any, Sequence[Any]], Objective]:
    """The objective ``name``, made of a reader and the items' targets. PezError if unknown."""
    if name not in OBJECTIVES:
        raise PezError(f"unknown objective {name!r}; there are {', '.join(OBJECTIVES)}.")
    module, symbol = OBJECTIVES[name].split(":")
    return getattr(import_module(module), symbol)
