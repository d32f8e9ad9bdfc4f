"""Rows that leave, come and begin again: refill, lost memory, restarts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from engine_runs import run
from PIL import Image
from torch import Tensor

import pez
from pez.errors import PezError
from pez.methods.pez import Pez
from pez.methods.random import Random
from pez.models import Reader
from pez.objectives.match import Match
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem


@pytest.fixture(scope="module")
def problem(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> Problem:
    """Five items, a picture each."""
    return make_problem(mini, [look[None] for look in looks[:5]], template="a {} in {}")


def same(left: Sequence[Found], right: Sequence[Found]) -> bool:
    """The same prompts by the same paths, scores up to rounding."""
    return all(
        a.job == b.job
        and a.ids == b.ids
        and a.steps == b.steps
        and [s["ids"] for s in a.history] == [s["ids"] for s in b.history]
        and a.score == pytest.approx(b.score, abs=1e-5)
        for a, b in zip(left, right, strict=True)
    )


# ---- rows leave, others take their places


@pytest.mark.parametrize("method", [Pez(), Random()], ids=lambda method: method.name)
def test_any_width_gives_the_same_results(method: Any, problem: Problem) -> None:
    budget = Budget(20, patience=6)  # so that rows leave at different steps
    whole = run(problem, jobs_for(5), budget, method, width=5)
    assert len({f.steps for f in whole}) > 1
    for width in (0, 1, 2, 3, 99):
        assert same(run(problem, jobs_for(5), budget, method, width=width), whole)


@dataclass(frozen=True, eq=False)
class Counting(Match):
    """The real objective, which also notes how many rows it was given; above ``most`` it fails."""

    rows: list[int]
    most: int
    error: Exception

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self.rows.append(len(embeddings))
        if len(embeddings) > self.most:
            raise self.error
        return super().__call__(embeddings, item, draw)


def failing(problem: Problem, most: int, error: Exception) -> tuple[Problem, list[int]]:
    assert isinstance(problem.objective, Match)
    rows: list[int] = []
    objective = Counting(problem.objective.reader, problem.objective.items, rows, most, error)
    return replace(problem, objective=objective), rows


def test_a_place_that_is_free_is_taken_at_once(problem: Problem) -> None:
    counted, rows = failing(problem, 99, ValueError())
    run(counted, jobs_for(5), Budget(4), width=2)
    assert rows == [2] * 8 + [1] * 4


def test_results_are_told_as_they_come(problem: Problem) -> None:
    told: list[list[int]] = []

    def on_found(some: list[Found]) -> None:
        told.append([found.job.item for found in some])

    run(problem, jobs_for(5), Budget(3), width=2, on_found=on_found)
    assert [item for some in told for item in some] == [0, 1, 2, 3, 4]
    assert told == [[0, 1], [2, 3], [4]]  # rows that end together are reported together


# ---- memory that runs out


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
    ],
    ids=lambda error: str(error)[:12] or type(error).__name__,
)
def test_when_memory_runs_out_the_batch_is_halved_and_results_stay(
    error: Exception, problem: Problem
) -> None:
    whole = run(problem, jobs_for(5), Budget(10))
    small, rows = failing(problem, 2, error)
    assert same(run(small, jobs_for(5), Budget(10)), whole)
    assert rows == [5] + [2] * 20 + [1] * 10


@pytest.mark.parametrize("fails_at", [4, 13])
def test_memory_may_run_out_in_the_middle(fails_at: int, problem: Problem) -> None:
    """Rows half done begin again, so every job still gives one result, and the same."""
    budget = Budget(12, patience=5)
    whole = run(problem, jobs_for(5), budget)

    class Once(Pez):
        calls = 0

        def step(self, problem: Problem, rows: Any, state: Any) -> Any:
            Once.calls += 1
            if Once.calls == fails_at:
                raise RuntimeError("out of memory")
            return super().step(problem, rows, state)

    assert same(run(problem, jobs_for(5), budget, Once(), width=3), whole)


def test_memory_may_run_out_as_rows_begin(problem: Problem) -> None:
    class Narrow(Pez):
        def start(self, problem: Problem, rows: Any) -> Any:
            if len(rows) > 2:
                raise RuntimeError("out of memory")
            return super().start(problem, rows)

    found = run(problem, jobs_for(5), Budget(6), Narrow())
    assert same(found, run(problem, jobs_for(5), Budget(6)))


def test_one_row_that_does_not_fit_is_an_error(problem: Problem) -> None:
    small, rows = failing(problem, 0, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(PezError, match="does not fit into memory"):
        run(small, jobs_for(5), Budget(5))
    assert rows == [5, 2, 1]


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("no")])
def test_other_errors_are_not_swallowed(error: Exception, problem: Problem) -> None:
    broken, rows = failing(problem, 0, error)
    with pytest.raises(type(error), match=str(error)):
        run(broken, jobs_for(5), Budget(5))
    assert rows == [5]


# ---- restarts


def test_the_best_restart_is_returned(
    mini: Reader, looks: Tensor, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "length": 4, "steps": 10, "history": True}
    settings |= {"method": "pez", "init": "random"}
    results: Any = pez.invert(pictures[:2], restarts=4, **settings)
    narrow: Any = pez.invert(pictures[:2], restarts=4, rows=3, **settings)
    first: Any = pez.invert(pictures[:2], restarts=1, **settings)
    assert isinstance(results, list) and isinstance(narrow, list) and isinstance(first, list)
    for many, few, one in zip(results, narrow, first, strict=True):
        assert many.score >= one.score - 1e-6
        assert (many.prompt, many.score) == (few.prompt, pytest.approx(few.score, abs=1e-5))
        assert many.passes == {"forward": 40, "backward": 40} and many.steps == 10
        assert one.passes == {"forward": 10, "backward": 10}


def test_a_verb_returns_the_best_of_all_its_restarts_paths(
    mini: Reader, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Found] = []

    def spied(*args: Any, **kwargs: Any) -> list[Found]:
        seen.extend(search(*args, **kwargs))
        return seen

    monkeypatch.setattr("pez.session.session.search", spied)
    settings: dict[str, Any] = {"length": 4, "steps": 4, "init": "random", "restarts": 5}
    results: Any = pez.invert(pictures, reader=mini, **settings)
    assert isinstance(results, list)
    winners = []
    for n, result in enumerate(results):
        own = sorted((f for f in seen if f.job.item == n), key=lambda f: f.job.restart)
        assert [f.job.restart for f in own] == [0, 1, 2, 3, 4]
        best = max(own, key=lambda f: f.score)
        assert (result.ids, result.score) == (best.ids, pytest.approx(best.score, abs=1e-4))
        winners.append(best.job.restart)
    assert len(set(winners)) > 1


def test_results_come_in_the_order_of_the_pictures(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "length": 3, "steps": 6, "patience": 2}
    together: Any = pez.invert(pictures, rows=2, **settings)
    assert isinstance(together, list)
    for picture, result in zip(pictures, together, strict=True):
        alone = pez.invert(picture, **settings)
        assert isinstance(alone, pez.Result)
        assert (result.prompt, result.key, result.steps) == (alone.prompt, alone.key, alone.steps)
        assert result.score == pytest.approx(alone.score, abs=1e-5)
