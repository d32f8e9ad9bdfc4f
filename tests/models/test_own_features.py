"""Texts and pictures are read as open_clip itself reads them, by every kind of model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from small_clips import picture
from tiny_eyes import SEEING
from tiny_towers import CAUSAL, WHOLE, embedded, lengths, load, save_model, sentence
from torch import Tensor, nn

from pez.models import packed
from pez.models.text_tower import cut_features, full_features

KINDS = {**CAUSAL, **WHOLE, **SEEING}
# wide, high, small: each way of resizing and cutting shows itself
PICTURES = [picture(0, (90, 40)), picture(1, (300, 410)), picture(2, (24, 20))]


def made(kind: str, folder: Path) -> str:
    """The name of a model of a kind, saved in a folder."""
    if kind in SEEING:
        return save_model(folder, *SEEING[kind](folder))
    return save_model(folder, KINDS[kind](folder))


def near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_texts_and_pictures_have_open_clips_own_features(kind: str, tmp_path: Path) -> None:
    name = made(kind, tmp_path)
    ours = load(name)
    both: Any = open_clip.create_model_from_pretrained(name)
    theirs, preprocess = both
    theirs.eval()
    tokenizer = open_clip.get_tokenizer(name)

    def read(texts: list[str]) -> Tensor:
        return theirs.encode_text(tokenizer(texts), normalize=True)

    texts = ["", sentence(1), sentence(5, 2), "A Photo, of the cat's_tail!", sentence(99)]
    near(ours.encode_text(texts), read(texts))
    for length in lengths(ours):
        same = [sentence(length, start) for start in (0, 3)]
        _, embeddings = embedded(ours, same)
        found = read(same)
        near(ours.features(embeddings), found)
        whole = ours.front.as_typed(embeddings) if ours.front else embeddings
        near(F.normalize(full_features(ours.model, ours.tokens, whole), dim=-1), found)
        assert (found[0] - found[1]).abs().max() > 1e-3, "a test on equal features shows nothing"

    seen = theirs.encode_image(torch.stack([preprocess(p) for p in PICTURES]), normalize=True)
    near(ours.encode_images(PICTURES), seen)
    assert (seen[0] - seen[1]).abs().max() > 1e-3, "a test on equal features shows nothing"


def gelu_instead(model: nn.Module) -> None:
    for module in model.modules():
        if hasattr(module, "gelu"):
            module.gelu = nn.GELU()


@pytest.mark.parametrize("bound", [0, 1 << 30], ids=["plain", "packed"])
@torch.no_grad()
def test_the_cut_forward_has_the_activation_of_the_weights(
    bound: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "LEAST_WIDTH", 0)
    monkeypatch.setattr(packed, "MOST_BYTES", bound)
    ours = load(made("openai", tmp_path))
    assert ours.tower is not None
    packs = ours.tower.layers[0].inputs.there is not None
    assert packs == (bound > 0 and torch.backends.mkldnn.is_available())
    _, embeddings = embedded(ours, [sentence(7)])
    whole = ours.model.encode_text(ours.tokens.full([sentence(7)]))
    torch.testing.assert_close(cut_features(ours.tower, embeddings), whole, atol=1e-5, rtol=1e-5)
    gelu_instead(ours.model)
    wrong = cut_features(replace(ours.tower), embeddings)
    assert (F.normalize(wrong, dim=-1) - F.normalize(whole, dim=-1)).abs().max() > 1e-3
