"""Shared by searches that swap words: gradients, top candidate swaps, batched evaluation.

The loss of a swap to first order is linear in the word's embedding (Ebrahimi et al.,
"HotFlip: White-Box Adversarial Examples for Text Classification", ACL 2018), so one gradient
ranks all words at all places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.problem import Problem
from pez.search.rows import Rows

MOST = 10**6  # of words, swaps and other things that are in memory together
NUMBERS = 1 << 26  # of gradients in memory at once: a quarter of a gigabyte


def check_counts(least: int = 1, /, **counts: int) -> None:
    """PezError unless the settings of a method, by name, are ``least`` or more, and no more than
    any memory holds.
    """
    for name, count in counts.items():
        if not least <= count <= MOST:
            bound = f"{least} or more" if count < least else f"{MOST} at most"
            raise PezError(f"--set {name} must be {bound}, not {count}.")


def check_shares(**shares: float) -> None:
    """PezError unless the settings of a method, by name, are between 0 and 1."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise PezError(f"--set {name} must be between 0 and 1, not {share}.")


def allowed_start(problem: Problem, rows: Rows) -> Tensor:
    """Ids (b, k) at which rows begin. Words of a given start that may not be chosen become
    the nearest that may, as at PEZ's first step.
    """
    vocabulary = problem.vocabulary
    return vocabulary.nearest(vocabulary.embed(problem.start_ids(rows)).float())


def draw_words(problem: Problem, rows: Rows, *shape: int) -> Tensor:
    """Allowed ids (b, *shape), each row's from its own generator."""
    allowed = problem.vocabulary.ids
    return allowed[(rows.uniform(*shape) * len(allowed)).long()]


def draw_targets(problem: Problem, rows: Rows, batch_size: int) -> Tensor | None:
    """A random subset (b, d) of each row's targets; None, for all of them, if 0."""
    count = problem.objective.targets(rows.jobs[0].item)
    if not 0 < batch_size < count:
        return None
    return rows.uniform(count).argsort(1)[:, :batch_size]


def slopes(
    problem: Problem, ids: Tensor, item: Tensor, draw: Tensor | None, place: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (b, c), score (b, c) and gradient (b, c, k, w) of prompts ids (b, c, k).

    With ``place`` (b,) the gradient is that of one place alone, (b, c, 1, w). A batch
    holds as many prompts as there are rows, or a quarter of one without gradients.
    """
    b, c, k = ids.shape
    owner = torch.arange(b, device=ids.device).repeat_interleave(c)
    parts = []
    size = max(b, problem.word_batch // 4)
    for some, who in zip(ids.reshape(-1, k).split(size), owner.split(size), strict=True):
        point = problem.vocabulary.embed(some).float().requires_grad_(True)
        loss, score = problem.evaluate(point, item[who], None if draw is None else draw[who])
        (gradient,) = torch.autograd.grad(loss.sum(), point)
        if place is not None:
            gradient = gradient[torch.arange(len(who), device=who.device), place[who]][:, None]
        parts.append((loss.detach(), score.detach(), gradient))
    loss, score, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
    return loss.view(b, c), score.view(b, c), gradient.unflatten(0, (b, c))


@torch.no_grad()
def evaluate_all(
    problem: Problem, ids: Tensor, item: Tensor, draw: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Loss (b, c) and score (b, c) of prompts ids (b, c, k), those of all rows together but
    never more than ``problem.word_batch`` at once.
    """
    b, c, k = ids.shape
    owner = torch.arange(b, device=ids.device).repeat_interleave(c)
    parts = []
    size = problem.word_batch
    for some, who in zip(ids.reshape(-1, k).split(size), owner.split(size), strict=True):
        seen = None if draw is None else draw[who]
        parts.append(problem.evaluate(problem.vocabulary.embed(some).float(), item[who], seen))
    loss, score = (torch.cat(part) for part in zip(*parts, strict=True))
    return loss.view(b, c), score.view(b, c)


@torch.no_grad()
def top_candidates(
    problem: Problem, gradient: Tensor, now: Tensor, count: int, used: Tensor | None = None
) -> Tensor:
    """Allowed ids (b, p, count) that lower the loss most, to first order, instead of ``now``
    (b, p); all of them if there are no more than ``count``.

    They have the smallest products of their embedding with the ``gradient`` (b, p, w), which
    is the gradient for the one-hot row of the place. The current id comes last, as do those that
    are ``used`` (b, u) already, if given.
    """
    vocabulary = problem.vocabulary
    size = max(1, NUMBERS // (now.shape[1] * len(vocabulary.ids)))
    found = []
    last = now[:, :0] if used is None else used
    parts = (gradient.split(size), now.split(size), last.split(size))
    for g, here, gone in zip(*parts, strict=True):
        slope = (g @ vocabulary.rows.T).masked_fill(here[..., None] == vocabulary.ids, math.inf)
        taken = (gone[..., None] == vocabulary.ids).any(1, keepdim=True)
        slope = slope.masked_fill(taken, math.inf)
        best = slope.topk(min(count, len(vocabulary.ids)), largest=False)
        found.append(vocabulary.ids[best.indices])
    return torch.cat(found)


def draw_swaps(rows: Rows, words: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Place (b, c) and word (b, c) of ``count`` swaps, or all if there are fewer, drawn without
    repetition among ``words`` (b, k, t), those that each place may take.
    """
    drawn = rows.uniform(*words.shape[1:]).flatten(1)
    drawn = drawn.topk(min(count, drawn.shape[1])).indices
    return drawn // words.shape[2], words.flatten(1).gather(1, drawn)


def swap(ids: Tensor, place: Tensor, words: Tensor) -> Tensor:
    """Prompts (b, c, k): ids (b, k) with ``words`` (b, c) at ``place`` (b, c)."""
    copies = ids[:, None].expand(-1, words.shape[1], -1)
    return copies.scatter(2, place[..., None], words[..., None])


def best_of(ids: Tensor, loss: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The prompt (b, k) of lowest loss among ids (b, c, k), its loss (b,) and score (b,); the
    first of equals.
    """
    row = torch.arange(len(ids), device=ids.device)
    best = loss.argmin(1)
    return ids[row, best], loss[row, best], score[row, best]


def repeats(ids: Tensor, said: Tensor) -> Tensor:
    """How many words (b, c) of prompts ids (b, c, k) stand in their prompt before, or among the
    template's words ``said`` (f,).
    """
    earlier = torch.ones(ids.shape[-1:] * 2, dtype=torch.bool, device=ids.device).tril(-1)
    again = ((ids[..., None] == ids[..., None, :]) & earlier).any(-1)
    return (again | torch.isin(ids, said.to(ids))).sum(-1)
