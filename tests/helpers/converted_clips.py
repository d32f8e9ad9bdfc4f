"""Small CLIPs of open_clip with random weights, and the same ones as classes of transformers."""

from __future__ import annotations

from typing import Any

import open_clip
import torch
import transformers as typed_transformers
from torch import Tensor

from pez.models.openclip import OpenClip, wrap

transformers: Any = typed_transformers
END = "<|endoftext|>"


def tokenizer(pad: str) -> Any:
    """transformers' CLIP tokenizer with open_clip's byte pairs."""
    own = open_clip.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": END}
    vocab = {names.get(word, word): i for word, i in own.encoder.items()}
    merges = sorted(own.bpe_ranks, key=lambda pair: own.bpe_ranks[pair])
    return transformers.CLIPTokenizer(
        vocab=vocab, merges=merges, model_max_length=77, pad_token=pad
    )


def clip(width: int, feature: int, quick: bool) -> OpenClip:
    """A small CLIP of CLIP's vocabulary; its weights are large enough for activations to matter."""
    torch.manual_seed(width)
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 32, "patch_size": 16}
    text = {"vocab_size": 49408, "width": width, "heads": 4, "layers": 3}
    model = open_clip.CLIP(feature, vision, text, quick_gelu=quick)  # type: ignore[arg-type]
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.1) if p.ndim > 1 else p.add_(0.1 * torch.randn_like(p))
    return wrap("small", model, open_clip.SimpleTokenizer(), torch.device("cpu"))


def converted(reader: OpenClip, kind: str, layers: int = 3, eos: int = 49407) -> Any:
    """The text tower as transformers' class ``kind``, with its first ``layers``."""
    model = reader.model
    width, feature = model.text_projection.shape
    made = getattr(transformers, kind)(
        transformers.CLIPTextConfig(
            vocab_size=49408,
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=feature,
            num_hidden_layers=layers,
            num_attention_heads=4,
            hidden_act="quick_gelu" if is_quick(reader) else "gelu",
            bos_token_id=0 if eos == 2 else 49406,
            eos_token_id=eos,
            pad_token_id=1,
        )
    )
    state = {
        "embeddings.token_embedding.weight": model.token_embedding.weight,
        "embeddings.position_embedding.weight": model.positional_embedding,
        "final_layer_norm.weight": model.ln_final.weight,
        "final_layer_norm.bias": model.ln_final.bias,
    }
    for n, block in enumerate(model.transformer.resblocks[:layers]):
        parts = {
            "layer_norm1": block.ln_1,
            "layer_norm2": block.ln_2,
            "self_attn.out_proj": block.attn.out_proj,
            "mlp.fc1": block.mlp.c_fc,
            "mlp.fc2": block.mlp.c_proj,
        }
        here = f"encoder.layers.{n}"
        for name, part in parts.items():
            state |= {f"{here}.{name}.{k}": v for k, v in part.state_dict().items()}
        for kind_of, tensor in (
            ("weight", block.attn.in_proj_weight),
            ("bias", block.attn.in_proj_bias),
        ):
            for name, rows in zip("qkv", tensor.chunk(3), strict=True):
                state[f"{here}.self_attn.{name}_proj.{kind_of}"] = rows
    if kind == "CLIPTextModelWithProjection":
        state = {f"text_model.{name}": x for name, x in state.items()}
        state["text_projection.weight"] = model.text_projection.T
    made.load_state_dict({name: x.detach().clone() for name, x in state.items()})
    return made.eval()


def is_quick(reader: OpenClip) -> bool:
    return type(reader.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a.detach(), b.detach(), atol=1e-5, rtol=1e-5)
