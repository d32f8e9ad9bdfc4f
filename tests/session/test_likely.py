"""``--length auto`` of models that know the odds of their words."""

from typing import Any

import pytest
import torch
from PIL import Image

import pez
from pez.errors import PezError
from pez.models import Reader
from pez.models.families import odds
from pez.models.family import Companions, Odds
from pez.models.names import shipped_folder
from pez.options import InvertOptions
from pez.session.items import picture_items
from pez.session.likely import (
    FEWEST,
    LEAST,
    LIKELY,
    MOST,
    POSSIBLE,
    Likely,
    joined,
    tokens_of,
)
from pez.session.session import Session
from pez.session.styles import FUNCTION_WORDS
from pez.session.views import held_out_views

FAST: dict[str, Any] = {"steps": 4, "length": 0}
SLOPE = 10.0


@pytest.fixture
def known(mini: Reader, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Numbers of mini's words, which a test may change; all 0 at first."""
    words = dict.fromkeys(mini.own_words or (), 0.0)
    monkeypatch.setattr("pez.session.views.companions", lambda _: Companions(views=True))
    monkeypatch.setattr("pez.session.likely.odds", lambda _: Odds(SLOPE, words))
    return words


def cosines(picture: Image.Image, mini: Reader, words: list[str]) -> torch.Tensor:
    """Of each word with half the picture and half its views."""
    look = mini.encode_images([picture])[0] + mini.encode_images(held_out_views(picture)).mean(0)
    return mini.encode_text(words) @ look / 2


def said(prompt: str) -> list[str]:
    return [word.strip() for word in prompt.split(",")]


@pytest.mark.parametrize("likely", [1, 3, 5, 6, 9])
def test_a_prompt_has_as_many_words_as_are_likely_chosen_among_the_possible(
    likely: int, known: dict[str, float], pictures: list[Image.Image], mini: Reader
) -> None:
    words = [word for word in known if word in content(mini)]
    own = cosines(pictures[0], mini, words)
    order = own.argsort(descending=True).tolist()
    # the boundary lies between two words
    even = float(own[order[likely - 1]] + own[order[likely]]) / 2
    offset = LIKELY - SLOPE * even
    known |= dict.fromkeys(known, offset)
    found: Any = pez.invert(pictures[0], reader=mini, **FAST)
    possible = int((SLOPE * own + offset >= POSSIBLE).sum())
    prompt = said(found.prompt)
    assert len(set(prompt)) == len(prompt) == min(MOST, max(FEWEST, likely))
    assert set(prompt) <= {words[n] for n in order[: max(LEAST, possible)]}
    assert found.score == pytest.approx(pez.score(pictures[0], found.prompt, reader=mini), abs=1e-5)


def test_a_word_that_fits_every_picture_is_left_out(
    known: dict[str, float], pictures: list[Image.Image], mini: Reader
) -> None:
    before: Any = pez.invert(pictures[0], reader=mini, **FAST)
    word = said(before.prompt)[0]
    known[word] = -50.0
    after: Any = pez.invert(pictures[0], reader=mini, **FAST)
    assert word not in said(after.prompt)


def test_pictures_of_a_folder_are_read_as_alone(
    known: dict[str, float], pictures: list[Image.Image], mini: Reader
) -> None:
    together: Any = pez.invert(pictures[:3], reader=mini, **FAST)
    alone: list[Any] = [pez.invert(picture, reader=mini, **FAST) for picture in pictures[:3]]
    assert [one.prompt for one in together] == [one.prompt for one in alone]
    words = len(content(mini))
    assert [one.passes.get("cached", 0) >= words for one in together] == [False, True, True]


@pytest.mark.parametrize(
    "settings",
    [{"template": "a photo of {}"}, {"keep": "boat"}, {"style": "caption"}, {"init": "boat"}],
)
def test_more_than_words_ends_by_views(
    settings: dict[str, Any],
    known: dict[str, float],
    pictures: list[Image.Image],
    mini: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: Any = pez.invert(pictures[0], reader=mini, **settings, **FAST)
    monkeypatch.setattr("pez.session.likely.odds", lambda _: None)
    other: Any = pez.invert(pictures[0], reader=mini, **settings, **FAST)
    assert found.prompt == other.prompt


def test_a_word_of_unknown_odds_ends_by_views(
    known: dict[str, float], pictures: list[Image.Image], mini: Reader
) -> None:
    session = Session.of(mini, InvertOptions(**FAST))
    item = picture_items(mini, [[pictures[0]]], views=held_out_views)[0]
    assert Likely.of(session, [item])
    del known[content(mini)[0]]
    assert Likely.of(session, [item]) is None


def test_several_models_have_their_mean_odds() -> None:
    one, other = Odds(10.0, {"a": -1.0, "b": -3.0}), Odds(20.0, {"b": -1.0, "a": 2.0})
    slope, offsets = joined([one, other], ["a", "b"])
    assert (slope, offsets.tolist()) == (15.0, [0.5, -2.0])


def test_length_counts_the_commas() -> None:
    assert [tokens_of(n, style) for n in (1, 3) for style in ("phrases", "words")] == [1, 1, 5, 3]


@pytest.mark.parametrize("name", ["photo", "photo-b"])
def test_shipped_odds_cover_the_words_of_the_model(name: str) -> None:
    words = (shipped_folder(name) / "words.txt").read_text().split()
    own = odds(name)
    assert own is not None and list(own.words) == words and own.slope > 0


def test_damaged_odds_are_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odds.toml").write_text("slope = ")
    monkeypatch.setattr("pez.models.shipped.shipped_folder", lambda _: tmp_path)
    with pytest.raises(PezError, match=r"odds\.toml is damaged"):
        odds("photo")


def content(mini: Reader) -> list[str]:
    return [word for word in mini.own_words or () if word not in FUNCTION_WORDS]
