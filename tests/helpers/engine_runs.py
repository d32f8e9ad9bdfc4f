"""Searches by the loop, with their histories, for its tests."""

from collections.abc import Sequence
from typing import Any

from pez_runs import CPU

from pez.methods.pez import Pez
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.search.rows import Job


def run(
    problem: Problem, jobs: Sequence[Job], budget: Budget, method: Any = None, **settings: Any
) -> list[Found]:
    """What was found, in the jobs' order."""
    found = search(problem, method or Pez(), jobs, budget, CPU, keep_history=True, **settings)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))
