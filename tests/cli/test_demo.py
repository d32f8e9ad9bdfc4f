"""The demo: words for photographs, what nearly won, what a judge says, and the page of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from command_line import CAPTURE, lines
from PIL import Image, ImageFont

import pez.cli.demo
from pez.cli import main
from pez.cli.demo.drawn import choose
from pez.cli.demo.page import demo_page
from pez.cli.demo.photographs import TRIED, Found, Reading, features_of, find, runners_up
from pez.cli.demo.sheet import FONT, GAP, WIDE, _wrapped, draw_sheet, in_rows
from pez.datasets.samples import samples
from pez.images import read_image
from pez.models import Reader, load_model
from pez.options import InvertOptions


@pytest.fixture(scope="module")
def judge() -> Reader:
    return load_model("mini-judge", "cpu")


@pytest.fixture(scope="module")
def found(mini: Reader, judge: Reader) -> list[Found]:
    options = InvertOptions(model=("mini",), length=5, style="phrases", steps=10, device="cpu")
    return find(samples("attributes")[:3], mini, judge, options)


def test_what_nearly_won_is_what_costs_least_of_all_that_was_tried(mini: Reader) -> None:
    prompt, words = "castle, red, fish", mini.own_words or []
    target = mini.encode_images([read_image(samples("attributes")[2].path)])[0]
    fit = mini.encode_text(words) @ target
    places = runners_up(prompt, words, fit, target, mini)
    assert [place.word for place in places] == ["castle", "red", "fish"]

    def score(text: str) -> float:
        return float(mini.encode_text([text])[0] @ target)

    alone = sorted((w for w in words if w not in prompt.split(", ")), key=score, reverse=True)
    for place, form in zip(
        places, ("{}, red, fish", "castle, {}, fish", "castle, red, {}"), strict=True
    ):
        change = {word: score(form.format(word)) - score(prompt) for word in alone[:TRIED]}
        best = sorted(change.values(), reverse=True)[: len(place.nearly)]
        assert [by for _, by in place.nearly] == pytest.approx(best, abs=1e-4)
        assert all(change[word] == pytest.approx(by, abs=1e-4) for word, by in place.nearly)
    assert places[2].nearly[0][1] > 0, "another word than fish would have been better"


def test_features_of_texts_are_those_of_the_whole_forward_pass(mini: Reader) -> None:
    texts = ["castle", "a red fish", "castle, red, fish", "snail"]
    torch.testing.assert_close(features_of(texts, mini), mini.encode_text(texts), atol=1e-5, rtol=0)


def test_a_rank_counts_the_photographs_that_fit_a_text_as_well() -> None:
    cosines = torch.tensor([[0.5, 0.1, 0.3], [0.2, 0.2, 0.2], [0.9, 0.4, 0.6]])
    first, second, third = Reading.of(["a", "b", "c"], cosines)
    assert (first.rank, second.rank, third.rank) == (1, 3, 2)
    assert (first.cosine, first.others) == pytest.approx((0.5, 0.2))
    assert third.others == pytest.approx(0.65)


def test_each_photograph_has_its_words_and_what_the_judge_says(
    found: list[Found], judge: Reader
) -> None:
    for n, one in enumerate(found):
        assert [place.word for place in one.places] == one.result.prompt.split(", ")
        images = [read_image(other.sample.path) for other in found]
        cosines = (judge.encode_text([one.prompt.text]) @ judge.encode_images(images).T)[0]
        assert one.prompt.cosine == pytest.approx(float(cosines[n]), abs=1e-5)
        assert one.prompt.text == one.result.prompt
        assert one.caption.text == one.sample.captions[0]


def test_the_page_is_whole_and_takes_words_as_text(found: list[Found]) -> None:
    page = demo_page(found, ("<mini>", "mini-judge"), choose(0), [])
    assert "&lt;mini&gt;" in page and "<mini>" not in page
    assert all(one.result.prompt in page and one.caption.text in page for one in found)
    assert not re.search(r"(src|href)=(?!\"data:image/)|url\(|@import|<script", page)
    assert page.count("data:image/") == len(found), "without a second part its picture is left out"


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_a_sheet_shows_all_pictures_across_its_width(count: int) -> None:
    pictures = [(Image.new("RGB", (90 + 40 * n, 100), "black"), f"word {n}") for n in range(count)]
    rows = in_rows(pictures)
    assert sorted(text for row in rows for _, text in row) == [text for _, text in pictures]
    sheet = draw_sheet(rows)
    assert sheet.width == WIDE
    dark = [x for x in range(WIDE) if sheet.getpixel((x, GAP + 5)) == (0, 0, 0)]
    assert dark[0] == GAP and abs(WIDE - GAP - 1 - dark[-1]) <= len(rows[0])


def test_words_are_wrapped_below_their_picture() -> None:
    font = ImageFont.load_default(FONT)
    text = "a castle, a red boat, an unpronounceable something"
    wrapped = _wrapped(text, 140, font)
    assert " ".join(wrapped) == text and len(wrapped) > 2
    assert all(font.getlength(line) <= 140 or " " not in line for line in wrapped)


def test_a_demo_prints_its_best_prompt_and_writes_page_and_picture(
    tmp_path: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With mini, which is quick, in the place of the model of photographs."""
    monkeypatch.setattr(pez.cli.demo, "OFFLINE_CLIP", "mini")
    monkeypatch.setattr("pez.cli.demo.drawn.PICTURES", 1)
    assert main(["demo", "--output", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert len(lines(out)) == 1 and out.strip() in page
    assert [line.split()[0] for line in err.splitlines() if "rank" in line] == [
        sample.path.stem for sample in samples("photographs")
    ]
    with Image.open(tmp_path / "out" / "pictures.png") as picture:
        assert picture.width == WIDE and picture.info["Software"] == "pez demo"
    assert page.count("data:image/") == len(samples("photographs")) + 3
