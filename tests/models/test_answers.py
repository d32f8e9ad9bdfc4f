"""Label scores are those of transformers' own forward, however texts and prompts are batched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from more_speakers import literal, odds
from tiny_speakers import TEXTS, byte_pairs, tiny_gpt2, tiny_llama, tiny_t5
from torch import Tensor
from transformers import BertConfig, BertLMHeadModel, BloomConfig, BloomForCausalLM

from pez.errors import PezError
from pez.formats.wording import Wording
from pez.models.answers import Answers
from pez.models.causal import Speaker
from pez.models.lines import Frame, check_words, contexts, cut_texts, frames
from pez.models.products import with_products
from pez.models.speakers import load_speaker
from pez.session.figures import label_scores

MAKERS = {"gpt2": tiny_gpt2, "llama": tiny_llama, "t5": tiny_t5}
TEMPLATES = ("{text}{prompt}{label}", "{prompt}{text} it was{label}", "{text}, {prompt}: {label}")
WORDS = ("good", "very bad", "very good", "terrible")
CLOSE = 1e-4


@pytest.fixture(scope="module", params=MAKERS)
def speaker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    folder = tmp_path_factory.mktemp(request.param)
    return load_speaker(str(MAKERS[request.param](folder)), "cpu", "float32")


@pytest.mark.parametrize("template", TEMPLATES)
def test_label_scores_are_those_of_the_plain_forward(speaker: Speaker, template: str) -> None:
    wording = Wording.of(template)
    prompts = ["good plot story", "it", "", "very bad news"]
    found = label_scores(speaker, prompts, TEXTS, wording, WORDS)
    for p, prompt in enumerate(prompts):
        wanted = torch.stack([literal(speaker, wording, prompt, text, WORDS) for text in TEXTS])
        assert torch.allclose(odds(found[p]), odds(wanted), atol=CLOSE)
        assert odds(wanted).std() > 0.05  # words matter


def searched(speaker: Speaker, wording: Wording, texts: list[str]) -> tuple[Answers, Tensor, list]:
    """The frames of texts, and two prompts of three words as embeddings and as texts."""
    kept = [frame for frame in frames(speaker, wording, texts, WORDS) if frame]
    assert len(kept) == len(texts)
    prompts = ["good plot story", "bad film it"]
    ids = torch.tensor([speaker.tokens.encode(prompt) for prompt in prompts])
    assert ids.shape == (2, 3)
    return Answers(speaker, kept, wording.prompt_leads), speaker.table[ids].clone(), prompts


def gather(answers: Answers, prompts: Tensor, chosen: list[int] | None = None) -> Tensor:
    out = torch.zeros(len(prompts), len(answers.frames), len(WORDS))
    for places, scores in answers.parts(prompts, chosen):
        out = out.index_copy(1, torch.tensor(places), scores)
    return out


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_search_reads_what_its_prompts_say_when_typed(speaker: Speaker, template: str) -> None:
    wording = Wording.of(template)
    answers, points, prompts = searched(speaker, wording, TEXTS)
    with torch.no_grad():
        found = gather(answers, points)
        alone = torch.cat([gather(answers, one[None]) for one in points])
        few = gather(answers, points, [1, 4])
    for p, prompt in enumerate(prompts):
        wanted = torch.stack([literal(speaker, wording, prompt, text, WORDS) for text in TEXTS])
        assert torch.allclose(odds(found[p]), odds(wanted), atol=CLOSE)
    assert torch.allclose(odds(found), odds(alone), atol=CLOSE)  # whatever is beside it
    assert torch.allclose(odds(few[:, [1, 4]]), odds(found[:, [1, 4]]), atol=CLOSE)
    assert not few[:, [0, 2, 3, 5]].any()


@pytest.mark.parametrize("template", TEMPLATES[:2])
def test_gradients_are_those_of_texts_read_whole(speaker: Speaker, template: str) -> None:
    wording = Wording.of(template)
    answers, points, _ = searched(speaker, wording, TEXTS[:3])
    weights = torch.randn(2, 3, len(WORDS), generator=torch.Generator().manual_seed(0))
    weights = weights - weights.mean(-1, keepdim=True)  # blind to what labels share

    def gradient() -> Tensor:
        point = points.clone().requires_grad_(True)
        parts = [(weights[:, at] * scores).sum() for at, scores in answers.parts(point)]
        return torch.autograd.grad(sum(parts), point)[0]  # type: ignore[arg-type]

    fast, plain = gradient(), speaker.plain
    speaker.plain = True
    vars(answers).pop("_fast", None)
    try:
        assert torch.allclose(fast, gradient(), atol=CLOSE)
    finally:
        speaker.plain = plain


def test_causal_models_are_read_fast_and_others_as_transformers_does(tmp_path: Path) -> None:
    assert not load_speaker(str(tiny_gpt2(tmp_path / "a")), "cpu").plain
    words = byte_pairs(tmp_path / "b")
    size: dict[str, Any] = {"hidden_size": 32, "n_layer": 2, "n_head": 4}
    BloomForCausalLM(BloomConfig(vocab_size=len(words), **size)).save_pretrained(tmp_path / "b")
    bloom = load_speaker(str(tmp_path / "b"), "cpu")  # its positions are those of a mask
    wording = Wording.of(TEMPLATES[0])
    found = label_scores(bloom, ["good plot"], TEXTS, wording, WORDS)[0]
    wanted = torch.stack([literal(bloom, wording, "good plot", text, WORDS) for text in TEXTS])
    assert torch.allclose(odds(found), odds(wanted), atol=CLOSE)


def test_a_tokenizer_without_any_end_token_is_read_alike(tmp_path: Path) -> None:
    speaker = load_speaker(str(tiny_gpt2(tmp_path, end=False)), "cpu")
    assert speaker.around == ([], [])
    wording = Wording.of(TEMPLATES[0])
    found = label_scores(speaker, ["good plot"], TEXTS, wording, WORDS)[0]
    wanted = torch.stack([literal(speaker, wording, "good plot", text, WORDS) for text in TEXTS])
    assert torch.allclose(odds(found), odds(wanted), atol=CLOSE)


def test_a_model_that_sees_both_sides_is_refused(tmp_path: Path) -> None:
    words = byte_pairs(tmp_path)
    size: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(vocab_size=len(words), intermediate_size=48, **size)
    BertLMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(PezError, match="no head for next words"):
        load_speaker(str(tmp_path), "cpu")


def test_a_model_without_a_head_is_refused(clip_like: Callable[[], Path]) -> None:
    with pytest.raises(PezError, match="no head for next words"):
        load_speaker(str(clip_like()), "cpu")


@pytest.fixture
def clip_like(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    from transformers import ViTConfig, ViTModel

    def make() -> Path:
        size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        ViTModel(ViTConfig(intermediate_size=16, **size)).save_pretrained(tmp_path)
        byte_pairs(tmp_path)
        return tmp_path

    yield make


def test_products_in_bfloat16_move_the_odds_little(tmp_path: Path) -> None:
    speaker = load_speaker(str(tiny_gpt2(tmp_path)), "cpu", "float32")
    wording = Wording.of(TEMPLATES[0])
    exact = label_scores(speaker, ["good plot"], TEXTS, wording, WORDS)
    switch = with_products(speaker.model)
    assert torch.equal(label_scores(speaker, ["good plot"], TEXTS, wording, WORDS), exact)
    with switch.quickly():
        near = label_scores(speaker, ["good plot"], TEXTS, wording, WORDS)
    assert 0 < (odds(near) - odds(exact)).abs().max() < 0.1


# ---- tokens


def test_frames_join_as_the_whole_text_does(speaker: Speaker) -> None:
    for template in TEMPLATES:
        wording = Wording.of(template)
        found = frames(speaker, wording, TEXTS, WORDS)
        whole = contexts(speaker, wording, "great cast", TEXTS, WORDS)
        ids = tuple(speaker.tokens.encode("great cast"))
        for frame, context in zip(found, whole, strict=True):
            assert isinstance(frame, Frame)
            assert (*frame.before, *ids, *frame.after) == context.ids
            assert frame.tails == context.tails


def test_whole_words_round_trip(speaker: Speaker) -> None:
    ids = speaker.tokens.whole_words()
    assert len(ids) > 20
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    for some in ids[order].split(7):
        assert speaker.tokens.encode(speaker.tokens.decode(some.tolist())) == some.tolist()


def test_label_words_that_no_model_can_tell_apart_are_refused() -> None:
    assert check_words(((1, 2), (3,)), ["a", "b"]) == ""
    assert "share their first token" in check_words(((1, 2), (1, 3)), ["very good", "very bad"])
    with pytest.raises(PezError, match="same tokens"):
        check_words(((1,), (1,)), ["good", "Good"])
    with pytest.raises(PezError, match="beginning of 'good news'"):
        check_words(((1,), (1, 2)), ["good", "good news"])


def test_texts_over_the_context_are_cut_at_their_end(speaker: Speaker) -> None:
    long = " ".join(["the film is a good story"] * 400)
    wording = Wording.of(TEMPLATES[0])
    texts, cut = cut_texts(speaker, wording, ["good fun", long], WORDS, 5)
    assert cut == 1 and texts[0] == "good fun"
    assert long.startswith(texts[1].strip()[:-4]) and len(texts[1]) > 50
    (row,) = contexts(speaker, wording, "a a a a a", texts[1:], WORDS)
    assert len(row.ids) + 3 <= speaker.context


@pytest.mark.parametrize("template", ["{text}{label}", "{text}{prompt}", "{label}{prompt}{text}"])
def test_a_template_needs_each_place_and_the_label_last(template: str) -> None:
    with pytest.raises(PezError, match="--template"):
        Wording.of(template)
