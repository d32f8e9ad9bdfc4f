"""How prompts are searched: name -> module:symbol, loaded when asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from pez.errors import PezError
from pez.methods.settings import read_settings
from pez.search.method import Method

METHODS = {
    "pursuit": (
        "pez.methods.pursuit:Pursuit",
        "matching pursuit over words, then exact exchanges: the default",
    ),
    "pez": ("pez.methods.pez:Pez", "projected gradients (Wen et al. 2023, Algorithm 1)"),
    "pez-bank": (
        "pez.methods.bank:PezBank",
        "pez from the best prompts of a bank (Wen et al. 2023)",
    ),
    "gcg": (
        "pez.methods.gcg:Gcg",
        "the best of random steep exchanges (Zou et al. 2023, Algorithm 1; momentum: MAC; draft: "
        "probe sampling)",
    ),
    "autoprompt": (
        "pez.methods.autoprompt:AutoPrompt",
        "the best of the steepest exchanges at one place (Shin et al. 2020, equation 2)",
    ),
    "arca": (
        "pez.methods.arca:Arca",
        "place by place, with averaged gradients (Jones et al. 2023, Algorithm 1)",
    ),
    "evolve": ("pez.methods.evolve:Evolve", "genetic search, no gradients (Holland 1975)"),
    "gbda": ("pez.methods.gbda:Gbda", "Gumbel-softmax relaxation (Guo et al. 2021)"),
    "pgd": ("pez.methods.pgd:Pgd", "gradients on relaxed one-hot rows (Geisler et al. 2024)"),
    "fluentprompt": (
        "pez.methods.fluentprompt:FluentPrompt",
        "projected Langevin steps (Shi et al. 2022)",
    ),
    "ph2p": (
        "pez.methods.ph2p:Ph2p",
        "gradients with delayed projection, for --objective denoise (Mahajan et al. 2024)",
    ),
    "soft": (
        "pez.methods.soft:Soft",
        "continuous embeddings, the bound (Gal et al. 2022, Lester et al. 2021)",
    ),
    "interrogator": (
        "pez.methods.interrogator:Interrogator",
        "a start text, then phrases from a list, each the best of all",
    ),
    "vgd": (
        "pez.methods.vgd:Vgd",
        "a language model's beam, weighed by the match (Kim et al. 2025)",
    ),
    "random": ("pez.methods.random:Random", "random words at the same cost: the floor"),
}


def method_class(name: str) -> Any:
    """The dataclass of the method ``name``, its fields the method's options. PezError if
    unknown.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 3, 0.2) or list(METHODS)
        raise PezError(f"unknown method {name!r}; there are {', '.join(near)} (see pez methods).")
    module, symbol = METHODS[name][0].split(":")
    return getattr(import_module(module), symbol)


def make_method(name: str, settings: Sequence[str] = (), **options: Any) -> Method:
    """The method ``name`` with those of ``options`` that it has, and with ``settings``, texts
    ``name=value`` that win over them. PezError if the method or a setting is unknown.
    """
    method = method_class(name)
    own = {f.name for f in fields(method)}
    shared = {k: v for k, v in options.items() if k in own}
    return method(**shared | read_settings(method, settings))
