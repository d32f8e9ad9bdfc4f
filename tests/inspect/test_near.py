"""Neighbours in one or several models' spaces, and their map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import CAPTURE, lines
from PIL import Image

import pez
from pez.cli import main
from pez.generation.files import read_record
from pez.inspect.ink import overlap
from pez.inspect.map import _free, draw_map, flat_pca, flat_tsne, space_around
from pez.models import Reader
from pez.models.openclip import OpenClip
from pez.options import SearchOptions
from pez.session.session import reader_vocabulary

pytestmark = pytest.mark.usefixtures("mini_at_hand")


def space(reader: Reader, words: list[str], top: int = 6):
    return space_around(reader, reader_vocabulary(reader, SearchOptions()), words, top)


def test_a_map_has_the_words_first_and_what_is_near_each(mini: Reader) -> None:
    found = space(mini, ["cat", "red"])
    assert found.tokens[:2] == ["cat", "red"] and found.owner[:2] == [0, 1]
    near = {
        word: {t for _, t, _ in pez.neighbours(word, 6, reader=mini)} for word in ("cat", "red")
    }
    assert set(found.tokens) == near["cat"] | near["red"]
    own = found.rows[:2] @ found.rows.T
    assert [int(own[:, n].argmax()) for n in range(len(found.tokens))] == found.owner
    assert torch.allclose(found.rows.norm(dim=1), torch.ones(len(found.rows)), atol=1e-5)


def test_both_maps_keep_groups_apart_and_are_the_same_again() -> None:
    """Two far groups of directions: each token's nearest on the map is of its own group."""
    dice = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(2, 32, generator=dice), dim=1)
    rows = centres.repeat_interleave(12, 0) + 0.05 * torch.randn(24, 32, generator=dice)
    rows = torch.nn.functional.normalize(rows, dim=1)
    group = np.repeat([0, 1], 12)
    places, shares = flat_pca(rows)
    assert 1 >= shares[0] > shares[1] > 0
    for spots in (places, flat_tsne(rows)):
        apart = ((spots[:, None] - spots[None]) ** 2).sum(-1) + 1e9 * np.eye(24)
        assert (group[apart.argmin(1)] == group).all()
    assert np.array_equal(flat_tsne(rows), flat_tsne(rows))
    before: Any = np.random.get_state()
    flat_tsne(rows)
    after: Any = np.random.get_state()
    assert np.array_equal(after[1], before[1])


def test_names_on_a_map_do_not_cover_each_other() -> None:
    taken: list[tuple[float, float, float, float]] = []
    for n in range(12):
        box = _free((100 + n, 100), 40, 13, taken, (0, 0, 400, 400))
        assert not overlap(box, taken)
        taken.append(box)


def test_each_model_has_its_own_neighbours(
    mini: Reader, shipped: Callable[[str], OpenClip], capsys: CAPTURE
) -> None:
    command = ["neighbours", "cat", "red", "--top", "4", "--model", "mini", "--model", "mini-b"]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in lines(capsys.readouterr().out)]
    assert len(rows) == 2 * 2 * 4
    for name, reader in (("mini", mini), ("mini-b", shipped("mini-b"))):
        for word in ("cat", "red"):
            own = [r for r in rows if (r["model"], r["word"]) == (name, word)]
            near = pez.neighbours(word, 4, reader=reader)
            assert [(r["id"], r["token"]) for r in own] == [(i, t) for i, t, _ in near]
    assert main(command) == 0
    assert lines(capsys.readouterr().out)[0].split()[:2] == ["cat", "mini"]


def test_the_map_has_a_row_for_each_model(folder: Path, mini: Reader, capsys: CAPTURE) -> None:
    words = ["neighbours", "cat", "--top", "6", "--model", "mini"]
    assert main([*words, "--map", "one.png"]) == 0
    record = read_record(folder / "one.png")
    assert record == {"words": ["cat"], "top": 6, "models": ["mini"]}
    one = pez.neighbour_map("cat", 6, reader=mini)
    assert one.tobytes() == Image.open("one.png").tobytes()
    own = space(mini, ["cat"])
    assert draw_map([own, own]).height > 1.9 * one.height - 40
    for bad in (["--map", "photos/p0.png"], ["--map", "x.jpg"], ["--top", "2", "--map", "x.png"]):
        assert main([*words, *bad]) == 2
    with pytest.raises(pez.PezError, match="not one"):
        pez.neighbour_map(["cat", "a red boot"], reader=mini)


RELATED = {"man": {"woman", "boy", "girl"}, "dog": {"cat", "puppy"}, "bus": {"van", "train", "cab"}}


@pytest.mark.parametrize("word", RELATED)
def test_related_words_lie_near_each_other_in_a_model_of_photographs(
    word: str, shipped: Callable[[str], OpenClip]
) -> None:
    pytest.importorskip("timm")
    near = [token for _, token, _ in pez.neighbours(word, 12, reader=shipped("photo"))]
    assert RELATED[word] & set(near), near
