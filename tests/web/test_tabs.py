"""What the tabs beside *Invert* do, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from served_page import NEEDS_GRADIO

from pez.errors import PezError
from pez.models import Reader
from pez.web.desk import Desk
from pez.web.models import Models

pytestmark = NEEDS_GRADIO


@pytest.fixture
def models(mini: Reader) -> Models:
    made = Models("cpu")
    made.once(("reader", "mini"), lambda: mini)
    return made


def test_a_prompt_is_drawn_and_compared_with_the_original(
    models: Models, pictures: list[Image.Image], tmp_path: Path, monkeypatch: Any
) -> None:
    from pez.web.tabs.generate import COMPARE, START, _drawing

    monkeypatch.chdir(tmp_path)
    (tmp_path / "blurry").touch()  # a negative prompt is never a file
    pictures[0].save(tmp_path / "own.png")
    given = [(str(tmp_path / "own.png"), None)]
    asked = ("a red castle", "blurry", "mini-sd", 2, -1, 2, 5)
    *_, (html, drawn) = _drawing(models, Desk(), *asked, given, COMPARE, 0.6)
    assert drawn and [caption for _, caption in drawn] == ["original", "seed 5", "seed 6"]
    assert html.count("resembles the original by") == 2 and "mini-judge" in html
    *_, (_, again) = _drawing(models, Desk(), *asked, None, COMPARE, 0.6)
    assert again and [one.tobytes() for one, _ in again] == [one.tobytes() for one, _ in drawn[1:]]
    *_, (_, started) = _drawing(models, Desk(), *asked, given, START, 1.0)
    assert started and len(started) == 3
    *_, (html, none) = _drawing(models, Desk(), "", *asked[1:], None, COMPARE, 0.6)
    assert none is None and "There is no prompt yet" in html


def test_a_drawing_stops(models: Models) -> None:
    from pez.web.tabs.generate import COMPARE, _drawing

    desk = Desk()
    drawing = _drawing(models, desk, "a castle", "", "mini-sd", 4, -1, 100, 0, None, COMPARE, 0.6)
    next(drawing)
    desk.halt()
    *_, (html, _) = drawing
    assert "Stopped; 0 of 4" in html and desk.stop is None


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
