"""What a method is to the search loop, and what it may tell beside its steps."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor

from pez.search.problem import Problem
from pez.search.rows import Rows

State = dict[str, Tensor]  # every tensor has a leading row dimension


class Method(Protocol):
    """A search over ids. ``forwards`` and ``backwards`` are text-tower passes a row and step,
    plain class attributes where no option changes them.
    """

    name: ClassVar[str]

    @property
    def forwards(self) -> int:
        """Of each row and step."""
        ...

    @property
    def backwards(self) -> int:
        """Of each row and step."""
        ...

    def start(self, problem: Problem, rows: Rows) -> State:
        """Where the rows begin."""
        ...

    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """One step: the free ids tried (b, k), their scores (b,) and the next state."""
        ...


def extra_of(method: Method, state: State) -> State:
    """What a method keeps of its best beside ids: its own ``extra(state)`` if it has one, as
    ``soft`` does, else nothing. Every tensor has a leading row dimension.
    """
    tell = getattr(method, "extra", None)
    return tell(state) if tell else {}


def usual(method: Any, what: str) -> Any:
    """What ``steps``, ``start`` and ``style`` a method or its class has where the user says
    nothing: its own ``usual_steps`` and so on, else 500 steps from any start, words in a row.
    """
    return getattr(method, f"usual_{what}", {"steps": 500, "start": "", "style": "words"}[what])


def start_forwards(method: Method, problem: Problem) -> int:
    """Forward passes before the first step: the method's own ``start_forwards(problem)`` if it
    has one, as those that rate lists do, else what the start's ids cost. They are those of a
    search by itself; what is rated once for all rows costs a batch no more than that.
    """
    tell = getattr(method, "start_forwards", None)
    return tell(problem) if tell else problem.start_forwards


def draft_forwards(method: Method) -> int:
    """Forward passes of a draft, a row and step: the method's own ``drafts`` if it has a draft."""
    return getattr(method, "drafts", 0)
