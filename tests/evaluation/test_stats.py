"""Intervals: they hold what they should, shrink as they should, and pair by item."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pez.evaluation import stats
from pez.evaluation.stats import bootstrap_mean, item_means, paired_difference

NUMBERS = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


@settings(max_examples=40, deadline=None)
@given(NUMBERS, st.floats(-10, 10), st.floats(0.1, 10))
def test_an_interval_lies_within_the_values_and_moves_with_them(
    values: list[float], shift: float, scale: float
) -> None:
    found = bootstrap_mean(values, draws=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    moved = bootstrap_mean([v * scale + shift for v in values], draws=200)
    for name in ("mean", "low", "high"):
        expected = getattr(found, name) * scale + shift
        assert getattr(moved, name) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9)), min_size=1, max_size=30), st.data())
def test_rows_of_an_item_count_as_one_and_in_any_order(
    rows: list[tuple[int, float]], data: st.DataObject
) -> None:
    items, values = zip(*rows, strict=True)
    own = {i: np.mean([v for j, v in rows if j == i]) for i in items}
    assert item_means(values, items) == pytest.approx(own)
    shuffled = data.draw(st.permutations(rows))
    other = bootstrap_mean([v for _, v in shuffled], [i for i, _ in shuffled], draws=50)
    assert other.mean == pytest.approx(np.mean(list(own.values())), abs=1e-9)
    assert other.items == len(own)


def test_coverage_is_about_the_level() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        found = bootstrap_mean(rng.normal(size=40).tolist(), draws=400)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_repeating_rows_of_items_does_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=20).tolist()
    once = bootstrap_mean(values, range(20))
    again = bootstrap_mean(values * 9, [*range(20)] * 9)
    assert (again.low, again.high) == pytest.approx((once.low, once.high))
    assert bootstrap_mean(values * 9).high - bootstrap_mean(values * 9).low < once.high - once.low


def test_pairs_see_a_difference_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=60)
    items = [f"i{n}" for n in range(60)]
    better = (base + 0.1 + rng.normal(scale=0.05, size=60)).tolist()
    one, two = bootstrap_mean(better), bootstrap_mean(base.tolist())
    assert one.low < two.high
    found = paired_difference(better[::-1], items[::-1], [*base, 99.0], [*items, "other"])
    assert found.low > 0 and found.items == 60
    assert found.mean == pytest.approx(np.mean(np.array(better) - base))


def test_one_item_has_no_interval_and_none_is_an_error() -> None:
    one = bootstrap_mean([1.0, 2.0], ["a", "a"])
    assert one.mean == 1.5 and math.isnan(one.low) and math.isnan(one.high)
    for bad in ([], [math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="no values"):
            bootstrap_mean(bad)
    with pytest.raises(ValueError, match="no values"):
        paired_difference([1.0], ["a"], [1.0], ["b"])


def test_the_size_of_blocks_in_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=50).tolist()
    once = bootstrap_mean(values, draws=101)
    monkeypatch.setattr(stats, "_BLOCK", 500)
    assert bootstrap_mean(values, draws=101) == once
