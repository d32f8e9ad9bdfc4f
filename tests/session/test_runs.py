"""Lengths that are found and negative prompts: beyond one search of one length."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pez
from pez.cli import main
from pez.errors import PezError
from pez.models import Reader
from pez.models.family import Companions
from pez.result import Result
from pez.session.runs import LENGTHS, MORE
from pez.session.session import Watch
from pez.session.styles import FUNCTION_WORDS
from pez.session.views import held_out_views

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "scenes" / "scenes-02.png"
FAST: dict[str, Any] = {"steps": 4}


def at(length: int, picture: Image.Image, mini: Reader) -> Result:
    found: Any = pez.invert(picture, reader=mini, length=length, style="phrases", **FAST)
    return found


def test_the_length_found_is_where_more_brings_nothing(
    pictures: list[Image.Image], mini: Reader
) -> None:
    found: Any = pez.invert(pictures[:2], reader=mini, length=0, **FAST)
    for picture, result in zip(pictures, found, strict=False):
        tried = []
        for length in LENGTHS:
            tried.append(at(length, picture, mini))
            if len(tried) > 1 and tried[-1].score <= tried[-2].score + MORE:
                break
        assert (result.prompt, len(tried)) == (tried[-2].prompt, len(tried))
        # of all lengths that were tried; the words were rated once
        assert result.passes["backward"] == sum(one.passes["backward"] for one in tried)
        words = content_words(mini)
        assert result.passes["cached"] == words * (len(tried) - 1)
        assert result.passes["forward"] + result.passes["cached"] == sum(
            one.passes["forward"] for one in tried
        )
        assert result.options["length"] == 0


def test_views_decide_the_length_where_the_model_asks_for_them(
    pictures: list[Image.Image], mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by hand, for single pictures and for several together."""
    monkeypatch.setattr("pez.session.views.companions", lambda _: Companions(views=True))
    shorter = 0
    for group in ([pictures[0]], [pictures[1]], pictures[:2]):
        together = {"together": True} if len(group) > 1 else {}
        found: Any = pez.invert(group, reader=mini, length=0, **together, **FAST)
        views = mini.encode_images([view for one in group for view in held_out_views(one)])
        best, reached, tried = "", -9.0, []
        for length in LENGTHS:
            one: Any = pez.invert(
                group, reader=mini, length=length, style="phrases", **together, **FAST
            )
            one = one if together else one[0]
            tried.append(one.score)
            score = float((mini.encode_text([one.prompt]) @ views.T).mean())
            if score <= reached + MORE:
                break
            best, reached = one.prompt, score
        assert (found if together else found[0]).prompt == best
        shorter += tried[-1] > tried[-2] + MORE  # the score alone would have gone on
    assert shorter


def test_views_are_the_centre_and_its_mirror_image() -> None:
    picture = Image.new("RGB", (80, 40), "white")
    picture.putpixel((25, 5), (255, 0, 0))
    one, other = held_out_views(picture)
    assert one.size == other.size == (30, 30)
    assert one.getpixel((0, 0)) == other.getpixel((29, 0)) == (255, 0, 0)
    assert [view.size for view in held_out_views(picture.crop((0, 0, 1, 9)))] == [(1, 1)] * 2


def content_words(reader: Reader) -> int:
    """How many words are searched between commas."""
    return sum(word not in FUNCTION_WORDS for word in reader.own_words or ())


def test_words_of_a_template_leave_less_to_search(
    pictures: list[Image.Image], mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though more always brings something, no prompt is longer than the model reads."""
    monkeypatch.setattr("pez.session.runs.MORE", -9.0)
    each: list[dict[str, Any]] = [{"template": "a photo of a {}, drawn"}, {"keep": "boat"}]
    for settings in each:
        found: Any = pez.invert(pictures[0], reader=mini, length=0, steps=1, **settings)
        assert mini.limit - 4 <= len(found.ids) <= mini.limit


@pytest.mark.parametrize("settings", [{"length": 0}, {"length": 5, "also_negative": True}])
def test_each_result_is_told_once(
    settings: dict[str, Any], pictures: list[Image.Image], mini: Reader
) -> None:
    told: list[tuple[int, str]] = []
    watch = Watch(result=lambda n, result: told.append((n, result.prompt)))
    found: Any = pez.invert(pictures[:3], reader=mini, watch=watch, **settings, **FAST)
    assert sorted(told) == [(n, result.prompt) for n, result in enumerate(found)]


def test_a_stop_keeps_what_was_found_so_far(pictures: list[Image.Image], mini: Reader) -> None:
    watch = Watch()
    steps: list[int] = []

    def progress(now: Any, _prompt: str) -> None:
        steps.append(now.steps)
        watch.stop.asked = len(steps) > 5  # within the second length

    watch.progress = progress
    found: Any = pez.invert(pictures[0], reader=mini, watch=watch, length=0, **FAST)
    assert found.interrupted and found.prompt
    assert found.score == pytest.approx(pez.score(pictures[0], found.prompt, reader=mini), abs=1e-5)


def test_a_negative_prompt_leads_from_the_picture_to_the_prompt(
    pictures: list[Image.Image], mini: Reader
) -> None:
    plain: Any = pez.invert(pictures[:2], reader=mini, length=7, **FAST)
    both: Any = pez.invert(pictures[:2], reader=mini, length=7, also_negative=True, **FAST)
    looks = mini.encode_images(pictures[:2])
    for n, (one, two) in enumerate(zip(plain, both, strict=True)):
        assert one.negative is None and "negative" not in json.loads(one.to_json())
        assert (one.prompt, one.score) == (two.prompt, two.score)
        found, wrong = mini.encode_text([two.prompt, two.negative])
        excess = found - looks[n]
        assert wrong @ excess > found @ excess and wrong @ looks[n] < found @ looks[n]
        words = content_words(mini)  # rated once, for both
        assert two.passes["forward"] == 2 * one.passes["forward"] - words
        assert two.passes["cached"] == words
        assert Result.from_json(two.to_json()).negative == two.negative


def test_the_command_takes_auto_and_tells_the_negative(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["invert", str(SAMPLE), "--model", "mini", "--device", "cpu", "--steps", "2"]
    assert main([*words, "--length", "auto", "--also-negative"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "pez: negative: " in err
    assert main([*words, "--length", "7", "--also-negative", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["negative"]


def test_a_negative_of_the_denoising_loss_is_refused(pictures: list[Image.Image]) -> None:
    with pytest.raises(PezError, match="does not apply to --objective denoise"):
        pez.invert(
            pictures[0],
            generator="mini-sd",
            objective="denoise",
            also_negative=True,
            length=3,
            method="random",
            steps=1,
        )
