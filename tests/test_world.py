"""The synthetic world behind the shipped models and samples."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pez.datasets.samples import KINDS, samples
from pez.files import data_folder
from pez.models import model_tokens
from pez.models.names import shipped_names

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import pictures  # type: ignore[import-not-found]
import pool  # type: ignore[import-not-found]
import world  # type: ignore[import-not-found]

needs_font = pytest.mark.skipif(not Path(pictures.FONT).is_file(), reason="no emoji font")


def test_every_word_of_a_caption_is_one_token_and_shipped() -> None:
    rng = np.random.default_rng(0)
    for name in shipped_names():
        words = (data_folder() / "models" / name / "words.txt").read_text().split()
        assert words == world.all_words()
        tokens = model_tokens(name)
        assert all(len(tokens.encode(word)) == 1 for word in words)
    for _ in range(200):
        scene = world.sample_scene(rng)
        for text in (world.caption(scene, rng), world.wrong_caption(scene, rng)):
            assert set(text.replace(",", "").replace(":", "").split()) <= set(words)


def test_captions_name_what_the_scene_shows_and_wrong_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        scene = world.sample_scene(rng, two=0)
        true = scene.words()
        said = set(world.sentence(scene, rng).replace(",", "").replace(":", "").split())
        assert all(said & set(true[kind]) for kind in ("thing", "background", "style"))
        wrong = set(world.wrong_caption(scene, rng).replace(",", "").replace(":", "").split())
        assert not all(wrong & set(true[kind]) for kind in ("thing", "background", "style"))


def test_scenes_survive_being_stored_as_numbers() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        scene = world.sample_scene(rng)
        assert pool.decode(np.array(pool.encode(scene), np.int16)) == scene


@needs_font
def test_a_shard_is_drawn_alike_each_time_and_differs_from_the_next() -> None:
    first, rows = pool.draw(7, 6)
    again, _ = pool.draw(7, 6)
    other, _ = pool.draw(8, 6)
    assert first.shape == (6, 64, 64, 3) and len(rows) == 6
    assert (first == again).all() and (first != other).any()


def test_shipped_samples_are_pictures_with_captions_and_attributes() -> None:
    for kind in KINDS:
        rows = samples(kind)
        assert len(rows) == 15
        for row in rows:
            assert Image.open(row.path).size == (64, 64)
            assert row.captions and row.attributes["style"] in world.STYLES
            assert set(row.attributes["things"]) <= set(world.THINGS)
