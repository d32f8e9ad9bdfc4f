"""Kinds of units and data sets are registries: one file and one line add one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from common import SMALL_PLAN
from PIL import Image

import pez
from pez.cli import main
from pez.datasets import DATASETS
from pez.datasets.item import Example
from pez.errors import PezError
from pez.evaluation.kinds import KINDS
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.table import COLUMNS, read_rows
from pez.files import data_folder
from pez.images import read_bytes

PAINT = '[[generators]]\nname = "mini-sd"\noptions = { steps = 1 }\n'
LETTERS = '[[measures]]\nname = "letters"\n'
paints = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each of two more kinds."""
    monkeypatch.setitem(KINDS, "letters", "toy_kinds:Letters")
    monkeypatch.setitem(KINDS, "grey", "toy_kinds:Greys")


def test_a_new_kind_is_done_stored_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(SMALL_PLAN + LETTERS)
    command = ["evaluate", str(plan), "--output", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*command, "--dry-run"]) == 0
    assert "letters of prompts: 6 units, 0 done" in capsys.readouterr().out
    assert main(command) == 0
    assert "letters of prompts: 6 to do" in capsys.readouterr().err
    rows = read_rows(tmp_path / "run")
    assert len(rows) == 6 and {*COLUMNS, "letters", "grey"} <= set(rows[0])
    for row in rows:
        assert row["letters"] == sum(map(str.isalpha, row["prompt"])) > 0
        assert row["text_score"] is not None and row["judge"] == "mini-judge"
    written = pez.report(tmp_path / "run")
    assert "Letters: letters of the prompt." in written.page.read_text(encoding="utf-8")
    with written.page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        figures = {row["method"]: float(row["letters"]) for row in csv.DictReader(file)}
    mine = [row["letters"] for row in rows if row["method"] == "pez"]
    assert figures["pez"] == pytest.approx(sum(mine) / 3)


def test_a_new_kind_is_done_once_and_anew_with_other_options(tmp_path: Path) -> None:
    def files() -> set[str]:
        return {file.stem for file in tmp_path.glob("units/letters/*/*.json")}

    rows = evaluate(parse_plan(SMALL_PLAN), tmp_path, device="cpu")
    assert {row["letters"] for row in rows} == {None} and not files()  # no plan asked for it
    evaluate(parse_plan(SMALL_PLAN + LETTERS), tmp_path, device="cpu")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("units/*/*/*")}
    assert len(files()) == 6
    evaluate(parse_plan(SMALL_PLAN + LETTERS), tmp_path, device="cpu")
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("units/*/*/*")} == before
    text = SMALL_PLAN + LETTERS + 'options = { without = "aeiou" }\n'
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert len(files()) == 12
    for row in rows:
        assert row["letters"] == sum(c.isalpha() and c not in "aeiou" for c in row["prompt"])


@paints
def test_a_new_kind_of_pictures_keeps_a_file_beside_its_record(tmp_path: Path) -> None:
    text = 'judges = ["mini-judge", "mini-b"]\n' + SMALL_PLAN + PAINT
    rows = evaluate(parse_plan(text + '[[measures]]\nname = "grey"\n'), tmp_path, device="cpu")
    greys = {row["picture"]: row["grey"] for row in rows}
    assert len(rows) == 12 and len(greys) == 6  # in the rows of both judges
    for picture, grey in greys.items():
        with Image.open(tmp_path / picture) as file:
            assert grey == file.convert("RGB").convert("L").resize((1, 1)).getpixel((0, 0))
    kept = list(tmp_path.glob("units/grey/*/*.png"))
    assert len(kept) == 6 and all(Image.open(file).mode == "L" for file in kept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'lettres'", "measures.name: unknown 'lettres'; did you mean letters"),
        ("name = 'score'", "measures.name: unknown 'score'"),  # a plan names it through `judges`
        ("name = 'letters'\noptions = { witout = 1 }", "measure letters: unknown 'witout'"),
        ("name = 'letters'\n[[measures]]\nname = 'letters'", "holds 'letters' twice"),
    ],
)
def test_measures_that_cannot_be_are_named(text: str, message: str) -> None:
    with pytest.raises(PezError, match=message):
        parse_plan(f"{SMALL_PLAN}[[measures]]\n{text}\n")


def test_a_run_of_kinds_that_are_gone_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = evaluate(parse_plan(SMALL_PLAN + LETTERS), tmp_path, device="cpu")
    monkeypatch.delitem(KINDS, "letters")
    left = [{name: row[name] for name in row if name != "letters"} for row in rows]
    assert read_rows(tmp_path) == left


def load(split: str, path: str) -> Iterator[Example]:
    """The toy data set: one shipped picture."""
    source = str(data_folder() / "samples" / "web" / "web-02.png")
    yield Example("only", ("a caption",), {}, source, partial(read_bytes, source))


def test_a_new_data_set_is_evaluated_on_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "toy", (f"{__name__}:load", "one picture"))
    text = SMALL_PLAN.replace('"samples"', '"toy"').replace('split = "web"\n', "")
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    assert [(row["item"], row["method"]) for row in rows] == [("only", "caption"), ("only", "pez")]
    assert {row["error"] for row in rows} == {""}
    assert main(["datasets"]) == 0
    assert "one picture" in capsys.readouterr().out
