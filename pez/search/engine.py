"""The search loop: rows in a batch, best-so-far, early stop, refill, history, interrupts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.batch import Batch, begin, join, others_of, pooled, select
from pez.search.method import Method, State
from pez.search.problem import ROUNDING, Halted, Problem
from pez.search.rows import Job
from pez.search.stop import Stop


@dataclass(frozen=True)
class Budget:
    """When a row is done: after ``steps``, after ``patience`` steps without improvement
    (0 never), or ``seconds`` after its start began (0 never).
    """

    steps: int = 1000
    patience: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Found:
    """The best prompt of one job: whole ``ids`` (l,), its score by ids, and its cost. ``seconds``
    are its share of the time: rows that share a step share its time. ``shown`` is the score that
    users see (:meth:`pez.search.method.Method.shown`).

    ``extra`` holds what the method returns beside ids (:meth:`pez.search.method.Method.extra`), on
    the host.
    """

    job: Job
    ids: list[int]
    score: float
    steps: int
    seconds: float
    history: list[dict] = field(default_factory=list)
    extra: State = field(default_factory=dict)
    others: list[tuple[list[int], float]] = field(
        default_factory=list
    )  # the next best, with scores
    shown: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows: steps done of all, jobs done of all, the best so far."""

    steps: int
    total: int
    done: int
    jobs: int
    score: float
    ids: list[int]


