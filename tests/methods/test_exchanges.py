"""Methods that swap words, against brute force and other known results."""

from collections.abc import Sequence
from itertools import product

import pytest
import torch
from common import ProblemMaker, jobs_for
from torch import Tensor

from pez.errors import PezError
from pez.methods import make_method
from pez.methods.arca import Arca
from pez.methods.autoprompt import AutoPrompt
from pez.methods.candidates import slopes, swap, top_candidates
from pez.methods.evolve import Evolve
from pez.methods.gcg import Gcg
from pez.methods.pez import Pez
from pez.models import Reader
from pez.search.engine import Budget, Found, search
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Job, Rows

CPU = torch.device("cpu")
ALL = 10**6  # more candidates than there are


def run(problem: Problem, method: Method, jobs: Sequence[Job], budget: Budget) -> list[Found]:
    """What was found, in the jobs' order."""
    found = search(problem, method, jobs, budget, CPU, keep_history=True)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


@pytest.mark.parametrize(
    "method",
    [AutoPrompt(ALL), Arca(ALL), Arca(ALL, average=1), Gcg(ALL, ALL), Gcg(ALL, ALL, buffer=3)],
    ids=["autoprompt", "arca", "arca-of-one-gradient", "gcg", "gcg-with-a-buffer"],
)
def test_one_step_with_all_candidates_finds_the_best_word(
    method: Method, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks[:4]], length=1)
    best = problem.word_scores([0, 1, 2, 3]).max(1)
    for n, found in enumerate(run(problem, method, jobs_for(4), Budget(1))):
        assert found.ids == [int(problem.vocabulary.ids[best.indices[n]])]
        assert found.score == pytest.approx(float(best.values[n]), abs=1e-5)


def all_scores(problem: Problem, item: int) -> dict[tuple[int, ...], float]:
    """The score of every possible prompt."""
    ids = torch.tensor(list(product(problem.vocabulary.ids.tolist(), repeat=2)))
    chosen = problem.vocabulary.embed(ids)
    _, score = problem.evaluate(chosen, torch.full((len(ids),), item))
    return dict(zip(map(tuple, ids.tolist()), score.tolist(), strict=True))


def test_arca_with_all_candidates_is_exact_coordinate_ascent(few: Problem) -> None:
    words = few.vocabulary.ids.tolist()
    found = run(few, Arca(ALL), jobs_for(4), Budget(6))
    starts = few.start_ids(Rows(jobs_for(4), CPU)).tolist()
    for n, one in enumerate(found):
        scores, now = all_scores(few, n), starts[n]
        for step in one.history:
            place = step["step"] % 2
            tried = [[*now[:place], word, *now[place + 1 :]] for word in words]
            now = max(tried, key=lambda ids: scores[tuple(ids)])
            assert [step["ids"][i] for i in few.template.free.tolist()] == now


def test_gcg_with_all_candidates_takes_the_best_neighbour_of_all(few: Problem) -> None:
    """Algorithm 1 continues from the best swap even when it is worse than staying."""
    words = few.vocabulary.ids.tolist()
    rows = Rows(jobs_for(1), CPU)
    method = Gcg(ALL, len(words) - 1)  # the word that stands there is never among them
    state, scores = method.start(few, rows), all_scores(few, 0)
    for _ in range(4):
        a, b = state["pool"][0, 0].tolist()
        around = [(w, b) for w in words if w != a] + [(a, w) for w in words if w != b]
        best = max(around, key=lambda ids: scores[ids])
        ids, score, state = method.step(few, rows, state)
        assert tuple(state["pool"][0, 0].tolist()) == best
        assert tuple(ids[0].tolist()) == max([(a, b), best], key=lambda ids: scores[ids])
        assert float(score) == pytest.approx(max(scores[a, b], scores[best]), abs=1e-5)


def test_gcg_keeps_the_best_prompts_seen_in_its_buffer(few: Problem) -> None:
    rows, method = Rows(jobs_for(2), CPU), Gcg(4, 4, buffer=3)
    state, before = method.start(few, rows), torch.full((2,), torch.inf)
    scores = [all_scores(few, n) for n in range(2)]
    for _ in range(8):
        _, _, state = method.step(few, rows, state)
        loss = state["loss"]
        assert (loss.diff(dim=1) >= 0).all() and (loss[:, 0] <= before + 1e-6).all()
        before = loss[:, 0]
        for n in range(2):
            pool = [tuple(ids) for ids in state["pool"][n].tolist()]
            filled = [p for p, known in zip(pool, loss[n], strict=True) if known.isfinite()]
            assert len(set(filled)) == len(filled)
            expected = [1 - scores[n][ids] for ids in filled]
            assert loss[n, : len(filled)].tolist() == pytest.approx(expected, abs=1e-5)
    assert state["loss"].isfinite().all()


