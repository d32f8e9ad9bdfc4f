"""GASLITE against plain loops: the averaged gradient, the flips, what a step costs."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from common import ProblemMaker, jobs_for
from torch import Tensor

from pez.errors import PezError
from pez.methods import make_method
from pez.methods.candidates import top_candidates
from pez.methods.gaslite import Gaslite, nearby
from pez.models import Reader
from pez.search.engine import Budget, search
from pez.search.problem import Problem
from pez.search.rows import Rows

CPU = torch.device("cpu")
ALL = 10**6  # more candidates than there are


def mean_gradient(problem: Problem, prompts: Tensor, item: int) -> Tensor:
    """The gradient (k, w) of the loss, averaged over prompts ids (c, k) one by one."""
    total = torch.zeros(())
    for ids in prompts:
        point = problem.vocabulary.embed(ids)[None].float().requires_grad_(True)
        loss, _ = problem.evaluate(point, torch.tensor([item]))
        total = total + torch.autograd.grad(loss.sum(), point)[0][0]
    return total / len(prompts)


def loss_of(problem: Problem, ids: Tensor, item: int) -> float:
    loss, _ = problem.evaluate(problem.vocabulary.embed(ids)[None].float(), torch.tensor([item]))
    return float(loss)


def plain_step(problem: Problem, method: Gaslite, rows: Rows, start: Tensor) -> list[list[int]]:
    """The prompts after a step without drawn candidates, row by row and word by word."""
    prompts = nearby(problem, rows, start, method.average)
    order = rows.uniform(start.shape[1]).argsort(1)
    ended = []
    for n, ids in enumerate(start.clone()):
        item = int(rows.item[n])
        slope = mean_gradient(problem, prompts[n], item)
        for place in sorted(order[n, : method.flips].tolist()):
            change = (problem.vocabulary.rows @ slope[place]).tolist()
            by_change = sorted(range(len(change)), key=change.__getitem__)
            words = [w for w in problem.vocabulary.ids[by_change].tolist() if w != ids[place]]
            best = loss_of(problem, ids, item)
            for word in words[: method.candidates]:
                tried = ids.clone()
                tried[place] = word
                if loss_of(problem, tried, item) < best - 1e-6:
                    ids, best = tried, loss_of(problem, tried, item)
        ended.append(ids.tolist())
    rows.uniform(min(method.flips, start.shape[1]), method.topk)  # by which no word is drawn
    return ended


def test_prompts_nearby_differ_at_one_place_by_an_allowed_word(problem: Problem) -> None:
    rows = Rows(jobs_for(3), CPU)
    ids = problem.start_ids(rows)
    prompts = nearby(problem, rows, ids, 40)
    assert prompts.shape == (3, 40, ids.shape[1]) and torch.equal(prompts[:, 0], ids)
    assert ((prompts != ids[:, None]).sum(-1) <= 1).all()
    assert torch.isin(prompts, problem.vocabulary.ids).all()
    assert (prompts != ids[:, None]).any(1).all()  # every place in turn


def test_candidates_are_ranked_by_the_mean_of_the_gradients(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, method = Rows(jobs_for(2), CPU), Gaslite(average=6, flips=5)
    ranked: list[Tensor] = []

    def watched(of: Problem, gradient: Tensor, now: Tensor, count: int) -> Tensor:
        ranked.append(gradient)
        return top_candidates(of, gradient, now, count)

    monkeypatch.setattr("pez.methods.gaslite.top_candidates", watched)
    state = method.start(problem, rows)
    method.step(problem, rows, state)
    again = Rows(jobs_for(2), CPU)
    ids = method.start(problem, again)["ids"]
    prompts = nearby(problem, again, ids, 6)
    for n in range(2):
        plain = mean_gradient(problem, prompts[n], n)
        assert torch.allclose(ranked[0][n], plain, atol=1e-6)
        assert not torch.allclose(plain, mean_gradient(problem, ids[n : n + 1], n), atol=1e-4)


@pytest.mark.parametrize(("average", "flips"), [(1, 1), (3, 2), (2, 3), (3, 5), (2, 9)])
def test_a_step_is_a_plain_loop_over_places(average: int, flips: int, problem: Problem) -> None:
    method = Gaslite(average=average, flips=flips, candidates=4, topk=4, drawn=0.0)
    rows, again = Rows(jobs_for(2), CPU), Rows(jobs_for(2), CPU)
    state, ids = method.start(problem, rows), method.start(problem, again)["ids"]
    for _ in range(2):
        expected = plain_step(problem, method, again, ids)
        found, score, state = method.step(problem, rows, state)
        assert found.tolist() == state["ids"].tolist() == expected
        assert ((found != ids).sum(1) <= flips).all()
        ids = found
        losses = [loss_of(problem, one, n) for n, one in enumerate(ids)]
        assert (1 - score).tolist() == pytest.approx(losses, abs=1e-5)


def test_flips_see_those_before_them(few: Problem) -> None:
    """With all words as candidates, a step is coordinate ascent from left to right."""
    words = few.vocabulary.ids.tolist()
    rows, method = Rows(jobs_for(4), CPU), Gaslite(1, 2, ALL, ALL)
    ids = method.start(few, rows)["ids"]
    found, _, _ = method.step(few, rows, {"ids": ids})
    for n, now in enumerate(ids.tolist()):
        loss = {p: loss_of(few, torch.tensor(p), n) for p in product(words, repeat=2)}
        first = min(words, key=lambda w: loss[w, now[1]])
        second = min(words, key=lambda w: loss[first, w])
        assert found[n].tolist() == [first, second]


def test_one_step_with_all_candidates_finds_the_best_word(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks[:4]], length=1)
    best = problem.word_scores([0, 1, 2, 3]).max(1)
    for found in search(problem, Gaslite(1, 1, ALL, ALL), jobs_for(4), Budget(1), CPU):
        n = found.job.item
        assert found.ids == [int(problem.vocabulary.ids[best.indices[n]])]
        assert found.score == pytest.approx(float(best.values[n]), abs=1e-5)


@pytest.mark.parametrize("init", ["random", "pursuit"])
def test_a_step_never_makes_a_prompt_worse(init: str, problem: Problem) -> None:
    begun = replace(problem, init=init)
    starts = begun.start_ids(Rows(jobs_for(4), CPU))
    method = Gaslite(average=2, flips=3, candidates=4, topk=8)
    found = search(begun, method, jobs_for(4), Budget(6), CPU, keep_history=True)
    for one in found:
        first = 1 - loss_of(begun, starts[one.job.item], one.job.item)
        scores = [first, *(step["score"] for step in one.history)]
        assert all(b >= a - 1e-6 for a, b in pairwise(scores))
        assert init == "pursuit" or scores[-1] > scores[0] + 0.1


def test_half_of_the_candidates_are_the_best_and_half_are_drawn() -> None:
    top = torch.arange(20).expand(2, 3, 20)
    chosen = Gaslite(candidates=8, topk=20)._choose(Rows(jobs_for(2), CPU), top)
    assert chosen.shape == (2, 3, 8)
    assert (chosen[..., :4] == torch.arange(4)).all() and (chosen[..., 4:] >= 4).all()
    rows = chosen.flatten(0, 1).tolist()
    assert all(len(set(row)) == 8 for row in rows) and len({tuple(row) for row in rows}) > 1
    first = Gaslite(candidates=8, topk=20, drawn=0.0)._choose(Rows(jobs_for(2), CPU), top)
    assert (first == torch.arange(8)).all()
    every = Gaslite(candidates=30, topk=20)._choose(Rows(jobs_for(2), CPU), top)
    assert (every.sort(-1).values == top).all()


@pytest.mark.parametrize("setting", ["average=0", "flips=0", "candidates=0", "topk=0", "drawn=1.1"])
def test_a_setting_out_of_bounds_is_a_users_error(setting: str) -> None:
    with pytest.raises(PezError, match=f"--set .*{setting.split('=')[0]}.* must"):
        make_method("gaslite", [setting])
