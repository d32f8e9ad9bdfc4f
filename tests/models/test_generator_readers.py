"""``--for``: a generator's own encoders read a prompt as the models do that are searched for it.

A pipeline of diffusers reads with transformers' CLIP, its weights converted, and transformers'
tokenizer. Here small towers with random weights are converted and both read the same texts.
"""

from __future__ import annotations

import random
from typing import Any

import diffusers as typed_diffusers
import open_clip
import pytest
import torch
import torch.nn.functional as F
from converted_clips import END, clip, converted, same, tokenizer
from tiny_tokenizers import SPOKEN
from torch import Tensor

from pez.models.diffusion import clip_table, read_alike
from pez.models.generators import GENERATORS, G, H, L, misread
from pez.models.openclip import OpenClip
from pez.search.tokens import Tokens
from pez.session.words import allowed_ids

diffusers: Any = typed_diffusers
MARK = "!"  # what the tokenizers beside H and G pad with; that beside L pads with END
TEXTS = [
    "",
    "a red cat",
    "A Photo Of CATS, it's ONE-of-a_kind; 3.5% (x) [y] @z #\N{SNOWMAN} caf\u00e9",
    " ".join((SPOKEN.split() * 4)[:75]),
    " ".join((SPOKEN.split() * 4)[:90]),  # cut alike
]
# texts that open_clip's tokenizer cleans, and those of transformers do not
ODD = [
    "don\N{RIGHT SINGLE QUOTATION MARK}t \N{LEFT DOUBLE QUOTATION MARK}say",
    "\N{LATIN SMALL LIGATURE FI}ne \N{FULLWIDTH LATIN SMALL LETTER F}ull",
    "cats &amp; dogs &amp;lt;3 &#39;s",
    "bell\x07 and \x1b[0m",
    "\N{GREEK CAPITAL LETTER LAMDA}\N{GREEK CAPITAL LETTER OMICRON}\N{GREEK CAPITAL LETTER SIGMA}",
    "\N{LATIN CAPITAL LETTER D WITH SMALL LETTER Z WITH CARON}",
    "\N{LATIN CAPITAL LETTER A WITH TILDE}\N{COPYRIGHT SIGN}cole",
]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    return {pad: tokenizer(pad) for pad in (END, MARK)}


@pytest.fixture(scope="module")
def readers() -> dict[str, OpenClip]:
    return {L: clip(32, 24, True), H: clip(48, 40, False), G: clip(64, 56, False)}


@torch.no_grad()
def states(reader: OpenClip, ids: Tensor) -> list[Tensor]:
    """Hidden states (b, n, w) before the first block and behind each, by open_clip's blocks."""
    model = reader.model
    out = [model.token_embedding(ids) + model.positional_embedding[: ids.shape[1]]]
    for block in model.transformer.resblocks:
        out.append(block(out[-1], attn_mask=model.attn_mask))
    return out


def rows(tokenizer: Any, texts: list[str]) -> Tensor:
    """Ids (b, 77) as a pipeline has them."""
    return tokenizer(
        texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )["input_ids"]


# ------------------------------------------------------------------------------- encoders


@pytest.mark.parametrize("eos", [2, 49407])
def test_sd1_attends_to_the_last_states_of_l(
    eos: int, readers: dict[str, OpenClip], tokenizers: dict[str, Any]
) -> None:
    reader, words = readers[L], tokenizers[END]
    encoder = converted(reader, "CLIPTextModel", eos=eos)
    pipe = diffusers.StableDiffusionPipeline(
        None, encoder, words, None, None, None, None, requires_safety_checker=False
    )
    own, _ = pipe.encode_prompt(TEXTS, "cpu", 1, False)
    ids = rows(words, TEXTS)
    same(own, reader.model.ln_final(states(reader, ids)[-1]))
    ends = (ids == 49407).int().argmax(1)
    pooled = own[torch.arange(len(ids)), ends] @ reader.model.text_projection
    same(F.normalize(pooled, dim=-1), reader.encode_text(TEXTS))
    same(encoder(ids).pooler_output, own[torch.arange(len(ids)), ends])


