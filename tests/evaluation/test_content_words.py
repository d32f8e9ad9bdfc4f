"""Right content words: counted against every caption of the picture, stored and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from common import SMALL_PLAN
from PIL import Image

import pez
from pez.evaluation.kinds.content_words import counted
from pez.evaluation.originals import drawn_before
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.store import Store
from pez.evaluation.tasks.task import joined
from pez.evaluation.units import Original

CAPTIONS = (
    "Two men ride brown horses on the beach.",
    "People riding horses near the sea",
    "A man and a woman on horseback",
)
WORDS = '[[measures]]\nname = "content-words"\n'


def figures(prompt: str, captions: tuple[str, ...] = CAPTIONS) -> tuple[Any, ...]:
    return tuple(counted(prompt, captions).values())


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("horse, women, beaches, dog", (4, 3, 1, 1, 1, 0.75)),
        ("horses horse HORSE's", (1, 1, 1, 0, 0, 1.0)),  # each lemma once
        ("people, cat", (2, 1, 1, 0, 0, 0.5)),
        ("a photo of the two", (0, 0, 0, 0, 0, 0.0)),  # function words never count
        ("riding man", (2, 2, 1, 1, 0, 1.0)),
        ("zebra", (1, 0, 0, 0, 0, 0.0)),
        ("", (0, 0, 0, 0, 0, 0.0)),
    ],
)
def test_right_words_are_counted(prompt: str, wanted: tuple[Any, ...]) -> None:
    assert figures(prompt) == wanted


def test_a_caption_is_counted_against_the_others() -> None:
    # man, ride, brown, horse, beach; without itself the others have man, ride and horse
    assert figures(CAPTIONS[0]) == (5, 3, 1, 1, 1, 0.6)
    assert figures(CAPTIONS[0] + " ") == figures(CAPTIONS[0])
    assert figures(CAPTIONS[0], CAPTIONS[:1]) == (None,) * 6


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """A plan of three pictures with captions beside them; the last has none."""
    data = tmp_path / "data"
    data.mkdir()
    for n in range(3):
        Image.new("RGB", (16, 16), (90 * n, 40, 0)).save(data / f"p{n}.png")
    (data / "p0.txt").write_text("\n".join(CAPTIONS))
    (data / "p1.txt").write_text("a cat on a mat\na kitten\n")
    return SMALL_PLAN.replace('"samples"', '"folder"').replace('split = "web"', f'path = "{data}"')


def test_a_plan_keeps_all_captions_and_counts_against_them(plan: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rows = evaluate(parse_plan(plan + WORDS), run, device="cpu")
    assert [row["error"] for row in rows] == [""] * len(rows)
    captions = {"p0.png": CAPTIONS, "p1.png": ("a cat on a mat", "a kitten")}
    assert len(rows) == 3 + 2
    for row in rows:
        wanted = counted(row["prompt"], captions.get(row["item"], ()))
        assert {name: row[name] for name in wanted} == wanted
    mine = [row for row in rows if row["method"] == "caption"]
    assert {row["right_words"] for row in mine} == {3, 0}
    page = pez.report(run).page.read_text(encoding="utf-8")
    assert "right words" in page and "At least" not in page
    drawn = drawn_before(parse_plan(plan + WORDS), Store(run))
    assert drawn and {o.item: o.captions for o in drawn} == {"p2.png": ()} | captions


def test_a_second_run_counts_nothing_again_and_other_captions_do(plan: str, tmp_path: Path) -> None:
    def counts() -> dict[str, int]:
        files = (tmp_path / "run" / "units" / "content-words").rglob("*.json")
        return {file.stem: file.stat().st_mtime_ns for file in files}

    evaluate(parse_plan(plan + WORDS), tmp_path / "run", device="cpu")
    before = counts()
    assert len(before) == 4
    evaluate(parse_plan(plan + WORDS), tmp_path / "run", device="cpu")
    assert counts() == before


def as_before(run: Path) -> None:
    """The draws as earlier versions stored them: one caption of each item."""
    for file in (run / "units" / "draw").rglob("*.json"):
        record = json.loads(file.read_text())
        for item in record["out"]["items"]:
            del item["captions"]
        file.write_text(json.dumps(record))


def test_a_run_of_an_earlier_version_goes_on(plan: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rows = evaluate(parse_plan(plan), run, device="cpu")
    as_before(run)
    (tmp_path / "data").rename(tmp_path / "gone")
    assert evaluate(parse_plan(plan), run, device="cpu") == rows  # without its data
    found = drawn_before(parse_plan(plan), Store(run))
    assert found and found[0].captions == ((found[0].caption,) if found[0].caption else ())
    with pytest.raises(pez.PezError, match="not a folder"):  # not counted against one caption
        evaluate(parse_plan(plan + WORDS), run, device="cpu")
    (tmp_path / "gone").rename(tmp_path / "data")
    before = {f: f.stat().st_mtime_ns for f in (run / "units" / "prompt").rglob("*.json")}
    again = evaluate(parse_plan(plan + WORDS), run, device="cpu")
    assert [row["prompt"] for row in again] == [row["prompt"] for row in rows]
    assert {f: f.stat().st_mtime_ns for f in before} == before
    assert {row["right_words"] for row in again if row["method"] == "caption"} == {3, 0}


@pytest.mark.parametrize("captions", ['"a cat"', "[1, 2]", "null", "[[]]"])
def test_a_damaged_list_of_captions_is_drawn_again(
    plan: str, tmp_path: Path, captions: str
) -> None:
    rows = evaluate(parse_plan(plan + WORDS), tmp_path / "run", device="cpu")
    for file in (tmp_path / "run" / "units" / "draw").rglob("*.json"):
        record = json.loads(file.read_text())
        record["out"]["items"][0]["captions"] = json.loads(captions)
        file.write_text(json.dumps(record))
    assert drawn_before(parse_plan(plan + WORDS), Store(tmp_path / "run")) is None
    assert evaluate(parse_plan(plan + WORDS), tmp_path / "run", device="cpu") == rows


def test_several_pictures_have_the_captions_of_all() -> None:
    one, two = (
        Original("d", "", f"{n}", f"{n}", f"{n}.png", texts[0], "", 0, captions=texts)
        for n, texts in enumerate((("a cat", "a kitten"), ("a cat", "a dog")))
    )
    assert joined((one, two), "both", "").captions == ("a cat", "a kitten", "a dog")
