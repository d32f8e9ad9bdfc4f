"""A plan's items as subjects of its task."""

from __future__ import annotations

from collections.abc import Sequence

from pez.errors import PezError
from pez.evaluation.plan import Plan
from pez.evaluation.units import Original, Subject


def subjects(plan: Plan, originals: Sequence[Original]) -> list[Subject]:
    """The subjects of a plan's task in the order of ``originals``. PezError if there are too
    few items for a single one.
    """
    found = list(plan.task.subjects(originals))
    if originals and not found:
        raise PezError(
            f"no split or group has the {plan.task.takes} items that the task {plan.task.name} "
            "takes for a prompt; raise count."
        )
    return found