def search(
    problem: Problem,
    method: Method,
    jobs: Sequence[Job],
    budget: Budget,
    device: torch.device,
    *,
    width: int = 0,
    keep: int = 1,
    keep_history: bool = False,
    stop: Stop | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_found: Callable[[list[Found]], None] | None = None,
    began: float = 0.0,
) -> list[Found]:
    """Search all jobs, ``width`` rows at a time (0 lets memory decide); one Found a job.

    A finished row leaves and the next job takes its place. If memory runs out, the batch is
    halved and its rows start over, which changes no result: a row's random draws are its own.
    When the user stops, rows under search return their best so far and waiting jobs nothing.
    ``on_found`` gets the rows that end together, so that they can be scored together; its time
    counts for none. ``keep`` prompts of each row are returned, the best of those that its steps
    tried. ``began`` is when the time begins, by ``time.monotonic``; 0 is now.
    """
    stop = stop or Stop()
    began = last = began or time.monotonic()
    waiting = list(reversed(jobs))
    width = min(width or len(jobs), len(jobs))
    found: list[Found] = []
    every = 1 if device.type == "cpu" else 16  # steps between reads from the device
    batch: Batch | None = None
    clock = 0

    def finish(done: list[Found]) -> None:
        found.extend(done)
        if on_found:
            on_found(done)

    while waiting or batch:
        if stop.asked and (batch is None or bool((batch.age > 0).all())):
            break
        try:
            try:
                if batch is None or (len(batch.rows) < width and waiting):
                    free = width - (len(batch.rows) if batch else 0)
                    taken = [waiting.pop() for _ in range(min(free, len(waiting)))]
                    since = time.monotonic() if clock else began
                    try:
                        batch = join(batch, begin(problem, method, taken, device, since, keep))
                    except BaseException:
                        waiting += reversed(taken)
                        raise
                batch = _step(problem, method, batch, budget, keep_history)
            except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                if width <= 1:
                    raise PezError(
                        "a single search does not fit into memory; choose a smaller --length, "
                        "fewer candidates (--set) or a smaller model."
                    ) from error
                if batch:
                    waiting += reversed(batch.rows.jobs)
                batch, width = None, max(1, width // 2)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            clock += 1
            now = time.monotonic()
            batch.spent = [spent + (now - last) / len(batch.rows) for spent in batch.spent]
            last = now
            if clock % every == 0:
                ended = _ended(batch, budget, now)
                if on_progress:
                    on_progress(_progress(problem, batch, budget, found, len(waiting)))
                if ended:
                    done = _take(problem, batch, ended)
                    left = [r for r in range(len(batch.rows)) if r not in set(ended)]
                    batch = select(batch, left) if left else None
                    finish(done)
                    last = time.monotonic()
        except KeyboardInterrupt as interrupt:
            stop.take(interrupt)
        except Halted:
            if not stop.asked:
                raise
    if batch:
        finish(_take(problem, batch, range(len(batch.rows))))
    return found


def _step(
    problem: Problem, method: Method, batch: Batch, budget: Budget, keep_history: bool
) -> Batch:
    """One step of every row. Rows past their budget still move but keep their best, so that
    a result does not depend on how often the host reads from the device.
    """
    ids, score, state = method.step(problem, batch.rows, batch.state)
    active = batch.age < budget.steps
    if budget.patience:
        active = active & (batch.stale < budget.patience)
    better = active & (score > batch.score)
    gained = active & (score > batch.score + ROUNDING)  # a repeat of one prompt is no gain
    batch.best = torch.where(better[:, None], ids, batch.best)
    if batch.pool:
        batch.pool = pooled(*batch.pool, ids, torch.where(active, score, -torch.inf))
    batch.score = torch.where(better, score, batch.score)
    shown = method.shown(score, state)
    batch.shown = torch.where(better, shown, batch.shown)
    batch.stale = torch.where(gained, 0, batch.stale + active.long())
    batch.age = batch.age + active.long()
    batch.state = state
    for name, new in method.extra(state).items():
        moved = active.view(-1, *[1] * (new.dim() - 1))
        batch.extra[name] = torch.where(moved, new, batch.extra[name])
    if keep_history:
        for past, row_ids, row_score in zip(batch.history, ids, shown, strict=True):
            past.append((row_ids, row_score))
    return batch


def _ended(batch: Batch, budget: Budget, now: float) -> list[int]:
    """Places of rows that are done; the only read from the device."""
    done = batch.age >= budget.steps
    if budget.patience:
        done = done | (batch.stale >= budget.patience)
    out = done.tolist()
    if budget.seconds:
        out = [
            d or now - since >= budget.seconds for d, since in zip(out, batch.since, strict=True)
        ]
    return [r for r, d in enumerate(out) if d]


def _take(problem: Problem, batch: Batch, rows: Sequence[int]) -> list[Found]:
    """The best of some rows, copied to the host together: each read from the device is slow."""
    index = torch.tensor(rows, device=batch.age.device)
    ids = problem.template.fill(batch.best[index]).tolist()
    scores, ages = batch.score[index].tolist(), batch.age[index].tolist()
    shown = batch.shown[index].tolist()
    extra = {name: value[index].cpu() for name, value in batch.extra.items()}
    return [
        Found(
            batch.rows.jobs[row],
            ids[n],
            scores[n],
            ages[n],
            batch.spent[row],
            _history(problem, batch.history[row][: ages[n]]),
            {name: value[n] for name, value in extra.items()},
            others_of(problem, batch, row),
            shown[n],
        )
        for n, row in enumerate(rows)
    ]


def _history(problem: Problem, steps: list[tuple[Tensor, Tensor]]) -> list[dict]:
    """One row's ids and score at each step."""
    if not steps:
        return []
    ids = problem.template.fill(torch.stack([tried for tried, _ in steps])).tolist()
    scores = torch.stack([score for _, score in steps]).tolist()
    pairs = zip(ids, scores, strict=True)
    return [{"step": n, "ids": whole, "score": score} for n, (whole, score) in enumerate(pairs)]


def _progress(
    problem: Problem, batch: Batch, budget: Budget, found: list[Found], waiting: int
) -> Progress:
    jobs = len(found) + len(batch.rows) + waiting
    steps = len(found) * budget.steps + int(batch.age.sum())
    best = int(batch.score.argmax())
    ids = problem.template.fill(batch.best[best : best + 1])[0].tolist()
    score, shown = float(batch.score[best]), float(batch.shown[best])
    under_search = {job.item for job in batch.rows.jobs}
    for past in found:  # a restart that has left the batch may have been better
        if past.job.item in under_search and past.score > score:
            ids, score, shown = past.ids, past.score, past.shown
    return Progress(steps, jobs * budget.steps, len(found), jobs, shown, ids)


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text
