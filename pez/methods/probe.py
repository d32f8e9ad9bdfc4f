"""Probe sampling: a cheap draft model sorts a step's candidates and the model reads few of them.

Zhao, Zheng, Cai, Do, Kawaguchi, Goyal, Shieh, "Accelerating Greedy Coordinate Gradient and General
Prompt Optimization via Probe Sampling", NeurIPS 2024, Algorithm 1. Of B candidates

1. the draft reads all, the model a random B / k, the probe set;
2. the agreement of both rankings of the probe set is alpha = (Spearman's rho + 1) / 2;
3. the model reads the (1 - alpha) B / R candidates that the draft likes best, the filtered set;
4. the best of both sets by the model's loss is the best of the step.

The paper's numbers are B = 512, k = 16, R = 8. With 32 candidates the probe set has two, whose
rankings agree or do not.

What it costs: each row of a batch has an alpha of its own, known only on the device. Reading it at
every step would stall the device, so the model reads the largest filtered set for every row, and
alpha says how much of it counts: at k = 16 and R = 8 it reads 3/16 of the candidates, where the
paper reads 1/16 to 3/16. The draft's B passes are extra. They are cheap if its text tower is
small: the authors' language models were fifty times as large as their drafts, while ViT-L's text
tower (85 million parameters) is twice ViT-B's (38). One of several models searched together may be
the draft.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import evaluate_all
from pez.search.problem import Problem


def set_sizes(candidates: int, probe: int, reduction: int) -> tuple[int, int]:
    """Prompts in the probe set, B / k, and in the largest filtered set, B / R.

    At least two in the first, as one has no order, and one in the second, if there are any.
    """
    probed = min(candidates, max(2, candidates // probe))
    return probed, min(candidates - probed, max(1, candidates // reduction))


def judge_probed(
    problem: Problem,
    ids: Tensor,
    item: Tensor,
    draw: Tensor | None,
    probe: int,
    reduction: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Prompts (b, s, k) of the probe and the filtered set, loss (b, s) and score (b, s), of
    candidates ids (b, c, k) in random order.

    The first of them are the probe set. The filtered set is taken from the others, as the loss
    of the probe set is known. A row's own size is known only on the device: the model reads the
    largest possible set, and what is beyond the row's own has loss inf.
    """
    if problem.draft is None:
        raise PezError("this search has no draft that has read the targets; see --set draft.")
    probed, most = set_sizes(ids.shape[1], probe, reduction)
    guess, _ = evaluate_all(problem.draft, ids, item, draw)
    loss, score = evaluate_all(problem, ids[:, :probed], item, draw)
    agreement = (spearman(guess[:, :probed], loss) + 1) / 2
    size = filtered_size(agreement, ids.shape[1], reduction)
    order = guess[:, probed:].topk(most, largest=False).indices + probed
    filtered = ids.take_along_dim(order[..., None], 1)
    if most:
        more, more_score = evaluate_all(problem, filtered, item, draw)
        beyond = torch.arange(most, device=ids.device) >= size[:, None]
        loss = torch.cat([loss, more.masked_fill(beyond, math.inf)], 1)
        score = torch.cat([score, more_score], 1)
    return torch.cat([ids[:, :probed], filtered], 1), loss, score


def filtered_size(agreement: Tensor, candidates: int, reduction: int) -> Tensor:
    """(1 - alpha) B / R, rounded, at least 1: float (b,) for the agreement alpha (b,)."""
    return ((1 - agreement) * candidates / reduction).round().clamp(min=1)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation (r,) of the rows of a and b (r, n), 0 where a row has no
    order: one number, or all alike.
    """
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    size = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return torch.where(size > 0, (x * y).sum(1) / size.clamp(min=0.25), 0)


def _ranks(values: Tensor) -> Tensor:
    """Place (r, n) of each number in its row from 0, that of equals the mean of theirs."""
    values = values.contiguous()
    ordered = values.sort(1).values
    first = torch.searchsorted(ordered, values)
    last = torch.searchsorted(ordered, values, right=True) - 1
    return (first + last).float() / 2
