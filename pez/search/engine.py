"""The search loop: rows in a batch, best-so-far, early stop, refill, history, interrupts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.method import Method, State
from pez.search.problem import ROUNDING, Halted, Problem
from pez.search.rows import Job, Rows
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


@dataclass(eq=False)
class _Batch:
    """Rows under search. Tensors are (b,), ``best`` is (b, k); all stay on the device. ``shown`` is
    what users see of ``score``, the best's. Where more than one prompt is kept, ``pool`` (b, m, k)
    holds the best with their scores (b, m), each once.
    """

    rows: Rows
    state: State
    best: Tensor
    score: Tensor
    shown: Tensor
    age: Tensor
    stale: Tensor
    since: list[float]
    spent: list[float]
    history: list[list[tuple[Tensor, Tensor]]]
    extra: State
    pool: tuple[Tensor, Tensor] | None = None


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
    batch: _Batch | None = None
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
                        batch = _join(batch, _begin(problem, method, taken, device, since, keep))
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
                    batch = _select(batch, left) if left else None
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


def _begin(
    problem: Problem, method: Method, jobs: list[Job], device: torch.device, since: float, keep: int
) -> _Batch:
    rows = Rows(jobs, device)
    b, k = len(jobs), problem.template.slots
    state = method.start(problem, rows)
    pool = None
    if keep > 1:
        none = torch.full((b, keep), -torch.inf, device=device)
        pool = torch.zeros(b, keep, k, dtype=torch.long, device=device), none
    return _Batch(
        rows,
        state,
        torch.zeros(b, k, dtype=torch.long, device=device),
        torch.full((b,), -torch.inf, device=device),
        torch.full((b,), -torch.inf, device=device),
        torch.zeros(b, dtype=torch.long, device=device),
        torch.zeros(b, dtype=torch.long, device=device),
        [since] * b,
        [0.0] * b,
        [[] for _ in jobs],
        method.extra(state),
        pool,
    )


def _step(
    problem: Problem, method: Method, batch: _Batch, budget: Budget, keep_history: bool
) -> _Batch:
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
        batch.pool = _pooled(*batch.pool, ids, torch.where(active, score, -torch.inf))
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


def _pooled(pool: Tensor, known: Tensor, ids: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """The pool (b, m, k) and its scores (b, m) with prompts (b, k) and scores (b,) that are better
    than its last. A prompt that it has already keeps the score that it was stored with.
    """
    same = (pool == ids[:, None]).all(-1) & known.isfinite()
    score = torch.where(same.any(1), -torch.inf, score)
    scores, order = torch.cat([known, score[:, None]], 1).sort(dim=1, descending=True, stable=True)
    prompts = torch.cat([pool, ids[:, None]], 1).take_along_dim(order[..., None], 1)
    return prompts[:, :-1], scores[:, :-1]


def _ended(batch: _Batch, budget: Budget, now: float) -> list[int]:
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


def _take(problem: Problem, batch: _Batch, rows: Sequence[int]) -> list[Found]:
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
            _others(problem, batch, row),
            shown[n],
        )
        for n, row in enumerate(rows)
    ]


def _others(problem: Problem, batch: _Batch, row: int) -> list[tuple[list[int], float]]:
    """The prompts of a row's pool behind its best, with their scores."""
    if not batch.pool:
        return []
    pool, known = batch.pool[0][row], batch.pool[1][row].tolist()
    pairs = zip(problem.template.fill(pool).tolist(), known, strict=True)
    best = batch.best[row]
    same = (pool == best).all(-1).tolist()
    return [pair for pair, own in zip(pairs, same, strict=True) if not own and pair[1] > -math.inf]


def _history(problem: Problem, steps: list[tuple[Tensor, Tensor]]) -> list[dict]:
    """One row's ids and score at each step."""
    if not steps:
        return []
    ids = problem.template.fill(torch.stack([tried for tried, _ in steps])).tolist()
    scores = torch.stack([score for _, score in steps]).tolist()
    pairs = zip(ids, scores, strict=True)
    return [{"step": n, "ids": whole, "score": score} for n, (whole, score) in enumerate(pairs)]


def _select(batch: _Batch, keep: list[int]) -> _Batch:
    """The batch with only the rows at ``keep``."""
    index = torch.tensor(keep, device=batch.age.device)
    rows = batch.rows
    return _Batch(
        Rows([rows.jobs[r] for r in keep], rows.device, [rows.generators[r] for r in keep]),
        {k: v[index] for k, v in batch.state.items()},
        batch.best[index],
        batch.score[index],
        batch.shown[index],
        batch.age[index],
        batch.stale[index],
        [batch.since[r] for r in keep],
        [batch.spent[r] for r in keep],
        [batch.history[r] for r in keep],
        {k: v[index] for k, v in batch.extra.items()},
        (batch.pool[0][index], batch.pool[1][index]) if batch.pool else None,
    )


def _join(old: _Batch | None, new: _Batch) -> _Batch:
    """Append new rows to those under search."""
    if old is None:
        return new
    rows = Rows(
        old.rows.jobs + new.rows.jobs, old.rows.device, old.rows.generators + new.rows.generators
    )
    return _Batch(
        rows,
        {k: torch.cat([v, new.state[k]]) for k, v in old.state.items()},
        torch.cat([old.best, new.best]),
        torch.cat([old.score, new.score]),
        torch.cat([old.shown, new.shown]),
        torch.cat([old.age, new.age]),
        torch.cat([old.stale, new.stale]),
        old.since + new.since,
        old.spent + new.spent,
        old.history + new.history,
        {k: torch.cat([v, new.extra[k]]) for k, v in old.extra.items()},
        (torch.cat([old.pool[0], new.pool[0]]), torch.cat([old.pool[1], new.pool[1]]))
        if old.pool and new.pool
        else None,
    )


def _progress(
    problem: Problem, batch: _Batch, budget: Budget, found: list[Found], waiting: int
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