def test_momentum_averages_the_gradients_of_the_steps(problem: Problem) -> None:
    rows, method = Rows(jobs_for(2), CPU), Gcg(8, 8, momentum=0.25)
    state = method.start(problem, rows)
    average = torch.zeros_like(state["gradient"])
    for _ in range(3):
        _, _, own = slopes(problem, state["pool"], rows.item, None)
        average = 0.25 * average + 0.75 * own[:, 0]
        _, _, state = method.step(problem, rows, state)
        assert torch.allclose(state["gradient"], average, atol=1e-6)


def test_the_steepest_words_are_those_of_the_one_hot_gradient(problem: Problem) -> None:
    rows = Rows(jobs_for(2), CPU)
    ids, vocabulary = problem.start_ids(rows), problem.vocabulary
    hot = torch.nn.functional.one_hot(ids, len(vocabulary.table)).float().requires_grad_(True)
    loss, _ = problem.evaluate(hot @ vocabulary.table, rows.item)
    (gradient,) = torch.autograd.grad(loss.sum(), hot)
    _, _, slope = slopes(problem, ids[:, None], rows.item, None)
    found = top_candidates(problem, slope[:, 0], ids, 5)
    for row, place in product(range(2), range(problem.template.slots)):
        order = sorted(vocabulary.ids.tolist(), key=lambda i: float(gradient[row, place, i]))
        order.remove(int(ids[row, place]))
        assert found[row, place].tolist() == order[:5]


def test_an_exchange_changes_one_place() -> None:
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    changed = swap(ids, torch.tensor([[0, 2], [1, 1]]), torch.tensor([[7, 8], [9, 0]]))
    assert changed.tolist() == [[[7, 2, 3], [1, 2, 8]], [[4, 9, 6], [4, 0, 6]]]


@pytest.mark.parametrize(
    "method", [Evolve(population=1, mutation=0.0), Pez(lr=0.0)], ids=lambda method: method.name
)
def test_a_method_that_may_not_move_stays(method: Method, problem: Problem) -> None:
    starts = problem.start_ids(Rows(jobs_for(4), CPU)).tolist()
    for start, found in zip(starts, run(problem, method, jobs_for(4), Budget(5)), strict=True):
        assert [step["ids"] for step in found.history] == [start] * 5


def test_without_mutation_children_only_mix_the_words_of_their_place(problem: Problem) -> None:
    rows, method = Rows(jobs_for(2), CPU), Evolve(population=6, mutation=0.0)
    state = method.start(problem, rows)
    first = state["young"]
    for _ in range(4):
        _, _, state = method.step(problem, rows, state)
        there = (state["young"][:, :, None] == first[:, None]).any(2)
        assert there.all()
    mixed = (state["young"][:, :, None] == first[:, None]).all(-1).any(2)
    assert not mixed.all()


def test_the_elite_lives_on(problem: Problem) -> None:
    found = run(problem, Evolve(population=6, mutation=0.5, elite=1), jobs_for(4), Budget(10))
    for one in found:
        scores = [step["score"] for step in one.history]
        assert scores == sorted(scores) and len(set(scores)) > 1
    left = run(problem, Evolve(population=6, mutation=0.5, elite=0), jobs_for(4), Budget(10))
    assert any(h["score"] < one.history[0]["score"] for one in left for h in one.history)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("gcg", "candidates=0"),
        ("gcg", "topk=0"),
        ("gcg", "momentum=1"),
        ("gcg", "momentum=-0.1"),
        ("gcg", "buffer=-1"),
        ("autoprompt", "candidates=0"),
        ("arca", "average=0"),
        ("evolve", "population=0"),
        ("evolve", "tournament=0"),
        ("evolve", "mutation=1.5"),
        ("evolve", "elite=-1"),
    ],
)
def test_a_setting_out_of_bounds_is_a_users_error(name: str, setting: str) -> None:
    with pytest.raises(PezError, match=f"--set .*{setting.split('=')[0]}.* must"):
        make_method(name, [setting])
