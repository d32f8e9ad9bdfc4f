"""The benchmark of photographs: what is absent is skipped, what is there has its tables."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from common import ROOT

import pez
from pez.evaluation.plan_file import read_plan
from pez.evaluation.run import evaluate

sys.path.insert(0, str(ROOT))
from benchmarks import photographs

REAL = next(
    (
        folder
        for folder in (parent / "shared" / "data" for parent in ROOT.parents[:2])
        if (folder / "flickr1000").is_dir()
    ),
    None,
)


def test_photographs_that_are_absent_are_skipped_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "coco.tsv").write_text("image_id\tcaption\n")
    found, absent = photographs.parts_in(tmp_path, 0, [])
    assert not found and [text.split()[0] for text in absent] == ["coco", "flickr"]
    (tmp_path / "coco_val_mini").mkdir()
    (coco,), (left,) = photographs.parts_in(tmp_path, 5, [])
    assert (coco.count, coco.path) == (5, str(tmp_path / "coco_val_mini"))
    assert left.startswith("flickr is skipped:")


@pytest.mark.skipif(REAL is None, reason="no real photographs here")
def test_photographs_have_tables_of_words_and_ranks(tmp_path: Path) -> None:
    assert REAL is not None
    plan = read_plan(photographs.HERE / "photographs.toml")
    found, _ = photographs.parts_in(REAL, 4, ["flickr"])
    known = {"judges": ("mini-judge",), "readers": (), "models": (("mini",),)}
    plan = replace(plan, data=tuple(found), methods=plan.methods[-1:], **known)
    rows = evaluate(plan, tmp_path, device="cpu")
    assert {row["error"] for row in rows} == {""} and len(rows) == 4 * 3
    with pez.report(tmp_path).page.with_suffix(".csv").open(newline="") as file:
        text = photographs.markdown(list(csv.DictReader(file)), plan)
    assert "## flickr: 4 photographs" in text
    heads = [line for line in text.splitlines() if line.startswith("| prompts")]
    assert "right words" in heads[0] and "median rank" in heads[1] and len(heads) == 2
    cells = next(line for line in text.splitlines() if line.startswith("| caption")).split("|")
    assert float(cells[3].split()[0]) >= 1  # people agree in a word at least
