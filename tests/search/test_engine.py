"""The search loop: best-so-far, history, when a row ends, a stop by the user."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from engine_runs import run
from pez_runs import CPU, scores_of
from PIL import Image
from torch import Tensor

import pez
from pez.methods.pez import Pez
from pez.methods.random import Random
from pez.models import Reader
from pez.search.engine import Budget, Found, Progress, search
from pez.search.problem import Problem
from pez.search.stop import Stop
from pez.session.session import Watch


@pytest.fixture(scope="module")
def problem(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> Problem:
    """Five items, a picture each."""
    return make_problem(mini, [look[None] for look in looks[:5]], template="a {} in {}")


# ---- best-so-far and history


def test_what_is_found_is_the_best_of_the_history(problem: Problem) -> None:
    for found in run(problem, jobs_for(5), Budget(25)):
        best = max(found.history, key=lambda step: step["score"])  # the first of equals
        assert (found.ids, found.score) == (best["ids"], best["score"])


def test_the_best_so_far_never_falls(problem: Problem) -> None:
    seen: list[Progress] = []
    (found,) = run(problem, jobs_for(1), Budget(25), on_progress=seen.append)
    bests = [progress.score for progress in seen]
    assert bests == sorted(bests)
    assert bests == [max(scores_of(found)[: n + 1]) for n in range(25)]
    assert (seen[-1].score, seen[-1].ids) == (found.score, found.ids)


def test_the_best_so_far_outlives_the_restart_that_found_it(problem: Problem) -> None:
    seen: list[Progress] = []
    jobs = jobs_for(1, restarts=4)
    found = run(problem, jobs, Budget(6), Random(), width=1, on_progress=seen.append)
    bests = [progress.score for progress in seen]
    assert bests == sorted(bests)
    best = max(found, key=lambda f: f.score)
    assert (seen[-1].score, seen[-1].ids) == (best.score, best.ids)


def test_the_next_best_are_those_of_the_history_each_once(problem: Problem) -> None:
    for method in (Pez(), Random()):
        plain = run(problem, jobs_for(3), Budget(12), method)
        kept = run(problem, jobs_for(3), Budget(12), method, keep=4, width=2)
        for one, found in zip(plain, sorted(kept, key=lambda f: f.job.item), strict=True):
            assert found.ids == one.ids and found.score == pytest.approx(one.score, abs=1e-5)
            tried: dict[tuple[int, ...], float] = {}
            for step in one.history:
                tried.setdefault(tuple(step["ids"]), step["score"])
            wanted = sorted(tried.values(), reverse=True)[:4]
            scores = [found.score, *(score for _, score in found.others)]
            assert scores == pytest.approx(wanted, abs=1e-5)
            assert len({tuple(found.ids), *(tuple(ids) for ids, _ in found.others)}) == len(scores)
            assert all(tried[tuple(ids)] == pytest.approx(s) for ids, s in found.others)


def test_history_has_the_projected_ids_and_score_of_each_step(
    problem: Problem, mini: Reader, looks: Tensor
) -> None:
    found = run(problem, jobs_for(2), Budget(12))
    for one in found:
        assert [step["step"] for step in one.history] == list(range(12))
        assert one.steps == len(one.history) == 12
        texts = [mini.tokens.decode(step["ids"]) for step in one.history]
        assert all(text.startswith("a ") and " in " in text for text in texts)
        cosines = (mini.encode_text(texts) @ looks[one.job.item]).tolist()
        assert scores_of(one) == pytest.approx(cosines, abs=1e-5)
        assert torch.isin(
            torch.tensor([s["ids"] for s in one.history])[:, problem.template.free],
            problem.vocabulary.ids,
        ).all()


def test_history_is_kept_only_when_asked_for(problem: Problem) -> None:
    (found,) = search(problem, Pez(), jobs_for(1), Budget(3), CPU)
    assert found.history == []


def test_progress_counts_steps_and_jobs_to_the_end(problem: Problem) -> None:
    seen: list[Progress] = []
    run(problem, jobs_for(3), Budget(4), width=2, on_progress=seen.append)
    assert all((p.total, p.jobs) == (12, 3) for p in seen)
    assert [p.steps for p in seen] == [2, 4, 6, 8, 9, 10, 11, 12]
    assert [p.done for p in seen] == [0, 0, 0, 0, 2, 2, 2, 2]


# ---- when a row ends


def test_patience_ends_a_row_that_no_longer_improves(problem: Problem) -> None:
    long = run(problem, jobs_for(5), Budget(60))
    for patience in (1, 4):
        for whole, cut in zip(long, run(problem, jobs_for(5), Budget(60, patience)), strict=True):
            expected, best, stale = 0, -1.0, 0
            for score in scores_of(whole):
                expected, stale = expected + 1, 0 if score > best else stale + 1
                best = max(best, score)
                if stale == patience:
                    break
            assert cut.steps == expected
            assert cut.score == pytest.approx(best, abs=1e-5)
    assert any(f.steps < 60 for f in run(problem, jobs_for(5), Budget(60, 4)))


def test_patience_0_never_ends_a_row(problem: Problem) -> None:
    (found,) = run(problem, jobs_for(1), Budget(40), Pez(lr=0.0))  # no step is ever better
    assert found.steps == 40
    (found,) = run(problem, jobs_for(1), Budget(40, patience=3), Pez(lr=0.0))
    assert found.steps == 4


def test_seconds_end_a_search(problem: Problem) -> None:
    start = time.monotonic()
    found = run(problem, jobs_for(3), Budget(10**9, seconds=0.2))
    whole = time.monotonic() - start
    assert 0.2 <= sum(f.seconds for f in found) <= whole < 30
    assert all(f.steps > 0 and len(f.history) == f.steps for f in found)
    assert all(f.score == max(scores_of(f)) for f in found)


def test_seconds_count_from_a_rows_own_start(problem: Problem) -> None:
    found = run(problem, jobs_for(3), Budget(10**9, seconds=0.1), width=1)
    assert [f.job.item for f in found] == [0, 1, 2]
    assert all(f.steps > 0 and f.seconds >= 0.1 for f in found)


# ---- a stop by the user


def stop_at(stop: Stop, step: int) -> Callable[[Progress], None]:
    count = iter(range(1, 10**6))

    def look(_progress: Progress) -> None:
        stop.asked = stop.asked or next(count) == step

    return look


def test_a_stop_gives_the_best_of_the_rows_under_search(problem: Problem) -> None:
    stop = Stop()
    whole = run(problem, jobs_for(5), Budget(30), width=2)
    told: list[Found] = []
    found = run(
        problem,
        jobs_for(5),
        Budget(30),
        width=2,
        stop=stop,
        on_progress=stop_at(stop, 37),
        on_found=told.extend,
    )
    # 0 and 1 were done, 2 and 3 are 7 steps old, 4 still waits
    assert [(f.job.item, f.steps) for f in found] == [(0, 30), (1, 30), (2, 7), (3, 7)]
    for cut, full in zip(found, whole, strict=False):
        assert scores_of(cut) == pytest.approx(scores_of(full)[: cut.steps], abs=1e-5)
        assert cut.score == max(scores_of(cut))
    assert sorted(f.job.item for f in told) == [0, 1, 2, 3]


def test_a_stop_as_rows_are_refilled_gives_none_without_a_step(problem: Problem) -> None:
    for step in (1, 30, 31):
        stop = Stop()
        settings: dict[str, Any] = {"width": 2, "stop": stop, "on_progress": stop_at(stop, step)}
        found = run(problem, jobs_for(5), Budget(30), **settings)
        assert [f.steps for f in found] == {1: [1, 1], 30: [30, 30], 31: [30, 30, 1, 1]}[step]
        assert all(f.ids and f.score > -1 for f in found)


def test_a_stop_before_the_start_gives_nothing(problem: Problem) -> None:
    stop = Stop()
    stop.asked = True
    assert run(problem, jobs_for(2), Budget(5), stop=stop) == []


def test_a_stopped_verb_returns_its_best_and_says_so(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    seen: list[tuple[float, str]] = []

    def look(progress: Progress, text: str) -> None:
        seen.append((progress.score, text))
        watch.stop.asked = len(seen) >= 5

    watch = Watch(progress=look)
    settings: dict[str, Any] = {"reader": mini, "watch": watch, "length": 4, "rows": 1}
    settings |= {"restarts": 3, "steps": 50}
    result = pez.invert(pictures[0], **settings)
    assert isinstance(result, pez.Result) and result.interrupted and result.steps == 5
    assert (result.score, result.prompt) == (pytest.approx(seen[-1][0], abs=1e-4), seen[-1][1])
    with pytest.raises(pez.PezError, match="stopped before"):
        pez.invert(pictures[0], **settings)
