"""Carrying out a plan: nothing is done twice, nothing stops it, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from common import SMALL_PLAN as PLAN

from pez.cli import main
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.show import Listener
from pez.evaluation.sizing import sizes, sizing_note
from pez.evaluation.store import Store
from pez.files import data_folder

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "web"
PAINT = '[[generators]]\nname = "mini-sd"\npictures = 2\noptions = { steps = 2 }\n'
paints = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)


def unit_files(folder: Path) -> dict[str, int]:
    """When each unit was written."""
    found = (folder / "units").rglob("*.*")
    return {f.relative_to(folder).as_posix(): f.stat().st_mtime_ns for f in found}


def content(folder: Path) -> dict[str, Any]:
    """What all units hold but the time they took."""
    out: dict[str, Any] = {}
    for file in sorted((folder / "units").rglob("*.*")):
        name = file.relative_to(folder).as_posix()
        out[name] = file.read_bytes()
        if file.suffix == ".json":
            out[name] = {k: v for k, v in json.loads(out[name]).items() if k != "seconds"}
    return out


def test_a_second_run_does_nothing_and_a_changed_plan_only_what_changed(tmp_path: Path) -> None:
    rows = evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    assert [r["error"] for r in rows] == [""] * 6
    assert all(r["prompt"] and -1 <= r["text_score"] <= 1 for r in rows)
    assert {r["search_score"] is None for r in rows if r["method"] == "caption"} == {True}
    before = unit_files(tmp_path)
    assert evaluate(parse_plan(PLAN), tmp_path, device="cpu") == rows
    assert unit_files(tmp_path) == before
    more = PLAN.replace("lengths = [3]", "lengths = [3, 2]").replace("count = 3", "count = 4")
    wider = evaluate(parse_plan(more), tmp_path, device="cpu")
    after = unit_files(tmp_path)
    assert {name: after[name] for name in before} == before
    new = [name.split("/")[1] for name in set(after) - set(before)]
    # three items x length 2; the fourth item x caption, 3, 2; a reading of each; a draw
    assert sorted(new) == ["draw"] + ["prompt"] * 6 + ["reading"] * 6
    assert [row for row in wider if row in rows] == rows
    assert len(wider) == 4 * 3


def test_failing_items_are_recorded_with_their_reason_and_stop_nothing(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    whole = (SAMPLES / "web-00.png").read_bytes()
    (data / "good.png").write_bytes(whole)
    (data / "good.txt").write_text("a caption")
    (data / "cut.png").write_bytes(whole[: len(whole) // 2])
    (data / "text.png").write_text("no picture")
    text = PLAN.replace('"samples"', '"folder"').replace('split = "web"', f'path = "{data}"')
    rows = {(r["item"], r["method"]): r for r in evaluate(parse_plan(text), run, device="cpu")}
    assert set(rows) == {(n, "pez") for n in ("good.png", "cut.png", "text.png")} | {
        ("good.png", "caption")
    }
    assert not rows["good.png", "pez"]["error"] and rows["good.png", "pez"]["prompt"]
    assert "cut off" in rows["cut.png", "pez"]["error"]
    assert "not a picture" in rows["text.png", "pez"]["error"]
    assert rows["text.png", "pez"]["prompt"] is None
    before = unit_files(run)
    evaluate(parse_plan(text), run, device="cpu")
    assert unit_files(run) == before  # what failed is not tried again and again
    (data / "text.png").write_bytes((SAMPLES / "web-01.png").read_bytes())
    rows = {
        (r["item"], r["method"]): r
        for r in evaluate(parse_plan(text), run, device="cpu", retry=True)
    }
    assert not rows["text.png", "pez"]["error"] and rows["text.png", "pez"]["prompt"]
    assert rows["cut.png", "pez"]["error"]


def test_weights_that_cannot_be_had_fail_their_units_alone(tmp_path: Path) -> None:
    text = 'readers = ["local-dir:/nowhere"]\nlanguage_model = "/nowhere"\n' + PLAN
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert {bool(r["error"]) for r in rows if r["judge"] != "mini-judge"} == {True}
    assert all(r["text_score"] is not None for r in rows if r["judge"] == "mini-judge")
    assert all("/nowhere" in r["error"] for r in rows)  # the perplexity is every row's


def test_prompts_made_elsewhere_enter_the_table(tmp_path: Path) -> None:
    photo = tmp_path / "new.png"
    photo.write_bytes((ROOT / "data" / "samples" / "art" / "art-01.png").read_bytes())
    same = tmp_path / "same.png"
    same.write_bytes((SAMPLES / "web-00.png").read_bytes())
    file = tmp_path / "rival.csv"
    file.write_text("item,prompt,method\nnew.png,a camera,rival\nsame.png,corn,rival\n")
    text = PLAN.replace("count = 3", "count = 15").partition("[[methods]]")[0]
    rows = evaluate(parse_plan(text), tmp_path / "run", prompts=file, device="cpu")
    rival = {r["item"]: r for r in rows if r["method"] == "rival"}
    assert set(rival) == {"new.png", "web-00"}  # known by its content
    assert rival["web-00"]["prompt"] == "corn" and rival["web-00"]["split"] == "web"
    assert rival["new.png"]["text_score"] > 0.2
    assert len(rows) == 15 + 2


def test_pace_is_measured_and_told_for_a_million(tmp_path: Path) -> None:
    from pez.evaluation.run import prepare

    plan, store = parse_plan(PLAN), Store(tmp_path)
    evaluate(plan, tmp_path, device="cpu")
    found = {size.kind: size for size in sizes(prepare(plan, store), store)}
    assert (found["prompt"].units, found["prompt"].done, found["reading"].units) == (6, 6, 6)
    units = [store.get("prompt", f.stem) for f in (tmp_path / "units" / "prompt").rglob("*.json")]
    spent = sum(unit.seconds for unit in units if unit)
    assert found["prompt"].seconds_an_item == pytest.approx(spent / 3)
    note = sizing_note(list(found.values()))
    each = sum(size.seconds_an_item for size in found.values())
    assert f"{each * 1e6 / 3600:,.0f} hours of one" in note


def test_the_command_counts_first_then_runs_and_tells_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, folder = tmp_path / "small.toml", tmp_path / "out"
    plan.write_text(PLAN)
    command = ["evaluate", str(plan), "--output", str(folder), "--device", "cpu"]
    assert main([*command, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "prompts: 6 units, 0 done" in told and "nothing was drawn yet" in told
    assert not folder.exists()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert [line.split()[2] for line in out.splitlines()] == ["method", "caption", "pez"]
    assert str(folder) in err
    assert main([*command, "--dry-run"]) == 0
    assert "prompts: 6 units, 6 done" in capsys.readouterr().out
    plan.write_text('language_model = "/nowhere"\n' + PLAN)
    assert main([*command, "--json"]) == 2
    out, err = capsys.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 6
    assert "6 of 6 rows failed" in err and "/nowhere" in err
    plan.write_text("[data]\ndataset = 'samples'")
    assert main(command) == 2
    assert "asks for no prompts" in capsys.readouterr().err


def test_ctrl_c_leaves_what_is_done_and_the_next_run_goes_on(tmp_path: Path) -> None:
    class Pressing(Listener):
        def step(self, failed: bool) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(parse_plan(PLAN), tmp_path, device="cpu", listener=Pressing())
    before = unit_files(tmp_path)
    found = [f for f in before if f.startswith("units/prompt")]
    assert len(found) == 3 + 1  # the captions need no search
    rows = evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    assert all(r["text_score"] is not None for r in rows)
    assert {f: t for f, t in unit_files(tmp_path).items() if f in before} == before


@paints
def test_killed_ten_times_at_random_moments_ends_as_if_undisturbed(tmp_path: Path) -> None:
    plan, calm, killed = (tmp_path / name for name in ("plan.toml", "calm", "killed"))
    plan.write_text(PLAN + PAINT)
    script = [
        sys.executable,
        str(ROOT / "tests" / "helpers" / "killed_run.py"),
        str(plan),
        str(calm),
    ]
    threads = str(torch.get_num_threads())
    done = subprocess.run(
        [*script, str(killed), threads],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == 10
    whole = content(calm)
    assert len(whole) == 1 + 6 + 2 * 12 + 12 + 6  # a draw, prompts, pictures, scores, readings
    assert content(killed) == whole
    assert not list(killed.rglob(".parts/*"))
