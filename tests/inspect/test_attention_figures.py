"""A word lights up on its thing: the benchmark's measure, and a few of its pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.attention import BOX, SIDE, box_of, cases, measure, page, pixels_of, share

ROOT = Path(__file__).parents[2]


def test_the_share_of_an_even_map_is_chance_and_of_a_bright_one_more() -> None:
    case = cases()[0]
    mask = box_of(case)
    assert share(torch.ones(4, 4), mask) == pytest.approx(mask.mean(), abs=1e-6)
    middle = torch.zeros(4, 4)
    middle[1:3, 1:3] = 1
    assert share(middle, mask) > 0.95
    assert share(1 - middle, mask) < mask.mean()


def test_a_thing_before_a_plain_colour_is_found() -> None:
    picture = np.full((SIDE, SIDE, 3), (200, 30, 30), dtype=np.uint8)
    first = (SIDE - BOX) // 2
    picture[first : first + BOX, first : first + BOX] = (20, 30, 220)
    assert np.array_equal(pixels_of(picture), box_of(cases()[0]) & (picture[..., 2] > 100))


def test_the_things_word_has_more_of_the_thing_than_chance_and_than_other_words() -> None:
    rows = [row for row in measure(cases()[::12], 1, steps=8) if row["place"] == "box"]
    assert len(rows) == 4
    mean = {name: np.mean([row[name] for row in rows]) for name in ("share", "chance", "others")}
    assert mean["share"] > mean["chance"] + 0.02 and mean["share"] > mean["others"] + 0.02


def test_the_page_is_that_of_the_figures() -> None:
    folder = ROOT / "benchmarks"
    figures = json.loads((folder / "attention.json").read_text())
    assert page(figures["rows"], figures["seeds"]) == (folder / "attention.md").read_text()
