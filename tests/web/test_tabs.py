"""What the tabs beside *Invert* do, without a browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers as typed_diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from served_page import NEEDS_GRADIO

from pez.errors import PezError
from pez.models import Reader
from pez.web.drawings import COMPARE, PAINT, SKETCH, START, Asked, Easel, Shown, draw, go_on, pad
from pez.web.models import Models

pytestmark = NEEDS_GRADIO


@pytest.fixture
def models(mini: Reader) -> Models:
    made = Models("cpu")
    made.once(("reader", "mini"), lambda: mini)
    return made


CASTLE = Asked("a red castle", "blurry", "mini-sd", 2, -1, 3, 5)


def last(shown: Iterator[Shown]) -> Shown:
    *_, end = shown
    return end


def pixels(pictures: list[Any] | None) -> list[np.ndarray]:
    """The drawn pictures, without the original."""
    assert pictures
    return [np.asarray(one, dtype=np.int64) for one, said in pictures if said != "original"]


def png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def own(tmp_path: Path, pictures: list[Image.Image], monkeypatch: Any) -> list[Any]:
    """A gallery with a picture of 64 pixels."""
    monkeypatch.chdir(tmp_path)
    pictures[0].resize((64, 64)).save(tmp_path / "own.png")
    return [(str(tmp_path / "own.png"), None)]


def test_a_prompt_is_drawn_and_compared_with_the_original(
    models: Models, own: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "blurry").touch()  # a negative prompt is never a file
    html, drawn = last(draw(models, Easel(), replace(CASTLE, given=own)))
    assert drawn and [caption for _, caption in drawn] == ["original", "seed 5", "seed 6"]
    assert html.count("resembles the original by") == 2 and "mini-judge" in html
    _, again = last(draw(models, Easel(), CASTLE))
    assert [(one == other).all() for one, other in zip(pixels(again), pixels(drawn), strict=True)]
    _, started = last(draw(models, Easel(), replace(CASTLE, given=own, use=START)))
    text, picture = (models.kept(("generator", "mini-sd", use)) for use in (COMPARE, START))
    assert text.pipe.unet is picture.pipe.unet, "it is loaded once"
    assert len(pixels(started)) == 2 and (pixels(started)[0] != pixels(drawn)[0]).any()
    for asked, said in (
        (replace(CASTLE, prompt=""), "There is no prompt yet"),
        (replace(CASTLE, use=START), "There is no picture to use yet"),
        (replace(CASTLE, use=PAINT, given=own), "There is nothing painted yet"),
        (replace(CASTLE, use=SKETCH), "There is nothing painted yet"),
    ):
        html, none = last(draw(models, Easel(), asked))
        assert none is None and said in html


def test_a_drawing_stops_goes_on_and_is_the_same(models: Models) -> None:
    """While it waits, another visitor draws with the same generator."""
    asked = replace(CASTLE, steps=12)
    _, whole = last(draw(models, Easel(), asked))
    easel = Easel()
    steps = draw(models, easel, asked)
    next(steps)
    assert easel.active
    easel.halt()
    html, none = last(steps)
    assert none is None and easel.waits and "Stopped after" in html and "of 24 steps" in html
    assert html.count("data:image/jpeg;base64,") == 2, "the two pictures so far"
    assert last(draw(models, Easel(), replace(CASTLE, prompt="a fish")))[1]
    _, found = last(go_on(easel, asked.prompt, -1))
    for one, other in zip(pixels(found), pixels(whole), strict=True):
        assert (one == other).all()
    html, none = last(go_on(easel, asked.prompt, -1))
    assert none is None and "There is no drawing that was stopped" in html


def test_a_stopped_drawing_goes_on_with_another_prompt_and_guidance(models: Models) -> None:
    easel, asked = Easel(), replace(CASTLE, steps=12, count=1)
    _, whole = last(draw(models, Easel(), asked))
    steps = draw(models, easel, asked)
    next(steps)
    easel.halt()
    last(steps)
    html, found = last(go_on(easel, "a <b>fish</b>", 7.5))
    assert "the prompt “a &lt;b&gt;fish&lt;/b&gt;” and guidance 7.5." in html
    assert np.abs(pixels(found)[0] - pixels(whole)[0]).max() > 20


def test_a_drawing_that_nobody_follows_ends(models: Models) -> None:
    easel = Easel()
    steps = draw(models, easel, replace(CASTLE, steps=100))
    next(steps)
    steps.close()
    assert models.busy.acquire(timeout=30), "the model is free again"
    models.busy.release()
    steps = draw(models, easel, replace(CASTLE, steps=100))
    next(steps)
    easel.halt()
    last(steps)
    sitting = easel.sitting
    easel.leave()
    assert sitting and sitting.ended(30)


def test_what_is_not_painted_over_stays_pixel_for_pixel(models: Models, own: list[Any]) -> None:
    mask = Image.new("L", (512, 512))
    mask.paste(255, (240, 0, 512, 512))
    easel = Easel()
    easel.paint(png(mask))
    asked = replace(CASTLE, given=own, use=PAINT, strength=1.0, count=1)
    _, drawn = last(draw(models, easel, asked))
    before = np.asarray(Image.open(own[0][0]).convert("RGB"), dtype=np.int64)
    (after,) = pixels(drawn)
    assert (after[:, :30] == before[:, :30]).all()
    assert np.abs(after[:, 30:] - before[:, 30:]).mean() > 10


def save_control(models: Models, folder: Path) -> str:
    """A ControlNet for mini-sd that has an effect."""
    last(draw(models, Easel(), replace(CASTLE, count=1, steps=1)))
    kept: Any = models.kept(("generator", "mini-sd", COMPARE))
    net: Any = typed_diffusers.ControlNetModel.from_unet(kept.pipe.unet)
    torch.manual_seed(0)
    parts = [net.controlnet_mid_block, *net.controlnet_down_blocks]
    for part in (*parts, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(part.weight)
    net.save_pretrained(folder)
    return str(folder)


def test_a_sketch_is_followed_by_a_controlnet(models: Models, tmp_path: Path) -> None:
    control = save_control(models, tmp_path / "control")
    sheet, other = Image.new("L", (512, 512)), Image.new("L", (512, 512))
    sheet.paste(255, (100, 100, 300, 130))
    other.paste(255, (400, 0, 512, 512))
    asked = replace(CASTLE, use=SKETCH, count=1)
    found = []
    for sketch in (sheet, other):
        easel = Easel()
        easel.paint(png(sketch))
        html, drawn = last(draw(models, easel, asked, control))
        assert "alert" not in html
        found.append(pixels(drawn)[0])
    assert (found[0] != found[1]).any(), "it depends on the sketch"
    html, none = last(draw(models, easel, asked))
    assert none is None and "No ControlNet is known for mini-sd" in html


def test_ways_to_follow_a_picture_are_there_where_a_controlnet_is_known(models: Models) -> None:
    from pez.web.page import make_page

    def ways(generators: list[str], control: str = "") -> list[str]:
        config = make_page(models, ["mini"], generators, control).get_config_file()
        parts = {one["props"].get("elem_id"): one["props"] for one in config["components"]}
        return [name for name, _ in parts["generate-what"]["choices"]]

    assert SKETCH not in ways(["mini-sd"]) and PAINT in ways(["mini-sd"])
    assert SKETCH in ways(["mini-sd"], "some/controlnet") and SKETCH in ways(["sd15"])


def test_a_painting_is_a_png_or_nothing(own: list[Any]) -> None:
    easel = Easel()
    for sent in (None, 3, "file:///etc/passwd", "data:image/png;base64,%%", "data:image/svg+xml,"):
        easel.paint(sent)
        assert easel.painted == b""
    easel.paint(png(Image.new("L", (8, 8), 255)))
    assert easel.painted.startswith(b"\x89PNG")
    assert pad(None, PAINT) == "" and pad(own, START) == ""
    assert "data:image/jpeg" in pad(own, PAINT) and "<img" not in pad(own, SKETCH)


def test_words_tokens_and_scores_are_explored(
    models: Models, pictures: list[Image.Image], tmp_path: Path
) -> None:
    from pez.web.tabs.explore import _neighbours, _scores, _tokens, answered

    pictures[0].save(tmp_path / "own.png")
    assert _neighbours(models, " dog ", "mini").count("<tr") == 21
    assert "4 tokens" in _tokens(models, "a cup of coffee", "mini")
    limit = models.reader("mini").tokens.limit
    assert _tokens(models, "dog " * 80, "mini").count("pez-beyond") == 80 - limit
    given = [(str(tmp_path / "own.png"), None)]
    assert _scores(models, given, "a dog\n\na <b>cat</b>", "mini").count("<tr") == 3
    said = answered(models, lambda: _neighbours(models, "two words", "mini"))
    assert 'role="alert"' in said and "give a single word" in said


def test_a_mix_has_weights_and_signs() -> None:
    from pez.web.tabs.mix import _aim, weighted

    assert weighted("oil painting = 0.3", 1) == ("oil painting", 0.3, "oil painting=0.3")
    assert weighted("blurry", -1) == ("blurry", -1.0, "blurry=-1")
    assert weighted("e=mc2", 1)[0] == "e=mc2"
    assert weighted("/etc/passwd", -1)[0] == "/etc/passwd", "a text, not a file"
    for line in ("a = 0", "a = -1", "= 2", "a = nan", "a = inf"):
        with pytest.raises(PezError):
            weighted(line, 1)
    with pytest.raises(PezError, match="nothing to match"):
        _aim(None, 1, "", "blurry")
