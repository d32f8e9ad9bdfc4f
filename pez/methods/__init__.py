"""How prompts are searched: name -> module:symbol, loaded when asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pez.errors import PezError
from pez.formats.values import check_numbers
from pez.methods.settings import defaults, in_force, read_settings
from pez.options import SETTINGS, SearchOptions
from pez.search.method import Method

METHODS = {
    "pursuit": (
        "pez.methods.pursuit:Pursuit",
        "matching pursuit over words, then exact swaps: the default",
    ),
    "exchange": (
        "pez.methods.exchange:Exchange",
        "words exchanged as their own features predict, no gradients",
    ),
    "pez": ("pez.methods.pez:Pez", "projected gradients (Wen et al. 2023, Algorithm 1)"),
    "pez-bank": (
        "pez.methods.bank:PezBank",
        "pez from the best prompts of a bank (Wen et al. 2023)",
    ),
    "gcg": (
        "pez.methods.gcg:Gcg",
        "the best of random top swaps (Zou et al. 2023, Algorithm 1; momentum: MAC; draft: "
        "probe sampling)",
    ),
    "autoprompt": (
        "pez.methods.autoprompt:AutoPrompt",
        "the best of the top candidate swaps at one place (Shin et al. 2020, equation 2)",
    ),
    "arca": (
        "pez.methods.arca:Arca",
        "place by place, with averaged gradients (Jones et al. 2023, Algorithm 1)",
    ),
    "gaslite": (
        "pez.methods.gaslite:Gaslite",
        "averaged gradients, several places flipped a step (Ben-Tov & Sharif 2024)",
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
    "sentence": (
        "pez.methods.sentence:Sentence",
        "words that match, joined by a language model (grid beam search, Hokamp & Liu 2017)",
    ),
    "random": ("pez.methods.random:Random", "random words at the same cost: the floor"),
}


def method_class(name: str) -> type[Method]:
    """The class of the method ``name``, its fields the method's settings. PezError if unknown."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 3, 0.2) or list(METHODS)
        raise PezError(f"unknown method {name!r}; there are {', '.join(near)} (see pez methods).")
    module, symbol = METHODS[name][0].split(":")
    return getattr(import_module(module), symbol)


def make_method(name: str, settings: Sequence[str] = (), steps: int = 0, **given: Any) -> Method:
    """The method ``name`` with the settings ``given``, and with ``settings``, texts
    ``name=value`` that win over them. ``steps`` are those of the search: a method with a setting
    of that name receives them.

    Raises PezError if the method is unknown, and for a setting that it does not read, with the
    methods that do.
    """
    method = method_class(name)
    known = defaults(method)
    for setting in given:
        if setting not in known:
            others = _listed(methods_with(setting), "or")
            other = f"use {others}" if others else "see pez methods"
            raise PezError(f"the method {name} does not read {setting}; leave it out, or {other}.")
    values = {"steps": steps} if steps and "steps" in known else {}
    values |= given | read_settings(method, settings, _elsewhere)
    check_numbers({setting: values[setting] for setting in SETTINGS if setting in values})
    return method(**values)


def methods_with(setting: str) -> list[str]:
    """The methods that read a setting."""
    return [name for name in METHODS if setting in defaults(method_class(name))]


def open_method(options: SearchOptions) -> Method:
    """The method of ``options`` with its settings. PezError as of :func:`make_method`."""
    return make_method(options.method, options.set, steps_of(options), **options.given)


def steps_of(options: SearchOptions) -> int:
    """The steps of one search: those asked for, else as many as the verb's passes allow (one
    backwards costs two forwards), else the method's own number.
    """
    if options.steps or not options.usual_passes:
        return options.steps or method_class(options.method).usual_steps
    method = make_method(options.method, options.set, **options.given)
    return max(1, options.usual_passes // (method.forwards + 2 * method.backwards))


def record_of(options: SearchOptions, method: Method | None = None) -> dict[str, Any]:
    """What decides the outcome of a search, as plain JSON values: the options, and under
    ``settings`` those of their ``method`` in force, given or its own.
    """
    asked = {k: v for k, v in options.record().items() if k not in SETTINGS}
    return asked | {"settings": in_force(method or open_method(options))}


def _elsewhere(setting: str) -> str:
    """The methods that have a setting, as the end of a sentence."""
    names = methods_with(setting)
    return f", but {_listed(names, 'and')} {'has' if len(names) == 1 else 'have'} it" * bool(names)


def _listed(names: Sequence[str], word: str) -> str:
    """``a, b and c``."""
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
