"""The search loop: best-so-far, when a row ends, refill, lost memory, restarts, interrupts."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from conftest import ProblemMaker, jobs_for
from PIL import Image
from torch import Tensor

import pez
from pez.engine import Budget, Found, Progress, Stop, search
from pez.methods.pez import Pez
from pez.methods.random import Random
from pez.models import Reader
from pez.objectives.match import Match
from pez.problem import Job, Problem
from pez.session import Watch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def problem(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> Problem:
    """Five items, a picture each."""
    return make_problem(mini, [look[None] for look in looks[:5]], template="a {} in {}")


def run(
    problem: Problem, jobs: Sequence[Job], budget: Budget, method: Any = None, **settings: Any
) -> list[Found]:
    """What was found, in the jobs' order."""
    found = search(problem, method or Pez(), jobs, budget, CPU, keep_history=True, **settings)
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


def scores_of(found: Found) -> list[float]:
    return [step["score"] for step in found.history]


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
    assert 0.2 <= time.monotonic() - start < 30
    assert all(f.seconds >= 0.2 and f.steps > 0 and len(f.history) == f.steps for f in found)
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
        on_found=told.append,
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


def test_one_interrupt_stops_and_a_second_leaves(problem: Problem) -> None:
    before = signal.getsignal(signal.SIGINT)
    stop, count = Stop(), iter(range(1, 10**6))

    def interrupt(_progress: Progress) -> None:
        if next(count) == 5:
            signal.raise_signal(signal.SIGINT)

    with stop.on_interrupt():
        found = run(problem, jobs_for(2), Budget(1000), stop=stop, on_progress=interrupt)
        assert [f.steps for f in found] == [5, 5]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_search_in_a_thread_leaves_interrupts_alone(problem: Problem) -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Stop().on_interrupt() as stop:  # a web page stops by ``asked`` alone
            stop.asked = signal.getsignal(signal.SIGINT) is not before
            found.extend(run(problem, jobs_for(1), Budget(2), stop=stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [f.steps for f in found] == [2]


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
    told: list[int] = []
    run(problem, jobs_for(5), Budget(3), width=2, on_found=lambda f: told.append(f.job.item))
    assert told == [0, 1, 2, 3, 4]


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
    with pytest.raises(torch.cuda.OutOfMemoryError):
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
    results = pez.invert(pictures[:2], restarts=4, **settings)
    narrow = pez.invert(pictures[:2], restarts=4, rows=3, **settings)
    first = pez.invert(pictures[:2], restarts=1, **settings)
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

    monkeypatch.setattr("pez.session.search", spied)
    settings: dict[str, Any] = {"length": 4, "steps": 4, "init": "random", "restarts": 5}
    results = pez.invert(pictures, reader=mini, **settings)
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
    together = pez.invert(pictures, rows=2, **settings)
    assert isinstance(together, list)
    for picture, result in zip(pictures, together, strict=True):
        alone = pez.invert(picture, **settings)
        assert isinstance(alone, pez.Result)
        assert (result.prompt, result.key, result.steps) == (alone.prompt, alone.key, alone.steps)
        assert result.score == pytest.approx(alone.score, abs=1e-5)
