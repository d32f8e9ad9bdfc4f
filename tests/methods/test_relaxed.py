"""Methods on relaxed, noisy or continuous prompts: what they reach, and exact special cases."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import torch
from common import ProblemMaker, jobs_for
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pez.errors import PezError
from pez.methods.fluentprompt import FluentPrompt
from pez.methods.gbda import Gbda
from pez.methods.pgd import Pgd
from pez.methods.simplex import (
    entropy_projection,
    gini,
    mix,
    one_hot,
    simplex_projection,
    start_places,
)
from pez.models import Reader
from pez.search.engine import Budget, Found, search
from pez.search.problem import Objective, Problem
from pez.search.rows import Rows

CPU = torch.device("cpu")


def run(
    problem: Problem, method: Any, steps: int, count: int = 1, width: int = 0, restarts: int = 1
) -> list[Found]:
    """Jobs for ``count`` items, in their order, with histories."""
    jobs = jobs_for(count, restarts)
    found = search(problem, method, jobs, Budget(steps), CPU, width=width, keep_history=True)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


@dataclass(eq=False)
class Watched:
    """An objective that records the prompts scored (b, l, w), with a gradient and without."""

    inner: Any
    with_gradient: list[Tensor] = field(default_factory=list)
    without: list[Tensor] = field(default_factory=list)

    def __call__(self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None) -> Any:
        graph = torch.is_grad_enabled() and embeddings.requires_grad
        (self.with_gradient if graph else self.without).append(embeddings.detach())
        return self.inner(embeddings, item, draw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def watched(problem: Problem) -> tuple[Problem, Watched]:
    objective = Watched(problem.objective)
    return replace(problem, objective=cast(Objective, objective)), objective


# ---- the simplex


POINTS = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12)


@given(POINTS)
def test_the_simplex_projection_is_the_nearest_point(values: list[float]) -> None:
    point = torch.tensor(values, dtype=torch.float64)
    near = simplex_projection(point)
    assert near.min() >= 0 and float(near.sum()) == pytest.approx(1, abs=1e-9)
    # of a convex set the nearest point is the one from which no corner lies towards ``point``
    for corner in torch.eye(len(point), dtype=torch.float64):
        assert float((point - near) @ (corner - near)) <= 1e-9


@given(POINTS, st.floats(0, 1))
def test_the_entropy_projection_only_sharpens(values: list[float], most: float) -> None:
    weights = simplex_projection(torch.tensor(values, dtype=torch.float64))
    sharp = entropy_projection(weights, most)
    assert sharp.min() >= 0 and float(sharp.sum()) == pytest.approx(1, abs=1e-9)
    before, after = float(gini(weights)), float(gini(sharp))
    if before <= most:
        assert torch.equal(sharp, weights)
    else:
        assert after <= before + 1e-6
        if int((sharp > 0).sum()) == int((weights > 0).sum()) and before - after > 1e-6:
            assert after == pytest.approx(max(most, 0), abs=1e-6)  # nothing was cut off
    assert weights[sharp.argmax()] == weights.max()


def test_one_hot_mixtures_are_the_words_themselves(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    rows = Rows(jobs_for(1), CPU)
    places = start_places(problem, rows)
    ids = problem.start_ids(Rows(jobs_for(1), CPU))
    assert torch.equal(problem.vocabulary.ids[places], ids)
    weights = one_hot(places, len(problem.vocabulary.ids))
    assert torch.equal(mix(problem.vocabulary, weights), problem.vocabulary.embed(ids))


# ---- each one's special case


def test_pgd_without_a_learning_rate_stays(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    (found,) = run(problem, Pgd(lr=0.0), 4)
    start = problem.start_ids(Rows(jobs_for(1), CPU))[0].tolist()
    assert [step["ids"] for step in found.history] == [start] * 4
    (moved,) = run(problem, Pgd(), 4)
    assert [step["ids"] for step in moved.history] != [start] * 4


def test_pgd_without_an_entropy_bound_is_plain_projected_descent(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    (found,) = run(problem, Pgd(lr=0.3, momentum=0.0, entropy=1.0), 8)
    places = start_places(problem, Rows(jobs_for(1), CPU))
    weights = one_hot(places, len(problem.vocabulary.ids))
    for step in found.history:
        assert step["ids"] == problem.vocabulary.ids[weights.argmax(-1)][0].tolist()
        weights.requires_grad_(True)
        loss, _ = problem.evaluate(mix(problem.vocabulary, weights), torch.tensor([0]))
        (gradient,) = torch.autograd.grad(loss.sum(), weights)
        weights = simplex_projection(weights.detach() - 0.3 * gradient / gradient.abs().max())
    assert len({tuple(step["ids"]) for step in found.history}) > 2


def test_gbda_at_no_temperature_relaxes_to_the_drawn_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem, objective = watched(make_problem(mini, [looks[:1]]))
    run(problem, Gbda(temperature=1e-4), 5)
    for relaxed, drawn in zip(objective.with_gradient, objective.without, strict=True):
        torch.testing.assert_close(relaxed, drawn)
    problem, objective = watched(make_problem(mini, [looks[:1]]))
    run(problem, Gbda(), 1)
    assert not torch.allclose(objective.with_gradient[0], objective.without[0], atol=1e-3)


def test_gbda_draws_words_by_their_probability(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=1)
    found = run(problem, Gbda(lr=0.0, confidence=5.0), 3, restarts=100)
    starts = problem.start_ids(Rows(jobs_for(1, 100), CPU)).tolist()
    drawn = [step["ids"] == s for f, s in zip(found, starts, strict=True) for step in f.history]
    share = sum(drawn) / 300
    weight = torch.tensor(5.0).exp()
    expected = float(weight / (weight + len(problem.vocabulary.ids) - 1))
    assert share == pytest.approx(expected, abs=0.1)  # three deviations


def test_fluentprompt_without_noise_is_projected_gradient_descent(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    (found,) = run(problem, FluentPrompt(lr=2.0, noise=1e-20, last_noise=1e-20), 8)
    vocabulary = problem.vocabulary
    unit = vocabulary.table[vocabulary.ids].square().mean().sqrt()
    ids = problem.start_ids(Rows(jobs_for(1), CPU))
    for step in found.history:
        assert step["ids"] == ids[0].tolist()
        point = vocabulary.embed(ids).requires_grad_(True)
        loss, _ = problem.evaluate(point, torch.tensor([0]))
        (gradient,) = torch.autograd.grad(loss.sum(), point)
        size = gradient.norm() / gradient.numel() ** 0.5
        ids = vocabulary.nearest(point.detach() - 2.0 * unit * gradient / size)
    assert len({tuple(step["ids"]) for step in found.history}) > 2


def test_the_noise_of_fluentprompt_falls_geometrically() -> None:
    method = FluentPrompt(noise=1.0, last_noise=1e-4, steps=100)
    betas = method.beta(torch.tensor([0.0, 50.0, 100.0, 200.0]))
    torch.testing.assert_close(betas, torch.tensor([1.0, 1e-2, 1e-4, 1e-4]))
    with pytest.raises(PezError, match="noise"):
        FluentPrompt(noise=0.0)
