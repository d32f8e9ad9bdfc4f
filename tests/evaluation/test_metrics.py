"""What is measured: judges, perplexity and readability, each against its known value."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import pez
from pez.cli import main
from pez.errors import PezError
from pez.evaluation.judges import open_judge
from pez.evaluation.judges.clip import ClipJudge
from pez.evaluation.judges.dino import Dino
from pez.evaluation.judges.lpips import Lpips
from pez.evaluation.language import open_captioner
from pez.evaluation.readable import english, measure, real_words
from pez.models import Reader, open_language_model
from pez.models.language import LanguageModel

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "web"


def test_a_clip_judge_gives_the_cosines_of_pairs(
    mini: Reader, pictures: list[Image.Image], looks: torch.Tensor
) -> None:
    judge = ClipJudge(mini)
    found = judge.similarities(pictures[:3], [pictures[0], pictures[2], pictures[1]])
    same, *others = [float(looks[a] @ looks[b]) for a, b in ((0, 0), (1, 2), (2, 1))]
    assert found == pytest.approx([same, *others], abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5) and max(others) < 0.999
    texts = judge.text_scores(pictures[:2], ["a boot", "a fish"])
    assert texts == pytest.approx(
        [
            pez.score(p, t, reader=mini)
            for p, t in zip(pictures, ("a boot", "a fish"), strict=False)
        ],
        abs=1e-5,
    )


def test_pez_similarity_compares_two_files(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (str(SAMPLES / f"web-0{n}.png") for n in (0, 1))
    assert main(["similarity", one, one, "--judge", "mini"]) == 0
    assert capsys.readouterr().out == "1.0000\n"
    assert main(["similarity", one, two, "--judge", "mini", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["judge"] == "mini" and -1 <= row["similarity"] < 0.999
    assert main(["similarity", one, "nowhere.png", "--judge", "mini"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_dino_is_the_cosine_of_class_tokens(tmp_path: Path, pictures: list[Image.Image]) -> None:
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path)
    BitImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    ).save_pretrained(tmp_path)
    judge = open_judge(f"dino:{tmp_path}", "cpu")
    assert isinstance(judge, Dino)
    same, other = judge.similarities(pictures[:2], [pictures[0], pictures[3]])
    assert same == pytest.approx(1, abs=1e-5) and other < 1 - 1e-4
    tokens = judge.model(
        judge.processor(images=[pictures[1], pictures[3]], return_tensors="pt")["pixel_values"]
    ).last_hidden_state[:, 0]
    assert other == pytest.approx(float(torch.cosine_similarity(*tokens, dim=0)), abs=1e-5)


def test_lpips_is_one_less_the_distance(pictures: list[Image.Image]) -> None:
    def net(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        assert one.shape == (2, 3, 256, 256) and one.min() >= -1 and one.max() <= 1
        return (one - two).abs().mean((1, 2, 3), keepdim=True)

    same, other = Lpips(net, torch.device("cpu")).similarities(
        pictures[:2], [pictures[0], pictures[3].resize((30, 50))]
    )
    assert same == 1 and 0 < other < 1


@pytest.mark.parametrize(
    ("load", "name"),
    [(open_judge, "dino:/nowhere"), (open_captioner, "/nowhere"), (open_judge, "lpips:x")],
)
def test_what_cannot_be_had_is_told_in_one_sentence(load: Any, name: str) -> None:
    with pytest.raises(PezError, match=r"x'; there are|neither a folder here nor an id"):
        load(name, "cpu")


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A tiny GPT-2 of random weights with a word tokenizer, opened from a folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("language")
    words = {w: n for n, w in enumerate(("<s>", "<unk>", "a", "red", "boot", "fish", "on"))}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=7, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config)
    torch.nn.init.normal_(model.transformer.wte.weight, std=1.0)
    model.save_pretrained(folder)
    return open_language_model(str(folder), "cpu")


def test_perplexity_is_the_inverse_geometric_mean_probability(language: LanguageModel) -> None:
    ids = [0, 2, 3, 4]  # <s> a red boot
    probabilities = language.model(torch.tensor([ids])).logits[0].softmax(-1)
    chances = [float(probabilities[n, i]) for n, i in enumerate(ids[1:])]
    expected = math.prod(chances) ** (-1 / 3)
    together = language.perplexities(["a red boot", "fish", "a fish on a red boot", ""])
    assert together[0] == pytest.approx(expected, rel=1e-4)
    assert together[3] is None
    alone = [language.perplexities([t])[0] for t in ("fish", "a fish on a red boot")]
    assert together[1:3] == pytest.approx(alone, rel=1e-4)  # whatever stands beside


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary() -> None:
    def model(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 11))

    def tokenizer(text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [3] * len(text)}

    tokenizer.bos_token_id = None  # type: ignore[attr-defined]
    found = LanguageModel(model, tokenizer, torch.device("cpu")).perplexities(["abc", "a"])
    assert found[0] == pytest.approx(11) and found[1] is None


@pytest.mark.parametrize(
    ("prompt", "share"),
    [
        ("a red boot", 1),
        ("A red, BOOT! (dragon's) photo-realistic", 1),
        ("a thosdeeds", 0.5),
        ("boot 🥾 nftcommunity 12 --", 1 / 3),
        ("", None),
        ("12 , !", None),
    ],
)
def test_real_words_are_a_share_of_what_looks_like_words(prompt: str, share: float | None) -> None:
    known = english()
    assert known is not None
    assert real_words(prompt, known) == (share if share is None else pytest.approx(share))


@given(st.text(max_size=40))
def test_any_text_has_a_share_between_none_and_all(text: str) -> None:
    none, every = real_words(text, lambda _: False), real_words(text, lambda _: True)
    assert (none, every) in ((0, 1), (None, None))


def test_length_is_in_tokens_of_clip_whatever_was_searched() -> None:
    assert measure("a photo of a boot")["tokens"] == 5
    assert measure("")["tokens"] == 0
