"""``pez generate FILE --image FOLDER``: each prompt starts from its own picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import CAPTURE
from PIL import Image

from pez.cli import main
from pez.generation.files import read_record

QUICK = [
    *("--generator", "mini-sd", "--device", "cpu", "--steps", "4"),
    *("--strength", "0.5", "--quiet"),
]


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures, two of one name, and what a search of them wrote."""
    monkeypatch.chdir(tmp_path)
    Path("photos/more").mkdir(parents=True)
    colours = {"a.png": (220, 30, 30), "b.png": (9, 99, 9), "more/b.png": (30, 30, 220)}
    for name, colour in colours.items():
        Image.new("RGB", (64, 64), colour).save(Path("photos") / name)
    rows = [
        {"prompt": "a boat", "targets": ["elsewhere/a.png"]},
        {"prompt": "a fish", "targets": ["photos/more/b.png"]},
    ]
    Path("found.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("found.csv").write_text("image,prompt\na.png,a boat\nmore/b.png,a fish\n")


def drawn(capsys: CAPTURE, *args: str) -> list[Path]:
    assert main(["generate", *args, *QUICK]) == 0
    return [Path(line) for line in capsys.readouterr().out.split()]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_each_prompt_starts_from_its_own_picture(capsys: CAPTURE) -> None:
    boat, fish = drawn(capsys, "found.jsonl", "--image", "photos", "--output", "each")
    told = read_record(boat)
    assert told is not None and told["prompt"] == "a boat"
    for path, prompt, picture in ((boat, "a boat", "a"), (fish, "a fish", "more/b")):
        (alone,) = drawn(capsys, prompt, "--image", f"photos/{picture}.png", "--output", "alone")
        assert (pixels(path) == pixels(alone)).all()
    assert drawn(capsys, "found.csv", "--image", "photos", "--output", "each") == [boat, fish]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a boat", "is a folder, for a file of prompts"),
        ("plain.txt", "does not say which picture"),
        ("lost.csv", "lost.csv, line 2: its picture c.png is not in photos"),
        ("many.jsonl", "many.jsonl, line 1: its prompt is of 2 pictures"),
        ("none.csv", "none.csv, line 2 names no picture"),
    ],
)
def test_a_prompt_without_its_picture_is_told(source: str, said: str, capsys: CAPTURE) -> None:
    Path("plain.txt").write_text("a boat\n")
    Path("lost.csv").write_text("image,prompt\nc.png,a boat\n")
    Path("none.csv").write_text("prompt,score\na boat,1\n")
    Path("many.jsonl").write_text('{"prompt": "a boat", "targets": ["a.png", "b.png"]}\n')
    assert main(["generate", source, "--image", "photos", *QUICK]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(Path().glob("pez-pictures/*.png"))
