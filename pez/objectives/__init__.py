"""What makes a prompt good: name -> module:symbol and a description, loaded on request."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from pez.errors import PezError

if TYPE_CHECKING:
    from pez.options import SearchOptions
    from pez.search.problem import Objective

OBJECTIVES = {  # of pictures, which --objective offers
    "match": ("pez.objectives.match:Match", "a CLIP's cosine with the picture"),
    "denoise": (
        "pez.objectives.denoise:Denoise",
        "how it helps the pipeline that --for names, e.g. mini-sd or sd15, to draw the picture",
    ),
}
# of other goals; each belongs to a verb, which needs no flag to name it
OTHERS = {
    "labels": ("pez.objectives.labels:Labels", "how a language model labels texts beside it"),
}


class ObjectiveClass(Protocol):
    """What a registered class declares, and how it is made.

    ``reads_pipeline``: its reader is the pipeline that ``--for`` names, and its targets are what
    that makes of pictures. ``reads_language``: its reader is a language model, which weighs
    fluency itself. Otherwise its reader is one or more CLIPs and targets are features.
    """

    reads_pipeline: bool
    reads_language: bool

    def open(self, options: SearchOptions, /) -> Any:
        """The reader that ``options`` name, loaded (a class method). PezError if it is missing."""
        ...

    def __call__(self, reader: Any, items: Sequence[Any], /) -> Objective:
        """The objective for a reader and the targets of each item."""
        ...


def objective_class(name: str) -> ObjectiveClass:
    """The class of the objective ``name``. PezError if unknown."""
    known = OBJECTIVES | OTHERS
    if name not in known:
        raise PezError(f"unknown objective {name!r}; there are {', '.join(OBJECTIVES)}.")
    module, symbol = known[name][0].split(":")
    return getattr(import_module(module), symbol)


def about() -> str:
    """The objectives with what each is, as ``pez invert --help`` lists them."""
    return " or ".join(f"{name} ({text})" for name, (_, text) in OBJECTIVES.items())
