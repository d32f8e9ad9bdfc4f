"""The text side of the shipped CLIP ``mini`` as transformers' classes, with a small vocabulary.

The tokenizer has CLIP's single bytes and those of its merges that the world's words need. It splits
these words as CLIP does, and all other text into smaller pieces.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import world
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pez.models.shipped import load


def _pieces(clip: SimpleTokenizer) -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens in the order of their ids, and merges in CLIP's order."""
    used: set[tuple[str, str]] = set()
    for word in [*world.all_words(), ",", ":"]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda p: clip.bpe_ranks.get(p, 10**9))
            if best not in clip.bpe_ranks:
                break
            used.add(best)
            n = pairs.index(best)
            parts[n : n + 2] = ["".join(best)]
    merges = sorted(used, key=lambda p: clip.bpe_ranks[p])
    single = [t for t in clip.encoder if len(t.removesuffix("</w>")) == 1 and clip.encoder[t] < 512]
    tokens = {*single, *("".join(m) for m in merges)}
    ends = [clip.decoder[clip.sot_token_id], clip.decoder[clip.eot_token_id]]
    return [*sorted(tokens, key=lambda t: clip.encoder[t]), *ends], merges


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer, reduced to the pieces that the world needs."""
    tokens, merges = _pieces(SimpleTokenizer())
    start, end = tokens[-2:]
    names = ["<|startoftext|>", "<|endoftext|>"]
    vocab = {t: n for n, t in enumerate([*tokens[:-2], *names])}
    assert (start, end) == ("<start_of_text>", "<end_of_text>")
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=32)


def text_encoder() -> CLIPTextModel:
    """mini's text tower, frozen, with the rows of :func:`tokenizer`'s tokens."""
    clip, source = SimpleTokenizer(), load("mini", torch.device("cpu"), torch.float32).model
    tokens, _ = _pieces(clip)
    rows = torch.tensor([clip.encoder[t] for t in tokens])
    state = source.state_dict()
    width = state["ln_final.weight"].shape[0]
    layers = len(source.transformer.resblocks)
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=state["text_projection"].shape[1],
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=len(state["positional_embedding"]),
        hidden_act="gelu",
        bos_token_id=len(tokens) - 2,
        eos_token_id=len(tokens) - 1,
        pad_token_id=len(tokens) - 1,
    )
    new = {
        "embeddings.token_embedding.weight": state["token_embedding.weight"][rows],
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    for n in range(layers):
        old, here = f"transformer.resblocks.{n}.", f"encoder.layers.{n}."
        for kind in ("weight", "bias"):
            parts = state[f"{old}attn.in_proj_{kind}"].chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                new[f"{here}self_attn.{name}_proj.{kind}"] = part
            new[f"{here}self_attn.out_proj.{kind}"] = state[f"{old}attn.out_proj.{kind}"]
            new[f"{here}layer_norm1.{kind}"] = state[f"{old}ln_1.{kind}"]
            new[f"{here}layer_norm2.{kind}"] = state[f"{old}ln_2.{kind}"]
            new[f"{here}mlp.fc1.{kind}"] = state[f"{old}mlp.c_fc.{kind}"]
            new[f"{here}mlp.fc2.{kind}"] = state[f"{old}mlp.c_proj.{kind}"]
    model = CLIPTextModel(config)
    prefix = "text_model." if any(k.startswith("text_model.") for k in model.state_dict()) else ""
    model.load_state_dict({prefix + k: v for k, v in new.items()})
    return model.eval().requires_grad_(False)
