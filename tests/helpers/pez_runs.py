"""Searches with their histories, and Algorithm 1 written out once more, for the tests of PEZ."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pez.models.openclip import OpenClip
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.search.rows import Job

CPU = torch.device("cpu")


def found_by_job(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


def path_of(found: Found) -> list[list[int]]:
    return [step["ids"] for step in found.history]


def scores_of(found: Found) -> list[float]:
    return [step["score"] for step in found.history]


def run(
    problem: Problem, method: Any, jobs: Sequence[Job], steps: int, width: int = 0
) -> list[Found]:
    """All jobs with their histories, in the jobs' order."""
    budget = Budget(steps)
    return found_by_job(search(problem, method, jobs, budget, CPU, width=width, keep_history=True))


def plain_forward(reader: OpenClip, ids: Tensor) -> tuple[Tensor, Tensor]:
    """open_clip's own whole-context forward of prompt ids (k,).

    Gives the feature (e,) and the leaf (k, w) that stands where the embeddings were looked up.
    """
    end = torch.tensor([reader.tokens.full.eot_token_id])
    start = torch.tensor([reader.tokens.full.sot_token_id])
    whole = torch.cat([start, ids, end])
    whole = F.pad(whole, (0, reader.model.context_length - len(whole)))
    leaf: list[Tensor] = []

    def cut_loose(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        leaf.append(output.detach().requires_grad_(True))
        return leaf[0]

    hook = reader.model.token_embedding.register_forward_hook(cut_loose)
    try:
        feature = reader.model.encode_text(whole[None], normalize=True)[0]
    finally:
        hook.remove()
    return feature, leaf[0]


def algorithm_1(
    readers: list[OpenClip],
    allowed: Tensor,
    targets: list[Tensor],
    start: Tensor,
    steps: int,
    lr: float = 0.1,
    weight_decay: float = 0.1,
    schedule: Callable[[int], float] = lambda step: 1.0,
) -> tuple[list[list[int]], list[float]]:
    """Wen et al. 2023, Algorithm 1, for the mean over targets (t, e) and over models."""
    tables = [reader.model.token_embedding.weight.detach() for reader in readers]
    points = [table[start].clone().requires_grad_(True) for table in tables]
    optimizer = torch.optim.AdamW(points, lr=lr, weight_decay=weight_decay)
    schedule_of = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    path, scores = [], []
    for _ in range(steps):
        cosine = torch.zeros(len(start), len(allowed), dtype=tables[0].dtype)
        for point, table in zip(points, tables, strict=True):
            cosine += F.normalize(point.detach(), dim=-1) @ F.normalize(table[allowed], dim=-1).T
        ids = allowed[cosine.argmax(-1)]  # P' = Proj_E(P)
        score = 0.0
        for reader, point, wanted in zip(readers, points, targets, strict=True):
            feature, leaf = plain_forward(reader, ids)
            share = (wanted @ feature).mean() / len(readers)
            (gradient,) = torch.autograd.grad(1 - share, leaf)
            point.grad = gradient[0, 1 : 1 + len(start)]
            score += float(share.detach())
        path.append(ids.tolist())
        scores.append(score)
        optimizer.step()  # P = P - lr * gradient at P'
        schedule_of.step()
    return path, scores
