"""The rows of a batch: alone or together the same path; where each starts."""

from dataclasses import replace

import pytest
import torch
from common import ProblemMaker, jobs_for, small_settings
from pez_runs import CPU, path_of, run, scores_of
from torch import Tensor

from pez.errors import PezError
from pez.methods import METHODS, make_method
from pez.methods.pez import Pez
from pez.models import Reader
from pez.search.rows import Job, Rows


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("init", ["random", "words"])
def test_a_batch_of_rows_equals_each_row_alone(
    name: str, init: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    groups = [looks[n : n + 3] for n in range(3)]
    problem = make_problem(mini, groups, template="a photo of {} and {}", init=init)
    method = make_method(name, steps=15, **small_settings(name, batch_size=2))
    jobs = jobs_for(3, restarts=2)
    together = run(problem, method, jobs, 10)  # rounding parts longer paths
    for job, row in zip(jobs, together, strict=True):
        (alone,) = run(problem, method, [job], 10)
        assert path_of(row) == path_of(alone)
        assert scores_of(row) == pytest.approx(scores_of(alone), abs=1e-5)
    paths = [tuple(map(tuple, path_of(row))) for row in together]
    assert len(set(paths)) == len(paths)


def test_neighbours_and_places_do_not_change_a_rows_path(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    here = make_problem(mini, [looks[:1], looks[1:2]])
    there = make_problem(mini, [looks[n : n + 1] for n in (4, 3, 1, 2)])
    (first,) = [f for f in run(here, Pez(), jobs_for(2), 20) if f.job.item == 1]
    jobs = [replace(job, key=f"other-{n}") for n, job in enumerate(jobs_for(4))]
    jobs[2] = replace(first.job, item=2)  # the same key and seed at another place
    again = run(there, Pez(), jobs, 20)[2]
    assert path_of(first) == path_of(again)
    assert scores_of(first) == pytest.approx(scores_of(again), abs=1e-5)


def test_seed_restart_and_key_each_give_another_start(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    jobs = [Job(0, "a"), Job(0, "a", seed=1), Job(0, "a", restart=1), Job(0, "b"), Job(0, "a")]
    starts = [tuple(ids) for ids in problem.start_ids(Rows(jobs, CPU)).tolist()]
    assert starts[0] == starts[4] and len(set(starts)) == 4


def test_start_words_are_the_best_single_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1], looks[1:2]], length=3, init="words")
    starts = problem.start_ids(Rows(jobs_for(2), CPU)).tolist()
    words = [mini.tokens.decode([i]) for i in problem.vocabulary.ids.tolist()]
    for n, start in enumerate(starts):
        cosines = mini.encode_text(words) @ looks[n]
        best = [words[i] for i in cosines.topk(3).indices.tolist()]
        assert [mini.tokens.decode([i]) for i in start] == best


def test_start_ids_fill_the_first_places_and_chance_the_rest(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    init = torch.tensor(mini.tokens.encode("cat dog"))
    problem = make_problem(mini, [looks[:1]], length=4, init=init)
    starts = problem.start_ids(Rows(jobs_for(1, restarts=2), CPU))
    assert starts[:, :2].tolist() == [init.tolist()] * 2
    assert starts[0, 2:].tolist() != starts[1, 2:].tolist()
    assert torch.isin(starts[:, 2:], problem.vocabulary.ids).all()
    with pytest.raises(PezError, match="only 1 places"):
        make_problem(mini, [looks[:1]], length=1, init=init).start_ids(Rows(jobs_for(1), CPU))
