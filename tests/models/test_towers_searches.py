"""Whole searches with every kind of tower and tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_tokenizers import WORDS

import pez
from pez.models.openclip import OpenClip
from pez.options import SearchOptions
from pez.session.prompt_form import starting_point
from pez.session.session import reader_vocabulary


def picture() -> Image.Image:
    pixels = torch.randint(256, (40, 48, 3), generator=torch.manual_seed(3), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


@pytest.mark.parametrize(
    "kind",
    ["siglip2", "clipa", "mobileclip", "coca", "worldwide", "worldwide-mt5", "roberta", "nllb"],
)
def test_a_search_returns_what_can_be_typed(
    kind: str, reader: Callable[[str], OpenClip], tmp_path: Path
) -> None:
    model = reader(kind)
    words = tmp_path / "words.txt"  # the same for all, and no 50,000 ids to go through
    words.write_text("\n".join(WORDS))
    target = model.encode_images([picture()])
    result = pez.invert(
        picture(), reader=model, steps=5, length=4, vocabulary=str(words), history=True
    )
    assert isinstance(result, pez.Result)
    tokens = model.tokens
    assert tokens.decode(tokens.encode(result.prompt)) == result.prompt
    assert tokens.encode(result.prompt) == result.ids
    assert len(result.ids) == len(result.prompt.split()) == 4
    own = F.normalize(model.model.encode_text(tokens.full([result.prompt])).float(), dim=-1)
    assert result.score == pytest.approx(float(own[0] @ target[0]), abs=1e-5)
    assert result.history
    for step in result.history:  # each score of the search is that of the typed text
        typed = model.encode_text([tokens.decode(step["ids"])])
        assert step["score"] == pytest.approx(float(typed[0] @ target[0]), abs=1e-5)
    assert result.score == pytest.approx(max(s["score"] for s in result.history), abs=1e-5)


def test_templates_and_kept_words_hold_with_any_tokenizer(
    reader: Callable[[str], OpenClip],
) -> None:
    for kind in ("siglip2", "clipa", "worldwide", "roberta"):
        model = reader(kind)
        options = SearchOptions(
            template="the photo {} the red {}", length=3, keep=("sun",), vocabulary="words"
        )
        template, _ = starting_point(model, options, 3)
        cat, dog = model.tokens.encode("cat dog")
        ids = template.fill(torch.tensor([[cat, dog]]))[0].tolist()
        assert model.tokens.decode(ids) == "sun the photo cat the red dog"
        assert model.tokens.encode("sun the photo cat the red dog") == ids
        features = model.features(model.table[torch.tensor([ids])])
        typed = model.encode_text(["sun the photo cat the red dog"])
        torch.testing.assert_close(features, typed, atol=1e-5, rtol=1e-5)
        own = reader_vocabulary(model, SearchOptions(vocabulary="words"))
        assert {cat, dog} <= set(own.ids.tolist())
