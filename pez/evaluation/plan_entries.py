"""The tables of a plan: [data], [[methods]], [[generators]] and [[measures]]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pez.evaluation.entries import SEED, above_zero, entry, many, number, option_table, text
from pez.formats.values import MOST as STEPS


@dataclass(frozen=True)
class Data:
    """One data set: its splits, its location, how many items of each split are drawn.

    With ``last`` they are drawn of the last so many items, in the data set's own order. With
    ``group``, an attribute of the items, that many are drawn of each of its values. With
    ``manifest`` the items are those of an earlier run. ``training`` are captions of other pictures
    of the same kind, of which the baseline ``frequent`` takes the most frequent words: a file of
    captions, or a split of the data set.

    Labelled texts, if the plan's task takes these, are one item: ``dataset`` names it, and its
    ``options`` say how ``path`` is read, as those of ``pez classify`` do.
    """

    dataset: str = entry(text, "")
    split: tuple[str, ...] = entry(many(text), ("",))
    path: str = entry(text, "")
    count: int = entry(number(1), 100)
    seed: int = entry(number(0, SEED), 0)
    manifest: str = entry(text, "")
    group: str = entry(text, "")
    last: int = entry(number(1), 0)  # 0: all
    training: str = entry(text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})
    labelled: bool = False  # as the task says


@dataclass(frozen=True)
class MethodPlan:
    """One way to search, at each of its ``lengths`` (tokens; 0 is ``--length auto``), or ``ratios``
    if prompts are distilled (shares of the long one's tokens); ``label`` names it in tables.
    Without ``seeds`` those of the plan count.
    """

    name: str = entry(text)
    lengths: tuple[int, ...] = entry(many(number(0, 10_000)), (16,))
    steps: int = entry(number(0, STEPS), 0)  # 0 is the method's own number
    label: str = entry(text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})
    ratios: tuple[float, ...] = entry(many(above_zero(1)), ())
    seeds: tuple[int, ...] = entry(many(number(0, SEED)), ())


@dataclass(frozen=True)
class GeneratorPlan:
    """One generator and how many pictures of a prompt it draws, from which seeds."""

    name: str = entry(text)
    pictures: int = entry(number(1, 10_000), 1)
    image_seeds: tuple[int, ...] = entry(many(number(0, SEED)), ())
    label: str = entry(text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})


@dataclass(frozen=True)
class MeasurePlan:
    """One kind of unit that is requested by name (:mod:`kinds`), with its options."""

    name: str = entry(text)
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})
