"""Exchange against plain loops: what it predicts of swaps, what a step takes, how it escapes."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from common import ProblemMaker, jobs_for
from PIL import Image
from torch import Tensor

import pez
from pez.errors import PezError
from pez.methods import make_method
from pez.methods.candidates import evaluate_all, slopes, swap
from pez.methods.exchange import Exchange, predicted
from pez.models import Reader
from pez.search.engine import Budget, search
from pez.search.problem import Problem
from pez.search.rows import Rows

CPU = torch.device("cpu")
ALL = 10**6  # more candidates than there are


@pytest.fixture
def begun(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> Problem:
    """Five words between commas for each picture, from a pursuit."""
    problem = make_problem(mini, [look[None] for look in looks], 5, "{1} , {1} , {1} , {1} , {1}")
    return replace(problem, init="pursuit")


def centred(problem: Problem) -> Tensor:
    return problem.start_features - problem.start_features.mean(0)


def reading(problem: Problem, ids: Tensor) -> Tensor:
    return problem.features(problem.vocabulary.embed(ids).float())


def test_a_prediction_exchanges_one_word_of_the_prompts_feature(begun: Problem) -> None:
    rows, table = Rows(jobs_for(2), CPU), centred(begun)
    ids = begun.start_ids(rows)
    at = torch.searchsorted(begun.vocabulary.ids, ids)
    features = reading(begun, ids)
    own = begun.objective.rate(table, [0, 1])
    reached = begun.objective.rate(features, [0, 1]).diagonal()
    found = predicted(table, own, features, reached, at)
    for row, place, word in [(0, 0, 3), (1, 4, 200), (1, 2, 11)]:
        length = torch.stack([table[n] for n in at[row].tolist()]).sum(0).norm()
        moved = length * features[row] - table[at[row, place]] + table[word]
        plain = begun.objective.rate((moved / moved.norm())[None], [row])
        assert float(found[row, place, word]) == pytest.approx(float(plain), abs=1e-5)
    assert found.gather(2, at[..., None])[..., 0].allclose(reached[:, None].expand_as(at))


def test_first_swaps_gain_more_than_the_gradients_first(begun: Problem) -> None:
    """The same number of evaluated swaps, from the same prompts."""
    rows = Rows(jobs_for(6), CPU)
    ids = begun.start_ids(rows)
    _, _, gradient = slopes(begun, ids[:, None], rows.item, None)
    slope = (gradient[:, 0] @ begun.vocabulary.rows.T).scatter(
        2, torch.searchsorted(begun.vocabulary.ids, ids)[..., None], torch.inf
    )
    top = slope.flatten(1).topk(8, largest=False).indices
    count = len(begun.vocabulary.ids)
    theirs = swap(ids, top // count, begun.vocabulary.ids[top % count])
    method = Exchange(repeats=True)
    state = method.start(begun, rows)
    own = begun.objective.rate(centred(begun), range(6))
    ours = swap(ids, *method._next(begun, rows, own, state))
    best = [evaluate_all(begun, tried, rows.item)[0].min(1).values for tried in (ours, theirs)]
    assert float(best[0].mean()) < float(best[1].mean()) - 0.01


def test_with_all_swaps_a_step_takes_the_best_or_all_improvements(few: Problem) -> None:
    rows, method = Rows(jobs_for(4), CPU), Exchange(candidates=ALL, repeats=True)
    state = method.start(few, rows)
    found, score, after = method.step(few, rows, state)
    words = few.vocabulary.ids.tolist()
    for n, ids in enumerate(state["ids"].tolist()):
        swaps = [[*ids[:p], w, *ids[p + 1 :]] for p in range(len(ids)) for w in words]
        scores = evaluate_all(few, torch.tensor([swaps]), rows.item[n : n + 1])[1][0]
        best = [  # at each place by itself
            int(scores[p * len(words) : (p + 1) * len(words)].argmax()) for p in range(len(ids))
        ]
        both = torch.tensor([[[words[w] for w in best]]])
        together = float(evaluate_all(few, both, rows.item[n : n + 1])[1])
        assert float(score[n]) == pytest.approx(max(float(scores.max()), together), abs=1e-6)
    assert torch.equal(found, after["ids"])


def test_no_swap_of_a_prompt_is_tried_twice_before_all_were(few: Problem) -> None:
    method = Exchange(candidates=3, escape=0, repeats=True)
    rows = Rows(jobs_for(1), CPU)
    state = method.start(few, rows)
    own = few.objective.rate(centred(few), [0])
    swaps = (len(few.vocabulary.ids) - 1) * few.template.slots
    seen = []
    for _ in range(swaps // 3):
        seen += swap(state["ids"], *method._next(few, rows, own, state))[0].tolist()
        state["tried"] += 3
    assert len({tuple(ids) for ids in seen}) == len(seen) == swaps // 3 * 3
    assert state["ids"][0].tolist() not in seen


def test_a_local_optimum_is_left_for_words_drawn_into_the_best_prompt(begun: Problem) -> None:
    rows, method = Rows(jobs_for(3), CPU), Exchange(escape=8, kick=2)
    state = method.start(begun, rows)
    left = 0
    for _ in range(12):
        stuck = state["tried"] >= 8
        ids, score, after = method.step(begun, rows, state)
        differ = (ids != state["best"]).sum(1)
        assert (differ[stuck] <= 2).all() and (differ[stuck] > 0).any() == stuck.any()
        assert (after["tried"][stuck] == 0).all()
        assert (after["loss"][~stuck] <= state["loss"][~stuck] + 1e-6).all()
        assert (after["best_loss"] <= state["best_loss"]).all()
        assert torch.allclose(1 - score, after["loss"], atol=1e-5)
        left, state = left + int(stuck.sum()), after
    assert left


def test_no_word_is_said_twice_unless_that_is_asked_for(begun: Problem) -> None:
    method = Exchange(escape=8, kick=3)
    found = search(begun, method, jobs_for(4), Budget(12), CPU, keep_history=True)
    for one in found:
        for step in one.history:
            words = [i for i in step["ids"] if begun.vocabulary.ids.eq(i).any()]
            assert len(set(words)) == len(words) == 5


def test_a_search_without_escape_never_gets_worse(begun: Problem) -> None:
    found = search(begun, Exchange(escape=0), jobs_for(3), Budget(6), CPU, keep_history=True)
    for one in found:
        scores = [step["score"] for step in one.history]
        assert all(b >= a - 1e-6 for a, b in pairwise(scores))
        assert scores[-1] > scores[0]


def test_words_that_were_not_rated_are_not_proposed(begun: Problem) -> None:
    problem = replace(begun, kept=lambda ids, rate, around: rate(ids)[:300], init="random")
    rows, method = Rows(jobs_for(2), CPU), Exchange(candidates=40)
    state = method.start(problem, rows)
    own = torch.zeros(2, len(problem.vocabulary.ids))
    _, word = method._next(problem, rows, own, state)
    assert torch.isin(word, problem.vocabulary.ids[:300]).all()
    assert search(problem, method, jobs_for(2), Budget(2), CPU)


def test_all_that_is_read_is_counted(begun: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    plain = type(begun.objective).features

    def counted(self: object, embeddings: Tensor) -> Tensor:
        nonlocal read
        read += len(embeddings)
        return plain(self, embeddings)  # type: ignore[arg-type]

    monkeypatch.setattr(type(begun.objective), "features", counted)
    rows, method = Rows(jobs_for(1), CPU), Exchange(candidates=5)
    problem = replace(begun, init=torch.tensor([320]))
    state = method.start(problem, rows)
    _, _, state = method.step(problem, rows, state)
    assert read == method.start_forwards(problem) + method.forwards
    before = read
    method.step(problem, rows, state)
    assert read - before == method.forwards and method.backwards == 0


@pytest.mark.parametrize("setting", ["candidates=0", "kick=0", "escape=-1"])
def test_settings_are_checked(setting: str) -> None:
    with pytest.raises(PezError, match=f"--set {setting.split('=')[0]} must be"):
        make_method("exchange", [setting])


def test_it_needs_features_that_add_up(pictures: list[Image.Image]) -> None:
    with pytest.raises(PezError, match="exchange does not apply to this --objective"):
        pez.invert(
            pictures[0], objective="denoise", generator="mini-sd", method="exchange", steps=1
        )
