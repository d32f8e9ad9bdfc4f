"""Tests of paired differences: exact where all signs can be tried, corrected for their number."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp

from pez.evaluation.comparisons import holm, sign_flip_test


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=8))
def test_few_differences_are_tested_with_all_signs(values: list[int]) -> None:
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    expected = sum(s >= abs(sum(values)) for s in sums) / len(sums)
    assert sign_flip_test(values) == pytest.approx(expected)


def test_drawn_signs_agree_with_all_signs_and_with_a_t_test() -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(0.4, 1, size=12).tolist()
    assert sign_flip_test(few, draws=4095) == pytest.approx(sign_flip_test(few), abs=0.03)
    many = rng.normal(0.15, 1, size=100)
    p = float(np.asarray(ttest_1samp(many, 0))[1])
    assert sign_flip_test(many.tolist()) == pytest.approx(p, abs=0.02)
    sure = (many + 5).tolist()
    assert sign_flip_test(sure) == 1 / 20_001


def test_equal_methods_are_called_different_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    found = [sign_flip_test(rng.normal(size=20).tolist(), draws=999) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_holm_is_between_nothing_and_bonferroni(p: list[float], shuffle: random.Random) -> None:
    found = holm(p)
    assert all(
        a <= b + 1e-12 and b <= min(1, len(p) * a) + 1e-12 for a, b in zip(p, found, strict=True)
    )
    assert all(b >= c - 1e-12 for b, c in zip(found, false_discovery_control(p), strict=True))
    order = list(range(len(p)))
    shuffle.shuffle(order)
    assert holm([p[n] for n in order]) == pytest.approx([found[n] for n in order])


def test_holm_by_hand_and_refusals() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == []
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError, match="no differences"):
            sign_flip_test(bad)
