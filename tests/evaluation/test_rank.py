"""The rank of a prompt's picture among all pictures of its data set, against a literal one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from common import SMALL_PLAN
from hypothesis import given
from hypothesis import strategies as st

import pez
from pez.datasets.samples import samples
from pez.evaluation.judges import open_judge
from pez.evaluation.judges.judge import Judge
from pez.evaluation.kinds.rank import ranked
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.stats import bootstrap_mean
from pez.images import read_image

RANK = '[[measures]]\nname = "rank"\n'
PLAN = 'judges = ["mini-judge"]\nreaders = ["mini"]\n' + SMALL_PLAN.replace(
    "count = 3", "count = 9"
)


def units(folder: Path) -> dict[str, int]:
    files = (folder / "units" / "rank").rglob("*.json")
    return {file.stem: file.stat().st_mtime_ns for file in files}


def test_ranks_are_those_of_a_literal_computation(tmp_path: Path) -> None:
    rows = evaluate(parse_plan(PLAN + RANK), tmp_path, device="cpu")
    assert len(rows) == 9 * 2 * 2 and {row["error"] for row in rows} == {""}
    assert {row["among"] for row in rows} == {9}
    sources = sorted({row["source"] for row in rows})
    for name in ("mini-judge", "mini"):
        reader = pez.load_model(name, "cpu")
        seen = reader.encode_images([read_image(tmp_path / source) for source in sources])
        for row in (row for row in rows if row["judge"] == name):
            cosines = (reader.encode_text([row["prompt"]]) @ seen.T)[0].tolist()
            own = cosines[sources.index(row["source"])]
            assert row["text_score"] == pytest.approx(own, abs=1e-4)
            assert row["rank"] == 1 + sum(cosine > own for cosine in cosines)
            assert (row["rank_1"], row["rank_10"]) == (int(row["rank"] == 1), 1)
    assert len({row["rank"] for row in rows}) > 2
    written = pez.report(tmp_path)
    page = written.page.read_text(encoding="utf-8")
    assert "R@1" in page and "median rank" in page


def test_ranks_are_resumed_and_redone_among_other_pictures(tmp_path: Path) -> None:
    evaluate(parse_plan(PLAN + RANK), tmp_path, device="cpu")
    before = units(tmp_path)
    assert len(before) == 9 * 2 * 2
    evaluate(parse_plan(PLAN + RANK), tmp_path, device="cpu")
    assert units(tmp_path) == before
    more = (PLAN + RANK).replace("count = 9", "count = 10")
    rows = evaluate(parse_plan(more), tmp_path, device="cpu")
    assert {row["among"] for row in rows} == {10}
    assert len(units(tmp_path)) == len(before) + 10 * 2 * 2


def test_data_sets_are_ranked_by_themselves_and_damaged_pictures_left_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    whole = [sample.path.read_bytes() for sample in samples("art")[:4]]
    for n, picture in enumerate(whole):
        (data / f"p{n}.png").write_bytes(picture if n else picture[: len(picture) // 2])
        (data / f"p{n}.txt").write_text(f"number {n}")
    text = PLAN.replace("[data]", f'[[data]]\ndataset = "folder"\npath = "{data}"\n[[data]]') + RANK
    rows = evaluate(parse_plan(text), tmp_path / "run", device="cpu")
    among = {(row["dataset"], row["among"]) for row in rows if not row["error"]}
    assert among == {("folder", 3), ("samples", 9)}
    assert {row["item"] for row in rows if row["error"]} == {"p0.png"}


def test_a_judge_without_a_grid_of_its_own_compares_pairs() -> None:
    judge: Any = open_judge("mini-judge", "cpu")
    pictures = [read_image(sample.path) for sample in samples("web")[:3]]
    prompts = ["a castle", "a red fish on blue"]
    pairs = Judge.grid(judge, pictures, prompts)
    found = judge.grid(iter(pictures), prompts)
    assert [[round(x, 4) for x in row] for row in found] == [
        [pytest.approx(x, abs=1e-3) for x in row] for row in pairs
    ]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.data())
def test_ties_count_against_the_prompt(scores: list[int], data: st.DataObject) -> None:
    own = data.draw(st.sampled_from(scores))
    found = ranked(own, scores)
    worst = sorted(scores, reverse=True)
    assert found["rank"] == len(worst) - worst[::-1].index(own)
    assert found["rank_1"] == (found["rank"] == 1) and found["rank_10"] == (found["rank"] <= 10)
    assert ranked(0, [0] * 7)["rank"] == 7  # a judge that tells nothing apart


def test_the_median_is_one_over_items() -> None:
    found = bootstrap_mean([1, 3, 2, 90, 70], ["a", "a", "b", "c", "d"], median=True)
    assert found.mean == 36 and found.items == 4  # of 2, 2, 70, 90
    assert 2 <= found.low < found.high <= 90
