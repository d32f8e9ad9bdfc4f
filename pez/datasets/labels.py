"""The labels of rows: which place each has among those that a user names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pez.datasets.labelled import Row
from pez.errors import PezError

NUMBER = re.compile(r"[+-]?\d+(\.0+)?", re.ASCII)  # pandas writes labels beside gaps as 1.0
SHOWN, WIDE = 8, 40  # labels that an error lists, and letters of each


def numbered(rows: Sequence[Row], labels: Sequence[str], where: str) -> tuple[list[int], list[str]]:
    """The place of each row's label among ``labels``, -1 for another one, and the labels as the
    rows have them. Labels are matched by name in any case of letters; numbers, of which there
    must be as many as labels, in ascending order.

    PezError for a label that no row has, and for fewer than two.
    """
    counts = Counter(row.label for row in rows)
    numbers = {name: _number(name) for name in counts}
    whole = None not in numbers.values()
    there = sorted(counts, key=lambda name: (numbers[name] or 0, "") if whole else (0, name))
    listed = [name if len(name) <= WIDE else f"{name[:WIDE]}..." for name in there[:SHOWN]]
    shown = ", ".join(listed) + (" ..." if len(there) > SHOWN else "")
    if len(there) < 2:
        raise PezError(f"all rows of {where} have the label {shown}; give rows of two or more.")
    if not labels:
        if whole or len(there) > SHOWN:
            raise PezError(f"the labels of {where} are {shown}; say with --labels what they mean.")
        labels = there
        if alike := [name for name in there if _spelled(name, there) != [name]]:
            raise PezError(
                f"the labels {' and '.join(alike)} of {where} differ by the case of letters alone; "
                "name each label once with --labels."
            )
    if len(set(map(str.casefold, labels))) < max(2, len(labels)):
        raise PezError("--labels must be two or more different ones, separated by commas.")
    spelled = [_spelled(label, there) for label in labels]
    if all(spelled):
        own = [names[0] for names in spelled]
    elif whole:
        if len(there) != len(labels):
            raise PezError(
                f"{where} has the labels {shown}, and --labels names {len(labels)}: give a name "
                "for each, in their order."
            )
        own = there
    else:
        missing = next(label for label, names in zip(labels, spelled, strict=True) if not names)
        raise PezError(
            f"no row of {where} has the label {missing!r}; there are {shown}. Words that stand for "
            "them are given with --label-words."
        )
    return placed(rows, own), own


def placed(rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
    """The place of each row's label among ``labels`` in any case of letters; -1 for another one."""
    place = {label.casefold(): n for n, label in enumerate(labels)}
    return [place.get(row.label.casefold(), -1) for row in rows]


def _spelled(label: str, there: Sequence[str]) -> list[str]:
    """A label in all cases of letters that are there."""
    return [name for name in there if name.casefold() == label.casefold()]


def _number(name: str) -> int | None:
    """What a label means that is a whole number; None for any other."""
    return int(name.partition(".")[0]) if NUMBER.fullmatch(name) else None
