"""Rows under search in one batch: begun, joined, parted, with the best prompts of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.search.method import Method, State
from pez.search.problem import Problem
from pez.search.rows import Job, Rows


@dataclass(eq=False)
class Batch:
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


def begin(
    problem: Problem, method: Method, jobs: list[Job], device: torch.device, since: float, keep: int
) -> Batch:
    """The first rows of jobs, before their first step; each keeps ``keep`` prompts."""
    rows = Rows(jobs, device)
    b, k = len(jobs), problem.template.slots
    state = method.start(problem, rows)
    pool = None
    if keep > 1:
        none = torch.full((b, keep), -torch.inf, device=device)
        pool = torch.zeros(b, keep, k, dtype=torch.long, device=device), none
    return Batch(
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


def select(batch: Batch, keep: list[int]) -> Batch:
    """The batch with only the rows at ``keep``."""
    index = torch.tensor(keep, device=batch.age.device)
    rows = batch.rows
    return Batch(
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


def join(old: Batch | None, new: Batch) -> Batch:
    """Append new rows to those under search."""
    if old is None:
        return new
    rows = Rows(
        old.rows.jobs + new.rows.jobs, old.rows.device, old.rows.generators + new.rows.generators
    )
    return Batch(
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


def pooled(pool: Tensor, known: Tensor, ids: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """The pool (b, m, k) and its scores (b, m) with prompts (b, k) and scores (b,) that are better
    than its last. A prompt that it has already keeps the score that it was stored with.
    """
    same = (pool == ids[:, None]).all(-1) & known.isfinite()
    score = torch.where(same.any(1), -torch.inf, score)
    scores, order = torch.cat([known, score[:, None]], 1).sort(dim=1, descending=True, stable=True)
    prompts = torch.cat([pool, ids[:, None]], 1).take_along_dim(order[..., None], 1)
    return prompts[:, :-1], scores[:, :-1]


def others_of(problem: Problem, batch: Batch, row: int) -> list[tuple[list[int], float]]:
    """The prompts of a row's pool behind its best, with their scores."""
    if not batch.pool:
        return []
    pool, known = batch.pool[0][row], batch.pool[1][row].tolist()
    pairs = zip(problem.template.fill(pool).tolist(), known, strict=True)
    best = batch.best[row]
    same = (pool == best).all(-1).tolist()
    return [pair for pair, own in zip(pairs, same, strict=True) if not own and pair[1] > -math.inf]
