"""How figures are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a report shows one column of figures. ``better`` is 1 where more is better, -1 where
    less is.
    """

    label: str
    about: str
    digits: int = 3
    better: int = 0
    counts: str = "prompt"  # once for each prompt, "reading" (by a judge) or "picture"
    geometric: bool = False  # the mean of the logarithms
    median: bool = False  # over items, in place of the mean
