"""What is left to the lot is drawn by the seed, and recorded as it was drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from tiny_pipelines import options

from pez.cli import main
from pez.errors import PezError
from pez.generation import generate, open_painter
from pez.generation.files import read_record
from pez.generation.wildcards import drawn_by_lot, is_by_lot


def test_every_variant_is_drawn_and_a_seed_keeps_its_own() -> None:
    drawn = [drawn_by_lot("a {3::red|blue} boot", seed) for seed in range(400)]
    assert drawn == [drawn_by_lot("a {3::red|blue} boot", seed) for seed in range(400)]
    counts = Counter(drawn)
    assert set(counts) == {"a red boot", "a blue boot"}
    assert 260 < counts["a red boot"] < 340


def test_several_variants_within_variants() -> None:
    pairs = {drawn_by_lot("{2$$x|y|z}", seed) for seed in range(60)}
    assert pairs == {f"{a}, {b}" for a in "xyz" for b in "xyz" if a != b}
    assert {drawn_by_lot("{1-2$$ and $$x|y}", s) for s in range(60)} == {
        *("x", "y", "x and y", "y and x")
    }
    assert {drawn_by_lot("a {b {c|d}|e}", s) for s in range(60)} == {"a b c", "a b d", "a e"}
    assert {drawn_by_lot("{[a|b]|c}", s) for s in range(60)} == {"[a|b]", "c"}


def test_plain_braces_stay() -> None:
    for text in ("a {boot}", r"\{a|b\}", "{a|b", "a|b", "snake__case", "a ______ b"):
        assert drawn_by_lot(text, 1) is text or drawn_by_lot(text, 1) == text
        assert not is_by_lot(text)


def test_lines_of_files_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "colour.txt").write_text("# of boots\nred\n{dark|light} __more/hue__\n\n")
    (tmp_path / "more" / "hue.txt").write_text("blue\n")
    drawn = {drawn_by_lot("a __colour__ boot", seed, str(tmp_path)) for seed in range(60)}
    assert drawn == {"a red boot", "a dark blue boot", "a light blue boot"}
    with pytest.raises(PezError, match="--wildcards, or --literal"):
        drawn_by_lot("a __colour__ boot", 0)
    with pytest.raises(PezError, match=r"no shape\.txt"):
        drawn_by_lot("__shape__", 0, str(tmp_path))
    (tmp_path / "endless.txt").write_text("__endless__ __endless__\n")
    with pytest.raises(PezError, match="without end"):
        drawn_by_lot("__endless__", 0, str(tmp_path))
    with pytest.raises(PezError, match="2 variants to choose from, not 3"):
        drawn_by_lot("{3$$a|b}", 0)


def test_a_template_leaves_nothing_to_the_lot() -> None:
    for more in ({"template": "a {red|blue} {}"}, {"negative": "{dark|light}"}):
        with pytest.raises(PezError, match="prompts alone"):
            open_painter(options(**more)).encoding.read("boot")


def test_the_chosen_prompt_is_recorded_and_draws_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = 'a {red|blue} "boot", [on red:on green:1]'
    flags = ["--generator", "mini-sd", "--steps", "2", "--device", "cpu", "--rows", "1"]
    args = [*flags, "--output", str(tmp_path), "--json", "--quiet"]
    assert main(["generate", typed, *args, "--count", "4"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["prompt"] for row in rows} == {
        f'a {one} "boot", [on red:on green:1]' for one in ("red", "blue")
    }
    for row in rows[:2]:
        with Image.open(row["path"]) as picture:
            told = picture.text["parameters"]  # type: ignore[attr-defined]
            pixels = picture.tobytes()
        assert told.startswith(row["prompt"] + "\n")
        assert f"Template: {json.dumps(typed)}" in told
        assert (read_record(Path(row["path"])) or {})["typed"] == typed
        (plain,) = generate(row["prompt"], options=options(guidance=-1.0, seed=row["seed"]))
        assert plain.image.tobytes() == pixels
    # again: nothing is drawn, and what is recorded can be drawn from the picture
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.glob("a-*.png"))
    assert main(["generate", typed, *args, "--count", "4"]) == 0
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.glob("a-*.png")) == before
    capsys.readouterr()
    assert main(["generate", "--from", rows[1]["path"], *args]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == rows[1]["path"]
