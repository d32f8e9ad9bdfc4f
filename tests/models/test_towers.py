"""Forward passes from embeddings: every kind of open_clip text tower, with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.factory import get_model_config
from tiny_towers import (
    CAUSAL,
    CPU,
    VISION,
    WHOLE,
    doubled,
    embedded,
    lengths,
    load,
    save_model,
    sentence,
)

from pez.models.openclip import OpenClip, wrap
from pez.models.text_tower import (
    Tower,
    causal_tower,
    cut_features,
    embedding_module,
    full_features,
    text_module,
)
from pez.search.tokens import Tokens

# ------------------------------------------------------------------- cut and uncut towers


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_cut_context_changes_nothing_in_a_causal_tower(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    plain = reader(kind)
    assert plain.causal, "a causal tower must be recognised, or the search is slow"
    for length in lengths(plain):
        texts = [sentence(length, start) for start in (0, 3)]
        ids, embeddings = embedded(plain, texts)
        assert ids.shape == (2, length)
        assert plain.tower is not None
        cut = cut_features(plain.tower, embeddings)
        full = full_features(plain.model, plain.tokens, embeddings)
        own = plain.model.encode_text(plain.tokens.full(texts))
        torch.testing.assert_close(cut, own, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(full, own, atol=1e-5, rtol=1e-5)
        assert (cut[0] - cut[1]).abs().max() > 1e-2, "a test on equal features shows nothing"


@pytest.mark.parametrize("kind", CAUSAL)
def test_cut_and_uncut_agree_to_the_last_digits_and_so_do_their_gradients(
    kind: str, tmp_path: Path
) -> None:
    exact = doubled(load(save_model(tmp_path, CAUSAL[kind](tmp_path))))
    assert exact.tower is not None
    for length in {1, 5, exact.tokens.limit}:
        texts = [sentence(length, start) for start in (0, 3)]
        _, embeddings = embedded(exact, texts)
        cut_in = embeddings.clone().requires_grad_(True)
        full_in = embeddings.clone().requires_grad_(True)
        cut = cut_features(exact.tower, cut_in)
        full = full_features(exact.model, exact.tokens, full_in)
        own = exact.model.encode_text(exact.tokens.full(texts))
        torch.testing.assert_close(cut, full, atol=1e-10, rtol=0)
        torch.testing.assert_close(cut, own, atol=1e-10, rtol=0)
        weights = torch.randn(cut.shape, dtype=cut.dtype, generator=torch.manual_seed(5))
        (by_cut,) = torch.autograd.grad((cut * weights).sum(), cut_in)
        (by_full,) = torch.autograd.grad((full * weights).sum(), full_in)
        torch.testing.assert_close(by_cut, by_full, atol=1e-10, rtol=0)
        assert by_cut.abs().amax((0, 2)).min() > 1e-6, "every place must matter"


def test_the_start_goes_through_the_tower_once_and_the_end_alone_is_finished(
    reader: Callable[[str], OpenClip],
) -> None:
    plain = reader("clip")
    tower = causal_tower(plain.model, plain.tokens)
    assert tower is not None
    _, embeddings = embedded(plain, [sentence(4), sentence(4, 3)])
    seen: list[torch.Size] = []
    hooks = [
        b.ln_2.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape)) for b in tower.blocks
    ]
    try:
        tower.seen  # noqa: B018  # a property computed once
        start, width = (
            len(tower.blocks) - 1,
            embeddings.shape[-1],
        )  # the last finishes the end alone
        assert seen == [(1, 1, width)] * start
        cut_features(tower, embeddings)
        cut_features(tower, embeddings)
    finally:
        for hook in hooks:
            hook.remove()
    step = [(2, 5, width)] * (len(tower.blocks) - 1) + [(2, 1, width)]
    assert seen[start:] == step * 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["clip", "custom", "siglip2"])
def test_half_precision_stays_close(
    kind: str, dtype: torch.dtype, tmp_path: Path, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    folder = tmp_path / "half"
    model = load(save_model(folder, {**CAUSAL, **WHOLE}[kind](folder))).model.to(dtype)
    half = wrap("half", model, whole.tokens.full, CPU)
    assert half.table.dtype == dtype
    assert half.causal == whole.causal
    text = sentence(6)
    _, embeddings = embedded(half, [text])
    features = half.features(embeddings.float())  # a search works in float32
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(1))
    assert F.cosine_similarity(features, half.encode_text([text])).item() > 0.999
    assert F.cosine_similarity(features, whole.encode_text([text])).item() > 0.99


@pytest.mark.parametrize("kind", WHOLE)
def test_towers_that_see_behind_the_prompt_are_never_cut(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    assert not whole.causal
    for length in lengths(whole):
        texts = [sentence(length, start) for start in (0, 3)]
        ids, embeddings = embedded(whole, texts)
        assert ids.shape == (2, length)
        own = F.normalize(whole.model.encode_text(whole.tokens.full(texts)), dim=-1)
        torch.testing.assert_close(whole.features(embeddings), own, atol=1e-5, rtol=1e-5)
        assert (own[0] - own[1]).abs().max() > 1e-3, "a test on equal features shows nothing"


@pytest.mark.parametrize("kind", [*CAUSAL, *WHOLE])
def test_a_row_does_not_depend_on_its_neighbours(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    model = reader(kind)
    _, embeddings = embedded(model, [sentence(4, start) for start in range(3)])
    together = model.features(embeddings)
    alone = torch.cat([model.features(row[None]) for row in embeddings])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["siglip2", "mobileclip"])
def test_cutting_a_bidirectional_tower_would_change_its_features(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    text = text_module(whole.model)
    before, after = whole.tokens.layout(1)
    tower = Tower(
        list(text.transformer.resblocks),
        text.transformer.resblocks[0].attn.num_heads,
        text.ln_final,
        text.text_projection,
        text.token_embedding.weight[before] + text.positional_embedding[: len(before)],
        text.token_embedding.weight[after[0]],
        text.positional_embedding,
    )
    _, embeddings = embedded(whole, [sentence(4)])
    wrong = F.normalize(cut_features(tower, embeddings), dim=-1)
    right = whole.features(embeddings)
    assert (wrong - right).abs().max() > 0.01


def test_gradients_reach_every_place_of_an_uncut_tower(reader: Callable[[str], OpenClip]) -> None:
    for kind in WHOLE:
        model = reader(kind)
        _, embeddings = embedded(model, [sentence(4)])
        embeddings.requires_grad_(True)
        (gradient,) = torch.autograd.grad(model.features(embeddings)[0, 0], embeddings)
        assert gradient.abs().amax(-1).min() > 0, kind


def test_the_oracle_leaves_no_hook_behind(reader: Callable[[str], OpenClip]) -> None:
    model = reader("mobileclip")
    texts = [sentence(3)]
    before = model.encode_text(texts)
    with pytest.raises(RuntimeError):
        full_features(model.model, model.tokens, torch.zeros(1, 3, 7))  # a wrong width
    assert not embedding_module(model.model)._forward_hooks
    torch.testing.assert_close(model.encode_text(texts), before)


# ----------------------------------------------------------------- which tower is which

SEE_BEHIND = ("SigLIP", "CLIPA", "MobileCLIP-S", "MobileCLIP2-S", "MobileCLIP2-L", "coca_")


OWN_TOWERS = [  # the others' towers would have to be fetched from the hub
    name
    for name in open_clip.list_models()
    if "hf_model_name" not in get_model_config(name)["text_cfg"]  # type: ignore[index]
]


@pytest.mark.parametrize("name", OWN_TOWERS)
def test_every_open_clip_architecture_is_known_for_what_it_is(name: str) -> None:
    made = json.loads(json.dumps(get_model_config(name)))
    text = made["text_cfg"]
    text["layers"] = 1
    made["vision_cfg"] = dict(VISION)
    kind = open_clip.CLIP
    if made.pop("custom_text", False):
        kind = open_clip.CoCa if "multimodal_cfg" in made else open_clip.CustomTextCLIP
    if kind is open_clip.CoCa:
        made["multimodal_cfg"]["layers"] = 1
        pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        made["vision_cfg"].update(pooled)
    with torch.device("meta"):
        model = kind(**made)
    end = text.get("eos_id", 49407)
    tokens: Any = SimpleNamespace(  # start, word, end: all that is asked of a tokenizer here
        layout=lambda length: ([0], [end, 1]), size=49408, special=frozenset({0, 1, 2, 49407})
    )
    assert len(OWN_TOWERS) > 100
    causal = causal_tower(model, tokens) is not None
    assert causal == (not any(part in name for part in SEE_BEHIND))


def test_a_pool_that_misses_the_end_token_is_not_cut(reader: Callable[[str], OpenClip]) -> None:
    model = reader("worldwide")
    ours, other = model.tokens, Tokens(open_clip.SimpleTokenizer(context_length=20), 20)
    assert causal_tower(model.model, ours) is not None
    assert causal_tower(model.model, other) is None  # its end token is not eos_id
    clip = reader("clip")
    low = SimpleNamespace(layout=lambda n: ([0], [2]), size=99, special=frozenset({0, 2}))
    assert causal_tower(clip.model, low) is None  # type: ignore[arg-type] # 2 is not the largest
