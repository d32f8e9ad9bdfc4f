"""How prompts are searched: name -> module:symbol, loaded when asked for."""

from __future__ import annotations

import difflib
from dataclasses import fields
from importlib import import_module
from typing import Any, ClassVar, Protocol

from torch import Tensor

from pez.errors import PezError
from pez.problem import Problem, Rows

METHODS = {
    "pez": ("pez.methods.pez:Pez", "projected gradients (Wen et al. 2023, Algorithm 1)"),
    "gbda": ("pez.methods.gbda:Gbda", "Gumbel-softmax relaxation (Guo et al. 2021)"),
    "pgd": ("pez.methods.pgd:Pgd", "gradients on relaxed one-hot rows (Geisler et al. 2024)"),
    "fluentprompt": (
        "pez.methods.fluentprompt:FluentPrompt",
        "projected Langevin steps (Shi et al. 2022)",
    ),
    "soft": (
        "pez.methods.soft:Soft",
        "continuous embeddings, the bound (Gal et al. 2022, Lester et al. 2021)",
    ),
    "random": ("pez.methods.random:Random", "random words at the same cost: the floor"),
}

State = dict[str, Tensor]  # every tensor has a leading row dimension


class Method(Protocol):
    """A search over ids. ``forwards`` and ``backwards`` are text-tower passes a row and step."""

    name: ClassVar[str]
    forwards: ClassVar[int]
    backwards: ClassVar[int]

    def start(self, problem: Problem, rows: Rows) -> State:
        """Where the rows begin."""
        ...

    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """One step: the free ids tried (b, k), their scores (b,) and the next state."""
        ...


def make_method(name: str, **options: Any) -> Method:
    """The method ``name`` with those of ``options`` that it has. PezError if unknown."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 3, 0.2) or list(METHODS)
        raise PezError(f"unknown method {name!r}; there are {', '.join(near)} (see pez methods).")
    module, symbol = METHODS[name][0].split(":")
    method = getattr(import_module(module), symbol)
    own = {f.name for f in fields(method)}
    return method(**{k: v for k, v in options.items() if k in own})
