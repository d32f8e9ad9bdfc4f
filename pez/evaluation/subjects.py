"""A plan's items as subjects of its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pez.errors import PezError
from pez.evaluation.frequent import FREQUENT, frequent_words
from pez.evaluation.plan import Plan
from pez.evaluation.units import Original, Subject


def subjects(plan: Plan, originals: Sequence[Original]) -> list[Subject]:
    """The subjects of a plan's task in the order of ``originals``. PezError if there are too
    few items for a single one, or training captions that cannot be read.
    """
    found = list(plan.task.subjects(originals))
    if FREQUENT in plan.baselines:
        words = frequent_words(plan, originals)
        found = [
            replace(s, frequent=words.get((s.original.dataset, s.original.split), ""))
            for s in found
        ]
    if originals and not found:
        raise PezError(
            f"no split or group has the {plan.task.takes} items that the task {plan.task.name} "
            "takes for a prompt; raise count."
        )
    return found
