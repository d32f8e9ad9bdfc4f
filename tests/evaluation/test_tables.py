"""The plans in benchmarks/, and the script that remakes and checks their tables."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import pytest
from common import SMALL_PLAN as PLAN

from pez.evaluation.expand import expand
from pez.evaluation.judges import JUDGE
from pez.evaluation.plan_file import read_plan
from pez.evaluation.sizing import placeholders
from pez.evaluation.subjects import subjects

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
OTHERS = {
    BENCHMARKS / f"{name}.toml"
    for name in ("methods", "factorial", "factorial-chosen", "friends", "ideas")
}
PLANS = sorted({*BENCHMARKS.rglob("*.toml")} - OTHERS)  # those are no plans of pez evaluate
TABLES = {"table1", "length", "distill", "transfer", "style", "mix"}
TABLES |= {"classify", "classify-transfer"}

sys.path.insert(0, str(BENCHMARKS.parent))
from benchmarks import hours, tables  # noqa: E402


def test_each_table_has_a_small_plan_and_a_real_one() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.toml")} >= TABLES
    assert {path.stem for path in (BENCHMARKS / "real").glob("*.toml")} == TABLES


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.relative_to(BENCHMARKS).as_posix())
def test_every_plan_can_be_read_and_expanded_without_a_network(path: Path) -> None:
    plan = read_plan(path)
    nodes = expand(plan, subjects(plan, placeholders(plan)), str)
    assert {node.way.how for node in nodes} >= {"search", "text"}
    assert all(bool(node.pictures) == bool(plan.generators) for node in nodes) and plan.title
    assert all(p.scores for node in nodes if not node.hidden for p in node.pictures)
    if path.parent.name == "real":
        assert plan.judges == (() if plan.task.labelled else (JUDGE,))
        head = path.read_text(encoding="utf-8").partition("title = ")[0]
        said = re.search(r"About \d+ GPU hours \([^)]*\)", head)
        assert said and said[0].lower() == hours.summary(plan).lower()


def test_hours_are_those_of_a_search_worked_out_by_hand() -> None:
    plan = read_plan(BENCHMARKS / "real" / "length.toml")
    nodes = expand(plan, subjects(plan, placeholders(plan)), str)
    way = next(n.way for n in nodes if n.way.label == "pez" and n.way.length == 16)
    tower = 24 * 12 * 1024**2  # parameters
    wanted = 3000 * (2 * 2 * tower * 18 + 2 * 34_277 * 1024 * 16) / 10e12
    assert hours.search_seconds(way) == pytest.approx(wanted)


def test_hours_of_language_models_are_worked_out_by_hand() -> None:
    plan = read_plan(BENCHMARKS / "real" / "classify.toml")
    nodes = expand(plan, subjects(plan, placeholders(plan)), str)
    way = next(n.way for n in nodes if n.way.label == "pez" and n.way.length == 10)
    assert way.options is not None
    reads = 1000 * 2 * 32 * (25 + 10 + 2) + 32 * 25 + 64 * 2 * 4 * (25 + 10 + 2)  # tokens
    assert hours.label_search_seconds(way, plan.data[0]) == pytest.approx(
        way.options.restarts * reads * 2 * 774e6 / 10e12
    )


def test_a_table_is_remade_checked_and_what_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, folder = tmp_path / "small.toml", tmp_path / "run"
    plan.write_text(PLAN)
    assert tables.remake(plan, folder, check=True) == 1
    assert "no " in capsys.readouterr().out and not folder.exists()
    assert tables.remake(plan, folder) == 0
    page = plan.with_suffix(".md").read_text(encoding="utf-8")
    assert re.search(r"\| caption \| 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] \|", page)
    assert tables.remake(plan, folder, check=True) == 0
    assert "every committed mean is within its interval" in capsys.readouterr().out
    with plan.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    (moved,) = [row for row in rows if row["method"] == "pez"]
    moved["text_score"] = str(float(moved["text_score_high"]) + 0.01)
    rows[0]["method"] = "somebody"
    with plan.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert tables.remake(plan, folder, check=True) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "samples, somebody, mini-judge as judge",
        "samples, caption, mini-judge as judge",
        "samples, pez 3, searched mini, mini-judge as judge",
    ]
    was = f"text_score was {float(moved['text_score']):.3f}, now"
    assert was in told[2] and "no longer there" in told[0] and "not among" in told[1]


def test_one_item_has_no_interval_and_is_compared_as_it_is() -> None:
    row = {"similarity": "0.5", "similarity_low": "", "similarity_high": ""}
    assert tables.within(0.5004, row, "similarity") and not tables.within(0.51, row, "similarity")
    assert tables.cell(row, "similarity") == "0.500"
