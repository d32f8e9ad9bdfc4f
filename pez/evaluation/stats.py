"""Means with intervals: the bootstrap over items.

B. Efron and R. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13: take the mean of
each of B samples drawn with replacement; the interval of level 1 - 2a goes from the a to the
1 - a quantile of these means. Pictures and seeds of one item are not independent of each other,
so items are drawn, not rows (A. Davison and D. Hinkley, *Bootstrap Methods and their
Application*, 1997, section 3.8): the mean is that of the items' own means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS, LEVEL = 2000, 0.95
_BLOCK = 4_000_000  # drawn places in memory at once


@dataclass(frozen=True)
class Interval:
    """A mean, its bootstrap interval and over how many items; with fewer than two items the
    interval is unknown (nan).
    """

    mean: float
    low: float
    high: float
    items: int

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(
    values: Sequence[float],
    items: Sequence[Hashable] | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    median: bool = False,
) -> Interval:
    """The mean over items of ``values`` (n,) with its percentile interval; the median of the items'
    means, if ``median``.

    ``items`` (n,) names the item of each value; without it each value is an item of its own.
    Raises ValueError for no values, values that are not finite, and a level outside (0, 1).
    """
    means = np.array(list(item_means(values, items).values()))
    centre = np.median if median else np.mean
    low, high = _percentiles(means, level, draws, seed, centre)
    return Interval(float(centre(means)), low, high, len(means))


def paired_difference(
    values: Sequence[float],
    items: Sequence[Hashable],
    others: Sequence[float],
    other_items: Sequence[Hashable],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """The mean of ``values`` - ``others`` over the items that both have, with its interval.

    If the interval does not contain 0, the two differ. Raises ValueError if there is no
    common item.
    """
    one, two = item_means(values, items), item_means(others, other_items)
    common = [item for item in one if item in two]
    return bootstrap_mean(
        [one[item] - two[item] for item in common], level=level, draws=draws, seed=seed
    )


def item_means(
    values: Sequence[float], items: Sequence[Hashable] | None = None
) -> dict[Hashable, float]:
    """The mean of each item's values, in the order in which items first come."""
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("there are no values, or some are not finite")
    names = range(len(values)) if items is None else items
    groups: dict[Hashable, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        groups.setdefault(name, []).append(float(value))
    return {name: math.fsum(group) / len(group) for name, group in groups.items()}


def _percentiles(
    means: np.ndarray, level: float, draws: int, seed: int, centre: Callable[..., Any]
) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval must be between 0 and 1, not {level}")
    count = len(means)
    if count < 2:
        return math.nan, math.nan
    rng, found = np.random.default_rng(seed), []
    block = max(1, _BLOCK // count)
    for start in range(0, draws, block):
        places = rng.integers(0, count, (min(block, draws - start), count))
        found.append(centre(means[places], axis=1))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return float(low), float(high)