def test_sd2_attends_to_h_before_its_last_block(
    readers: dict[str, OpenClip], tokenizers: dict[str, Any]
) -> None:
    reader, words = readers[H], tokenizers[MARK]
    pipe = diffusers.StableDiffusionPipeline(
        None, converted(reader, "CLIPTextModel", layers=2), words, None, None, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    own, _ = pipe.encode_prompt(TEXTS, "cpu", 1, False)
    ids = reader.tokens.inputs(TEXTS)
    assert torch.equal(rows(words, TEXTS), ids)  # it pads as open_clip does
    same(own, reader.model.ln_final(states(reader, ids)[-2]))


@pytest.mark.parametrize("eos", [2, 49407])
def test_sdxl_attends_to_both_and_is_steered_by_the_searched_feature_of_g(
    eos: int, readers: dict[str, OpenClip], tokenizers: dict[str, Any]
) -> None:
    one, two = readers[L], readers[G]
    pipe = diffusers.StableDiffusionXLPipeline(
        None, converted(one, "CLIPTextModel", eos=eos),
        converted(two, "CLIPTextModelWithProjection", eos=eos),
        tokenizers[END], tokenizers[MARK], None, None, add_watermarker=False,
    )  # fmt: skip
    own, _, pooled, _ = pipe.encode_prompt(
        TEXTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    pairs = ((one, tokenizers[END]), (two, tokenizers[MARK]))
    same(own, torch.cat([states(r, rows(words, TEXTS))[-2] for r, words in pairs], -1))
    same(F.normalize(pooled, dim=-1), two.encode_text(TEXTS))
    ids = [two.tokens.encode(text) for text in TEXTS[1:3]]
    for text, row in zip(pooled[1:3], ids, strict=True):
        found = two.features(two.table[torch.tensor([row])])[0]
        same(F.normalize(text, dim=-1), found)  # by the cut forward of a search


def test_sd3_is_steered_by_the_searched_features_of_both(
    readers: dict[str, OpenClip], tokenizers: dict[str, Any]
) -> None:
    one, two = readers[L], readers[G]
    kind = "CLIPTextModelWithProjection"
    pipe = diffusers.StableDiffusion3Pipeline(
        None, None, None, converted(one, kind, eos=2), tokenizers[END],
        converted(two, kind, eos=2), tokenizers[MARK], None, None,
    )  # fmt: skip
    parts = [pipe._get_clip_prompt_embeds(TEXTS, device="cpu", clip_model_index=n) for n in (0, 1)]
    pairs = ((one, tokenizers[END]), (two, tokenizers[MARK]))
    for (own, pooled), (reader, words) in zip(parts, pairs, strict=True):
        same(own, states(reader, rows(words, TEXTS))[-2])
        same(F.normalize(pooled, dim=-1), reader.encode_text(TEXTS))


def test_flux_takes_the_pooled_state_of_l_before_its_projection(
    readers: dict[str, OpenClip], tokenizers: dict[str, Any]
) -> None:
    reader = readers[L]
    pipe = diffusers.FluxPipeline(
        None, None, converted(reader, "CLIPTextModel", eos=2), tokenizers[END], None, None, None
    )
    pooled = pipe._get_clip_prompt_embeds(TEXTS, device="cpu")
    found = F.normalize(pooled @ reader.model.text_projection, dim=-1)
    same(found, reader.encode_text(TEXTS))


def test_the_architectures_are_those_of_the_published_encoders() -> None:
    # width, blocks, heads and feature of text_encoder(_2)/config.json in SD 1.5, SD 2.1 (one
    # block fewer than H) and SDXL, and whether hidden_act is quick_gelu
    published = {
        L: (768, 12, 12, 768, True), H: (1024, 24, 16, 1024, False), G: (1280, 32, 20, 1280, False)
    }  # fmt: skip
    for name, (width, blocks, heads, feature, quick) in published.items():
        architecture, tag = name.split("/")
        made: Any = open_clip.get_model_config(architecture)
        text = made["text_cfg"]
        assert (text["width"], text["layers"], text["heads"]) == (width, blocks, heads)
        assert made["embed_dim"] == feature and text["vocab_size"] == 49408
        assert bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu")) is quick
    assert {m for known in GENERATORS.values() for m in known.readers} == {*published, "mini"}


# ------------------------------------------------------------------------------- tokenizers


@pytest.mark.parametrize("kind", ["words", "ascii", "all"])
def test_found_prompts_have_the_same_ids_in_a_pipeline(
    kind: str, tokens: Tokens, tokenizers: dict[str, Any]
) -> None:
    ids, dice = allowed_ids(tokens, kind).tolist(), random.Random(0)
    comma = tokens.encode(",")
    prompts = [tokens.decode(dice.choices(ids, k=16)) for _ in range(1500)]
    prompts += [tokens.decode((comma + dice.choices(ids, k=2)) * 4) for _ in range(300)]
    if kind == "words":
        prompts += [tokens.decode([i]) for i in ids]
    searched = [tokens.encode(prompt) for prompt in prompts]
    for words in tokenizers.values():
        assert words(prompts, add_special_tokens=False)["input_ids"] == searched
    assert kind != "words" or searched[-len(ids) :] == [[i] for i in ids]


def test_given_texts_come_back_in_a_form_that_a_pipeline_reads_alike(
    tokens: Tokens, tokenizers: dict[str, Any]
) -> None:
    plain = tokenizers[END](ODD, add_special_tokens=False)["input_ids"]
    assert all(a != tokens.encode(text) for a, text in zip(plain, ODD, strict=True))
    back = [tokens.decode(tokens.encode(text)) for text in ODD]  # as a template's words are
    back += [tokens.decode([451, *tokens.encode("cat")])]  # the byte 7, which nobody types
    assert back[-1] == "cat"
    typed = [tokens.encode(text) for text in back]
    for words in tokenizers.values():
        assert words(back, add_special_tokens=False)["input_ids"] == typed


def test_a_mark_that_pads_is_not_chosen_and_told_where_it_is_given(
    tokens: Tokens, tokenizers: dict[str, Any]
) -> None:
    assert tokens.encode("wow!") == [2781, 256]
    assert tokenizers[END]("wow!", add_special_tokens=False)["input_ids"] == [2781, 256]
    assert tokenizers[MARK]("wow!", add_special_tokens=False)["input_ids"] == [2781, 0]
    for kind in ("words", "ascii", "all"):
        assert not any(MARK in tokens.decode([i]) for i in allowed_ids(tokens, kind).tolist())
    for name, models in ((k, v.readers) for k, v in GENERATORS.items()):
        told = name.startswith(("sd2", "sdxl", "sd3"))
        assert misread(tokens, name, "wow!") is misread(tokens, " + ".join(models), "wow!") is told
        assert not misread(tokens, name, "wow?")


def test_a_pipelines_own_words_are_read_alike(tokens: Tokens, tokenizers: dict[str, Any]) -> None:
    words = tokenizers[MARK]
    table, known = clip_table(tokens, words.get_vocab(), torch.randn(49408, 4))
    kept = read_alike(tokens, words, known)
    left_out = set(known.tolist()) - set(kept.tolist())
    assert left_out == {i for i in known.tolist() if MARK in tokens.decode([i])}
    assert len(table) == tokens.size
