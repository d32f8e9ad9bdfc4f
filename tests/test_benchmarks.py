"""What the benchmark of methods computes: budgets, gaps to ours, places of labels."""

import math
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import curves, plot
from benchmarks.methods import ways_of
from benchmarks.running import best_steps

PLAN = {
    "models": ["mini"],
    "length": 4,
    "most": 1000,
    "options": {"init": "words"},
    "methods": [
        {"name": "pez", "options": {"init": "random"}},
        {"name": "gcg", "set": ["candidates=8"], "alternatives": [{"set": ["topk=4"]}]},
        {"name": "evolve", "models": ["mini", "mini-b"], "label": "both"},
    ],
}


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=30),
    st.integers(0, 50),
    st.integers(1, 5),
    st.integers(0, 250),
)
def test_a_budget_buys_the_best_of_the_steps_that_it_pays_for(
    scores: list[float], start: int, cost: int, budget: int
) -> None:
    spent = [start + cost * (n + 1) for n in range(len(scores))]
    (found,) = best_steps(scores, spent, [budget])
    paid = (budget - start) // cost
    if paid < 1 or paid > len(scores):
        assert found is None  # nothing yet, or more than was searched
    else:
        assert found is not None and found < paid
        assert scores[found] == max(scores[:paid]) and scores[found] not in scores[:found]


def test_steps_are_what_the_largest_budget_pays_for() -> None:
    pez, gcg, both = ways_of(PLAN, 180, choosing=False)
    assert (pez.options.steps, gcg.options.steps) == (90, 18)  # 1 + 1, 1 + 8 + 1 passes a step
    assert [w.options.init for w in (pez, gcg)] == ["random", "words"]
    assert both.label == "both" and both.options.steps == 180 // (2 * 16)  # of two models
    plan = PLAN | {"methods": [{"name": "gcg", "set": ["candidates=32", "draft=mini-b"]}]}
    (draft,) = ways_of(plan, 180, choosing=False)
    assert draft.options.steps == 180 // (1 + 2 + 4 + 1 + 32)  # its passes count like any other
    labels = [way.label for way in ways_of(PLAN, 180, choosing=True)]
    assert labels == ["pez", "gcg", "gcg topk=4", "both"]
    with pytest.raises(SystemExit, match="one row"):
        ways_of(PLAN | {"methods": [{"name": "pez", "options": {"restarts": 2}}]}, 9, False)


def test_gaps_are_paired_by_picture(tmp_path: Path) -> None:
    rows = [
        {"method": m, "axis": "passes", "budget": 50, "seed": seed, "item": item}
        | {"searched": 0.5, "judge": 0.1 * item + more + 0.01 * seed}
        for m, more in (("pez", 0.0), ("gcg", 0.05))
        for seed in range(2)
        for item in range(5)
    ]
    rows.append({**rows[-1], "budget": 100})  # pez has none here
    ours, line, alone = curves.lines_of(rows, ["pez", "gcg"])
    assert set(line.more) == {"pez"} and set(ours.more) == {"gcg"} and not alone.more
    assert line.prompts == 10
    # pictures differ by far more than methods, which pairing takes out
    more, less = line.more["pez"], ours.more["gcg"]
    assert more.low == pytest.approx(0.05) and more.high == pytest.approx(0.05)
    assert less.mean == pytest.approx(-0.05)
    curves.write_csv(tmp_path / "a.csv", [ours, line, alone], ["pez", "gcg"])
    head, _, told, none = (tmp_path / "a.csv").read_text().splitlines()
    assert head.endswith(
        "pez,judge_more_than_pez_low,judge_more_than_pez_high,"
        "judge_more_than_gcg,judge_more_than_gcg_low,judge_more_than_gcg_high"
    )
    assert told.endswith("0.0500,0.0500,0.0500,,,") and none.endswith(",,,,,,")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8).map(sorted))
def test_labels_keep_apart_and_stay_where_there_is_room(places: list[float]) -> None:
    moved = plot.apart(places, 10, 0, 100)
    assert all(b - a >= 10 - 1e-6 for a, b in pairwise(moved))
    assert moved[0] >= -1e-6 and moved[-1] <= 100 + 1e-6
    if all(b - a >= 10 for a, b in pairwise(places)):
        assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(places, moved, strict=True))
