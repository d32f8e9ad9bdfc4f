"""Word features on disk: the same search with and without them, never those of other weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import pez
import pez.session.word_cache
from pez.api import search_pictures
from pez.models import Reader
from pez.options import InvertOptions
from pez.result import Result
from pez.session.session import Session
from pez.session.word_cache import features_file, kept_features

IDS = torch.arange(40)


class Rating:
    """Unit features of ids that depend on ``seed``, and how many were asked for."""

    def __init__(self, seed: int) -> None:
        self.table = torch.randn(40, 8, generator=torch.Generator().manual_seed(seed))
        self.table /= self.table.norm(dim=1, keepdim=True)
        self.asked = 0

    def __call__(self, ids: Tensor) -> Tensor:
        self.asked += len(ids)
        return self.table[ids]


def test_features_are_rated_once(tmp_path: Path) -> None:
    rate, path = Rating(0), tmp_path / "new" / "f.safetensors"
    first = kept_features(path, IDS, rate)
    assert rate.asked == 40
    assert torch.equal(kept_features(path, IDS, rate), first) and rate.asked == 40 + 16
    torch.testing.assert_close(first, rate.table, atol=1e-3, rtol=0)


@pytest.mark.parametrize("spoil", ["weights", "cut", "words"])
def test_a_file_that_does_not_fit_is_made_anew(spoil: str, tmp_path: Path) -> None:
    rate, path = Rating(0), tmp_path / "f.safetensors"
    kept_features(
        path, IDS if spoil != "words" else IDS[:30], Rating(1 if spoil == "weights" else 0)
    )
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:50])
    torch.testing.assert_close(kept_features(path, IDS, rate), rate.table, atol=1e-3, rtol=0)
    assert torch.equal(kept_features(path, IDS, rate), rate.table.half().float())


def test_a_folder_that_cannot_be_written_costs_no_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    rate = Rating(0)
    found = kept_features(tmp_path / "file" / "f.safetensors", IDS, rate)
    assert torch.equal(found, rate.table.half().float())


def test_few_words_need_no_file_and_each_model_has_its_own() -> None:
    assert features_file("a", IDS) is None
    many = torch.arange(3000)
    assert features_file("a", many) == features_file("a", many.clone())
    assert features_file("a", many) != features_file("b", many)
    assert features_file("a", many) != features_file("a", many + 1)
    inside = features_file("a", many, (320, 0))
    assert inside != features_file("a", many) and inside != features_file("a", many, (0, 320))


def test_words_are_rated_once_for_each_template(
    mini: Reader, pictures: list[Image.Image], few_words: Path
) -> None:
    settings: dict[str, Any] = {"vocabulary": str(few_words), "steps": 1, "length": 3}
    session = Session.of(mini, InvertOptions(template="a photo of {}", **settings))
    count, costs = len(session.vocabulary.ids), []
    for _ in range(2):
        (found,) = search_pictures(session, [[pictures[0]]])
        assert isinstance(found, Result)
        costs.append((found.passes["forward"], found.passes.get("cached", 0)))
    # in the template, and alone for what the template adds
    assert costs[0] == (costs[1][0] + 2 * count, 0) and costs[1][1] == 2 * count


def test_a_search_is_the_same_with_the_file_and_without(
    mini: Reader, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pez.session.word_cache, "WORTH", 10)
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    settings: dict[str, Any] = {"reader": mini, "length": 7, "steps": 3, "history": True}
    one: Any = pez.invert(pictures[0], **settings)
    assert len(list(tmp_path.glob("features-*.safetensors"))) == 1
    two: Any = pez.invert(pictures[0], **settings)
    assert one.history == two.history


def test_a_damaged_word_is_rated_again_though_no_probe_meets_it(tmp_path: Path) -> None:
    ids, table = torch.arange(100), torch.randn(100, 4, generator=torch.manual_seed(0))
    path = tmp_path / "features.safetensors"
    whole = kept_features(path, ids, lambda some: table[some])
    data = bytearray(path.read_bytes())
    data[-12] ^= 0x40  # in the last but one word
    path.write_bytes(data)
    assert torch.equal(kept_features(path, ids, lambda some: table[some]), whole)
