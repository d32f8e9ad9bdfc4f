"""All methods of the registry: better than chance, within the vocabulary, row by row, at the
cost that they report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for, small_settings
from PIL import Image
from torch import Tensor

import pez
from pez.methods import METHODS, make_method
from pez.methods.arca import Arca
from pez.methods.evolve import Evolve
from pez.methods.gaslite import Gaslite
from pez.methods.gcg import Gcg
from pez.models import Reader
from pez.objectives.match import Match
from pez.search.engine import Budget, Found, search
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Job, Rows

CPU = torch.device("cpu")
PASSES = 240  # of a row, forward and backward
NO_BETTER = {"random"}  # the floor itself


def run(
    problem: Problem, method: Method, jobs: Sequence[Job], budget: Budget, width: int = 0
) -> list[Found]:
    """What was found, in the jobs' order."""
    found = search(problem, method, jobs, budget, CPU, width=width, keep_history=True)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


def small(name: str, passes: int = PASSES) -> tuple[Method, Budget]:
    """A method with cheap steps, and as many steps as the passes pay for."""
    method = make_method(name, **small_settings(name))
    steps = passes // (method.forwards + method.backwards)
    return make_method(name, steps=steps, **small_settings(name)), Budget(steps)


def total(problem: Problem, name: str) -> float:
    method, budget = small(name)
    return sum(f.shown for f in run(problem, method, jobs_for(4), budget))


# ---- every method of the registry


@pytest.fixture(scope="module")
def floor(problem: Problem) -> float:
    """What random words reach, summed over the pictures."""
    return total(problem, "random")


@pytest.mark.parametrize("name", [name for name in METHODS if name not in NO_BETTER])
def test_every_method_beats_random_words_at_the_same_cost(
    name: str, problem: Problem, floor: float
) -> None:
    assert total(problem, name) > floor + 0.05


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_to_the_vocabulary_and_the_template(
    name: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker, few: Problem
) -> None:
    start = torch.tensor(mini.tokens.encode("sun red"))  # sun may not be chosen
    assert start[0] not in few.vocabulary.ids and start[1] in few.vocabulary.ids
    method, budget = small(name, 60)
    for problem in (few, replace(few, init=start)):
        for found in run(problem, method, jobs_for(2), budget):
            ids = torch.tensor([step["ids"] for step in found.history])
            assert torch.isin(ids[:, problem.template.free], problem.vocabulary.ids).all()
            texts = {mini.tokens.decode(row) for row in ids.tolist()}
            assert all(t.startswith("a ") and t.split()[2] == "and" for t in texts)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_and_bans_words(
    name: str, mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": name, "steps": 3, "history": True}
    plain: Any = pez.invert(pictures[0], length=3, **settings)
    banned = plain.prompt.split()
    kept = next(w for w in ("boat", "violin", "kiwi", "lemon") if w not in banned)
    start = f"{banned[0]} {kept} {banned[1]}"
    result: Any = pez.invert(pictures[0], init=start, keep=kept, ban=banned, **settings)
    for step in result.history:
        words = mini.tokens.decode(step["ids"]).split()
        assert words[1] == kept and not set(words) & set(banned)


@pytest.mark.parametrize("name", METHODS)
def test_rows_that_leave_and_join_change_nothing(name: str, problem: Problem) -> None:
    method, budget = small(name, 100)[0], Budget(8, patience=3)
    whole = run(problem, method, jobs_for(4), budget, width=4)
    narrow = run(problem, method, jobs_for(4), budget, width=2)
    for one, other in zip(whole, narrow, strict=True):
        assert [s["ids"] for s in one.history] == [s["ids"] for s in other.history]
        assert one.score == pytest.approx(other.score, abs=1e-5)


@dataclass(frozen=True, eq=False)
class Counting(Match):
    """The real objective, which notes how many prompts it was given, with gradient and in all."""

    seen: list[tuple[int, bool]] = field(default_factory=list)

    def features(self, embeddings: Tensor) -> Tensor:
        self.seen.append((len(embeddings), embeddings.requires_grad))
        return super().features(embeddings)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_tells_what_a_step_costs(name: str, problem: Problem) -> None:
    assert isinstance(problem.objective, Match)
    objective = Counting(problem.objective.reader, problem.objective.items)
    method = small(name)[0]
    counted, rows = replace(problem, objective=objective), Rows(jobs_for(3), CPU)
    state = method.start(counted, rows)
    objective.seen.clear()
    for _ in range(4):
        _, _, state = method.step(counted, rows, state)
    assert sum(n for n, _ in objective.seen) == 3 * 4 * method.forwards
    assert sum(n for n, slope in objective.seen if slope) == 3 * 4 * method.backwards


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("init", ["random", "words"])
def test_every_method_tells_what_its_start_costs(name: str, init: str, problem: Problem) -> None:
    assert isinstance(problem.objective, Match)
    objective = Counting(problem.objective.reader, problem.objective.items)
    method, rows = small(name)[0], Rows(jobs_for(1), CPU)
    counted = replace(problem, objective=objective, init=init)
    method.start(counted, rows)
    assert sum(n for n, _ in objective.seen) == method.start_forwards(counted)


def test_a_result_counts_the_words_rated_before_the_first_step(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "steps": 2, "length": 2, "restarts": 2}
    settings["method"] = "pez"
    plain, rated = (pez.invert(pictures[0], init=init, **settings) for init in ("random", "words"))
    assert isinstance(plain, pez.Result) and plain.passes == {"forward": 4, "backward": 4}
    assert isinstance(rated, pez.Result) and rated.passes["backward"] == 4
    assert rated.passes["forward"] == 4 + len(mini.own_words or ())


def test_no_more_prompts_are_judged_at_once_than_memory_is_for(problem: Problem) -> None:
    assert isinstance(problem.objective, Match)
    objective = Counting(problem.objective.reader, problem.objective.items)
    narrow = replace(problem, objective=objective, word_batch=10)
    for method in (Gcg(candidates=16), Arca(), Gaslite(), Evolve()):
        whole = run(problem, method, jobs_for(3), Budget(3))
        parts = run(narrow, method, jobs_for(3), Budget(3))
        assert [f.ids for f in whole] == [f.ids for f in parts]
    assert max(n for n, _ in objective.seen) == 10
    assert max(n for n, slope in objective.seen if slope) == 3
