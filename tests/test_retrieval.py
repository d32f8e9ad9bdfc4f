"""The benchmark that ranks captions and photographs of each other."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent.parent)]
from benchmarks.retrieval import ranks, share  # noqa: E402


def test_the_right_one_is_first_of_its_own_and_equals_count_against_it() -> None:
    image = torch.eye(3)
    text = torch.stack([torch.eye(3), torch.eye(3)[[1, 0, 2]], torch.ones(3, 3)])
    found = ranks(image, text)
    for way in ("image to text", "text to image"):
        assert found[way].tolist() == [[1, 1, 1], [3, 3, 1], [3, 3, 3]]


def test_both_directions_rank_along_their_own_axis() -> None:
    image = torch.eye(2)
    text = torch.tensor([[[2.0, 1.0], [3.0, 1.5]]])  # the second caption is loud for all
    found = ranks(image, text)
    assert found["image to text"].tolist() == [[2, 1]]
    assert found["text to image"].tolist() == [[1, 2]]


def test_a_share_lies_within_its_interval() -> None:
    mean, low, high = share(torch.tensor([[1, 1, 2, 30], [1, 3, 1, 20]]), 1)
    assert mean == 0.5 and low < 0.5 < high
    assert share(torch.tensor([[1, 1]]), 1) == (1.0, 1.0, 1.0)
