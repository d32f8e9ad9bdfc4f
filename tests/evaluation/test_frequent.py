"""The baseline of the most frequent words, and data sets of which only the last items are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from common import SMALL_PLAN
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pez.errors import PezError
from pez.evaluation.frequent import most_frequent, training_captions
from pez.evaluation.lemmas import content_words
from pez.evaluation.originals import drawn_before
from pez.evaluation.plan_entries import Data
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.store import Store

CAPTIONS = ["Two dogs run", "A dog running", "dogs on the beach", "a cat", "a red cat", "the sea"]


def test_words_of_most_captions_come_first_in_their_usual_form() -> None:
    # dog 3, cat 2, run 2; each of the others 1
    assert most_frequent(CAPTIONS, 3) == ["dogs", "cat", "run"]
    assert most_frequent(CAPTIONS, 5) == ["dogs", "cat", "run", "beach", "red"]
    assert most_frequent(["the of", ""], 3) == []
    assert most_frequent(["dog dog dog", "cat", "a cat"], 1) == ["cat"]  # by captions


@given(st.lists(st.sampled_from(CAPTIONS), max_size=20), st.integers(1, 6))
def test_the_list_does_not_depend_on_the_order(captions: list[str], count: int) -> None:
    found = most_frequent(captions, count)
    assert found == most_frequent(captions[::-1], count)
    lemmas = [content_words(word)[0] for word in found]
    assert len(set(lemmas)) == len(found) <= count
    counts = [sum(lemma in content_words(text) for text in captions) for lemma in lemmas]
    assert counts == sorted(counts, reverse=True)


def written(folder: Path, name: str) -> Path:
    file = folder / name
    lines = [f"{n},{text}" for n, text in enumerate(CAPTIONS)]
    rows = {
        ".txt": "\n".join(CAPTIONS),
        ".csv": "\n".join(["image,caption", *lines]),
        ".tsv": "\n".join(["image\tcaption", *(line.replace(",", "\t") for line in lines)]),
        ".json": json.dumps({"annotations": [{"caption": text} for text in CAPTIONS]}),
    }
    file.write_text(rows[file.suffix])
    return file


@pytest.mark.parametrize("end", [".txt", ".csv", ".tsv", ".json"])
def test_training_captions_are_read_from_files(tmp_path: Path, end: str) -> None:
    file = written(tmp_path, f"captions{end}")
    assert list(training_captions(Data("folder", training=str(file)))) == CAPTIONS


def test_a_quote_in_a_table_of_tabs_is_a_sign(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text('image\tcaption\n1\t"a dog" runs\n2\t"a cat\n')
    assert list(training_captions(Data("folder", training=str(file)))) == ['"a dog" runs', '"a cat']


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """Three pictures with captions, and a split of others."""
    for split, texts in (("test", CAPTIONS[3:]), ("train", [*CAPTIONS, CAPTIONS[4]])):
        (tmp_path / split).mkdir()
        for n, text in enumerate(texts):
            Image.new("RGB", (8, 8), (40 * n, 90, 0)).save(tmp_path / split / f"p{n}.png")
            (tmp_path / split / f"p{n}.txt").write_text(text)
    data = f'dataset = "folder"\npath = "{tmp_path}"\ntraining = "train"\n'
    text = SMALL_PLAN.replace('dataset = "samples"\n', data).replace("web", "test")
    return "frequent = 2\n" + text.replace('["caption"]', '["caption", "frequent"]')


def test_every_picture_gets_the_words_of_other_captions(plan: str, tmp_path: Path) -> None:
    rows = evaluate(parse_plan(plan), tmp_path / "run", device="cpu")
    assert [row["error"] for row in rows] == [""] * 9
    found = {row["item"]: row["prompt"] for row in rows if row["method"] == "frequent"}
    # without the captions of the three: dogs, run
    assert found == dict.fromkeys((f"test/p{n}.png" for n in range(3)), "dogs, run")
    assert {row["search_model"] for row in rows if row["method"] == "frequent"} == {""}
    again = evaluate(parse_plan(plan.replace("= 2\n", "= 1\n", 1)), tmp_path / "run", device="cpu")
    assert {row["prompt"] for row in again if row["method"] == "frequent"} == {"dogs"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('training = "train"\n', "", "training = FILE or SPLIT"),
        ('"caption", "frequent"', '"caption"', "add it to baselines"),
        ('"train"', '"trian"', "no folder for split 'trian'"),
        ('"train"', '"/nowhere.csv"', "/nowhere.csv"),
        ("frequent = 2", "frequent = 0", "frequent must be"),
        ("count = 3", "count = 3\nlast = 2", "at least data.count"),
    ],
)
def test_plans_that_cannot_be_are_named(
    plan: str, tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(PezError, match=message):
        evaluate(parse_plan(plan.replace(old, new)), tmp_path / "run", device="cpu")


def test_training_captions_that_are_all_the_plans_own_are_refused(
    plan: str, tmp_path: Path
) -> None:
    text = plan.replace('"train"', '"test"')
    with pytest.raises(PezError, match="no words beside the plan's own"):
        evaluate(parse_plan(text), tmp_path / "run", device="cpu")


def test_only_the_last_items_are_drawn(plan: str, tmp_path: Path) -> None:
    text = SMALL_PLAN.replace('"samples"', '"folder"').replace('"web"', '"train"')
    text = text.replace("count = 3", f'path = "{tmp_path}"\ncount = 3\nlast = 4')
    rows = evaluate(parse_plan(text), tmp_path / "run", device="cpu")
    items = {row["item"] for row in rows}
    assert len(items) == 3 and items < {f"train/p{n}.png" for n in range(3, 7)}
    other = evaluate(parse_plan(text.replace("last = 4", "")), tmp_path / "run", device="cpu")
    assert {row["item"] for row in other} != items  # a draw of its own


def test_the_words_are_kept_with_the_run(plan: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert drawn_before(parse_plan(plan), Store(run)) is None
    rows = evaluate(parse_plan(plan), run, device="cpu")
    before = {file: file.stat().st_mtime_ns for file in (run / "units").rglob("*.json")}
    (tmp_path / "train").rename(tmp_path / "gone")
    assert evaluate(parse_plan(plan), run, device="cpu") == rows
    assert {file: file.stat().st_mtime_ns for file in before} == before
    drawn = drawn_before(parse_plan(plan), Store(run))
    assert drawn and {original.frequent for original in drawn} == {"dogs, run"}
    assert drawn_before(parse_plan(plan.replace("= 2\n", "= 1\n", 1)), Store(run)) is None
