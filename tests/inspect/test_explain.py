"""What each word of a prompt adds: by leaving it out, and by the gradient."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import CAPTURE, lines
from PIL import Image

import pez
from pez.cli import main
from pez.generation.files import read_record
from pez.inspect.bars import draw_bars
from pez.inspect.explain import COLUMNS
from pez.models import Reader
from pez.models.openclip import OpenClip

PROMPT = "butterfly, small, pixel, waves"


@pytest.fixture(scope="module")
def picture(pictures: list[Image.Image]) -> Image.Image:
    return pictures[0]


def test_a_word_adds_what_the_score_falls_without_it(picture: Image.Image, mini: Reader) -> None:
    found = pez.explain(picture, PROMPT, reader=mini)
    assert [word.word for word in found.words] == PROMPT.split(", ")
    assert found.score == pytest.approx(pez.score(picture, PROMPT, reader=mini), abs=1e-6)
    without = {"butterfly": "small, pixel, waves", "pixel": "butterfly, small, waves"}
    for word in found.words:
        if word.word in without:
            less = pez.score(picture, without[word.word], reader=mini)
            assert word.adds == pytest.approx(found.score - less, abs=1e-6)
    assert all(word.redundant == (word.adds <= found.margin) for word in found.words)


def test_the_gradient_is_the_slope_along_a_words_embeddings(
    picture: Image.Image, mini: Reader
) -> None:
    prompt = "a neon butterflies on dusk"
    found = pez.explain(picture, prompt, reader=mini)
    target = mini.encode_images([picture])[0]
    ids = torch.tensor(mini.tokens.encode(prompt))
    begin, step = 0, 1e-2
    for word in found.words:
        end, (view,) = begin + len(word.views[0].tokens), word.views
        reached = []
        for scale in (1 + step, 1 - step):
            rows = mini.table[ids].clone()
            rows[begin:end] *= scale
            reached.append(float(mini.features(rows[None])[0] @ target))
        slope = (reached[0] - reached[1]) / (2 * step)
        assert view.gradient == pytest.approx(slope, abs=2e-4)
        begin = end
    assert begin == len(ids)
    assert max(abs(word.views[0].gradient) for word in found.words) > 1e-3


def test_words_of_several_tokens_are_one_and_commas_are_none(
    picture: Image.Image, mini: Reader
) -> None:
    found = pez.explain(picture, "a (watercolour-like) Antidisestablishment,castle!", reader=mini)
    words = [word.word for word in found.words]
    assert words == ["a", "watercolour-like", "Antidisestablishment", "castle"]
    assert len(found.words[2].views[0].tokens) > 1
    with pytest.raises(pez.PezError, match="no word"):
        pez.explain(picture, " , ;", reader=mini)


def test_what_is_said_twice_is_redundant_once(picture: Image.Image, mini: Reader) -> None:
    """Each of two equal words may go, but not both."""
    target = "a butterfly"
    found = pez.explain(target, "butterfly butterfly", text=True, margin=0.2, reader=mini)
    assert [word.redundant for word in found.words] == [True, True]
    assert found.shorter == "butterfly"
    assert found.shorter_score >= found.score - 0.2
    again = pez.explain(target, found.shorter, text=True, reader=mini)
    assert again.score == pytest.approx(found.shorter_score, abs=1e-6)


def test_the_words_left_out_together_cost_at_most_the_margin(
    picture: Image.Image, mini: Reader
) -> None:
    prompt = "a butterfly and a small butterfly in pixel art on blue waves"
    for margin in (0.0, 0.02, 0.2):
        found = pez.explain(picture, prompt, margin=margin, reader=mini)
        assert found.shorter_score >= found.score - margin - 1e-6
        real = pez.score(picture, found.shorter, reader=mini)
        assert real == pytest.approx(found.shorter_score, abs=1e-6)
        assert found.shorter == prompt or len(found.shorter) < len(prompt)


def test_words_beyond_the_limit_add_nothing(
    picture: Image.Image, reader: Callable[[str], OpenClip]
) -> None:
    short = reader("short")
    words = ["red", "blue", "green", "dog", "tree", "boat", "star", "cat"]
    prompt = " ".join([*(words * 9)[: short.limit], "butterfly", "castle"])
    with pytest.warns(pez.PezWarning, match="reads only the first"):
        found = pez.explain(picture, prompt, reader=short)
    last = found.words[-2:]
    assert [word.views[0].reads for word in last] == [0, 0]
    assert all(word.adds == 0 == word.views[0].gradient and word.redundant for word in last)
    assert all(word.views[0].reads for word in found.words[:-2])
    assert "butterfly" not in found.shorter and "castle" not in found.shorter


def test_each_model_answers_for_itself(
    picture: Image.Image, mini: Reader, reader: Callable[[str], OpenClip]
) -> None:
    """They need not share a tokenizer."""
    other = reader("siglip2")
    said: list[str] = []
    both = pez.explain(picture, PROMPT, reader=[mini, other], warn=said.append)
    singles = [pez.explain(picture, PROMPT, reader=one, warn=said.append) for one in (mini, other)]
    assert len(said) == 2  # the second reads only its beginning
    assert both.models == (mini.name, other.name)
    for n, single in enumerate(singles):
        assert both.scores[n] == pytest.approx(single.score, abs=1e-6)
        for word, own in zip(both.words, single.words, strict=True):
            assert word.views[n].adds == pytest.approx(own.adds, abs=1e-6)
    for word in both.words:
        assert word.adds == pytest.approx(sum(view.adds for view in word.views) / 2, abs=1e-6)
    assert draw_bars(both).height > draw_bars(singles[0]).height


@pytest.mark.usefixtures("mini_at_hand")
def test_the_command_prints_a_table_and_writes_bars_and_rows(folder: Path, capsys: CAPTURE) -> None:
    words = ["explain", "photos/p0.png", PROMPT, "--model", "mini"]
    files = ["--csv", "bars.csv", "--output", "bars.png"]
    assert main([*words, *files]) == 0
    out, err = capsys.readouterr()
    shown = lines(out)
    assert shown[0].split() == ["adds", "gradient", "word"]
    assert [line.split()[2] for line in shown[1:5]] == PROMPT.split(", ")
    assert "redundant" in err.lower()
    rows = list(csv.DictReader((folder / "bars.csv").open()))
    assert [row["word"] for row in rows] == PROMPT.split(", ") and tuple(rows[0]) == COLUMNS
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    record = read_record(folder / "bars.png")
    assert record is not None and record["words"] == found["words"]
    for row, line, word in zip(rows, shown[1:], found["words"], strict=False):
        assert float(row["adds"]) == pytest.approx(word["adds"], abs=1e-6)
        assert float(re.findall(r"-?\d\.\d{4}", line)[0]) == pytest.approx(word["adds"], abs=1e-4)
    assert main([*words, *files]) == 0  # what pez wrote is replaced


@pytest.mark.usefixtures("mini_at_hand")
@pytest.mark.parametrize(
    "more",
    [
        ["--output", "bars.jpg"],
        ["--output", "photos/p0.png"],
        ["--csv", "mine.csv"],
        ["--margin", "-1"],
        ["--text"],
    ],
    ids=lambda more: " ".join(more),
)
def test_bad_input_is_refused_and_nothing_is_replaced(
    more: list[str], folder: Path, capsys: CAPTURE
) -> None:
    (folder / "mine.csv").write_text("name,price\nbread,3\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    image = "photos" if more == ["--text"] else "photos/p0.png"
    prompt = " ; " if more == ["--text"] else PROMPT
    assert main(["explain", image, prompt, "--model", "mini", *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(lines(err)) == 1 and err.startswith("pez: ")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
