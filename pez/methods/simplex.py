"""Relaxed prompts: at each free place a mixture of the allowed words instead of one of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.methods.candidates import allowed_start
from pez.search.problem import Problem
from pez.search.rows import Rows
from pez.search.vocabulary import Vocabulary


def mix(vocabulary: Vocabulary, weights: Tensor) -> Tensor:
    """Embeddings (b, k, w) of mixtures: weights (b, k, n) over the allowed words' rows."""
    return weights @ vocabulary.rows


def start_places(problem: Problem, rows: Rows) -> Tensor:
    """Positions of the start's words among the allowed ones, int64 (b, k) below n.

    A word of the start that is not allowed is replaced by the nearest that is.
    """
    # the allowed ids ascend
    return torch.searchsorted(problem.vocabulary.ids, allowed_start(problem, rows))


def one_hot(places: Tensor, count: int) -> Tensor:
    """Rows (b, k, n) of a single one at ``places`` (b, k)."""
    return F.one_hot(places, count).float()


def simplex_projection(points: Tensor) -> Tensor:
    """The nearest weights (..., n) that are not negative and sum to one.

    Geisler et al. 2024, Algorithm 2, which is Duchi et al. 2008: the part of each
    coordinate above a threshold, which is found from the sorted coordinates.
    """
    top = points.sort(-1, descending=True).values
    count = torch.arange(1, points.shape[-1] + 1, device=points.device, dtype=points.dtype)
    threshold = (top.cumsum(-1) - 1) / count
    last = (top > threshold).sum(-1, keepdim=True) - 1
    return (points - threshold.gather(-1, last.clamp(min=0))).clamp(min=0)


def gini(weights: Tensor) -> Tensor:
    """Tsallis entropy (...) of order 2 of weights (..., n): 0 for one word alone."""
    return 1 - weights.square().sum(-1)


def entropy_projection(weights: Tensor, most: float) -> Tensor:
    """Weights (..., n) pushed away from the middle of their support until their Gini index is
    about ``most``; those at or below it stay.

    Geisler et al. 2024, Algorithm 3: the sphere of radius ``sqrt(1 - most - 1/m)`` around the
    uniform mixture of the m words in use is where the index equals ``most``. If the push
    makes a weight negative, the simplex projection follows, and the index approaches ``most``
    only over several steps.
    """
    used = (weights > 0).float()
    m = used.sum(-1, keepdim=True)
    middle = used / m
    off = weights - middle
    distance = off.norm(dim=-1, keepdim=True)
    radius = (1 - most - 1 / m).clamp(min=0).sqrt()
    # at the exact centre no direction is better than another
    inside = (distance < radius) & (distance > 1e-6)
    pushed = simplex_projection(middle + off * (radius / distance.clamp(min=1e-6)))
    return torch.where(inside, pushed, weights)
