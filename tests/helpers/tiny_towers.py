"""Every kind of open_clip text tower with random weights, small enough to build at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.factory import get_model_config
from safetensors.torch import save_file
from tiny_tokenizers import WORDS, bert_tokenizer, gemma_tokenizer, roberta_tokenizer, xlm_tokenizer
from torch import Tensor

from pez.models import load_model
from pez.models.openclip import OpenClip, wrap

CPU = torch.device("cpu")
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Make every parameter count: as built, biases are zero and positions hardly differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
    return model


def config(text: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": text, **more}


def save_model(
    folder: Path, model_cfg: dict[str, Any], preprocess_cfg: dict[str, Any] | None = None
) -> str:
    """Write a folder as open_clip publishes them and give its name for load_model."""
    preprocess_cfg = preprocess_cfg or {"mean": [0.5] * 3, "std": [0.5] * 3}
    folder.mkdir(parents=True, exist_ok=True)
    whole = json.loads(json.dumps(model_cfg))
    kind = open_clip.CLIP
    if whole.pop("custom_text", False) or "hf_model_name" in whole["text_cfg"]:
        kind = open_clip.CoCa if "multimodal_cfg" in whole else open_clip.CustomTextCLIP
    if "hf_model_name" in whole["text_cfg"]:
        whole["text_cfg"]["hf_model_pretrained"] = False
    torch.manual_seed(0)
    model = shake(kind(**whole))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    written = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    return f"local-dir:{folder}"


def load(name: str) -> OpenClip:
    reader = load_model(name, "cpu")
    assert isinstance(reader, OpenClip)
    return reader


def doubled(reader: OpenClip) -> OpenClip:
    """The same model in double precision."""
    return wrap(reader.name, reader.model.double(), reader.tokens.full, CPU)


# kind -> (model config, tokenizer maker); the folder is given to configs that name files
def _clip(folder: Path) -> dict[str, Any]:
    return config(TEXT)


def _quick(folder: Path) -> dict[str, Any]:
    return config(TEXT, quick_gelu=True)


def _custom(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "ls_init_value": 0.3}, custom_text=True, quick_gelu=True)


def _vit_b_32(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-B-32, narrower and shallower."""
    own = json.loads(json.dumps(get_model_config("ViT-B-32")))
    own["text_cfg"].update(width=64, heads=4, layers=2)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _no_projection(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "proj_type": "none"}, embed_dim=32)


def _linear(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "proj_bias": True, "mlp_ratio": 2.0}, custom_text=True)


def _short(folder: Path) -> dict[str, Any]:
    """As PE-Core: CLIP's tokenizer, but fewer positions."""
    return config({**TEXT, "context_length": 16}, custom_text=True)


def _worldwide(folder: Path, start: bool = True) -> dict[str, Any]:
    """As ViT-H-14-worldwide: a causal CLIP that pools at the </s> of another tokenizer."""
    size = xlm_tokenizer(folder, start) + 3  # the table is padded beyond the tokenizer's ids
    text = {**TEXT, "context_length": 20, "vocab_size": size, "pool_type": "eos", "eos_id": 2}
    return config({**text, "hf_tokenizer_name": "facebook/xlm-v-base"})


def _worldwide_mt5(folder: Path) -> dict[str, Any]:
    """As ViT-L-14-worldwide: nothing stands before the prompt."""
    return _worldwide(folder, start=False)


def _siglip2(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-B-16-SigLIP2, narrower and shallower."""
    own = json.loads(json.dumps(get_model_config("ViT-B-16-SigLIP2")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=12)
    own["text_cfg"]["vocab_size"] = gemma_tokenizer(folder)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _clipa(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-L-14-CLIPA: bidirectional, [SEP] wiped out by its tokenizer."""
    own = json.loads(json.dumps(get_model_config("ViT-L-14-CLIPA")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=12)
    own["text_cfg"]["vocab_size"] = bert_tokenizer(folder) + 5
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _mobile(folder: Path) -> dict[str, Any]:
    """open_clip's own MobileCLIP-S1: CLIP's tokenizer, bidirectional, pooled at the end token."""
    own = json.loads(json.dumps(get_model_config("MobileCLIP-S1")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=24)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _coca(folder: Path) -> dict[str, Any]:
    """open_clip's own CoCa: a class token of the model's stands behind the padding."""
    own = json.loads(json.dumps(get_model_config("coca_ViT-B-32")))
    small = {"width": 32, "heads": 2, "layers": 2, "context_length": 23}
    own["text_cfg"].update(small)
    own["multimodal_cfg"].update(small, attn_pooler_heads=2)
    pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    return {**own, "embed_dim": 32, "vision_cfg": {**VISION, **pooled}}


def _deep_norm(folder: Path) -> dict[str, Any]:
    """Causal, but with blocks of another kind."""
    return config({**TEXT, "context_length": 16, "qk_norm": True}, custom_text=True)


def _xlm_roberta(folder: Path) -> dict[str, Any]:
    """A Hugging Face tower that masks padding, with more positions than its tokenizer fills."""
    return _hugging_face(folder, xlm_tokenizer(folder))


def _roberta(folder: Path) -> dict[str, Any]:
    """The same with a tokenizer that has two ids for each word."""
    return _hugging_face(folder, roberta_tokenizer(folder))


def _hugging_face(folder: Path, size: int) -> dict[str, Any]:
    from transformers import XLMRobertaConfig

    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower = XLMRobertaConfig(
        vocab_size=size, intermediate_size=48, max_position_embeddings=90, pad_token_id=1, **sizes
    )
    tower.save_pretrained(str(folder / "tower"))
    text = {"hf_model_name": str(folder / "tower"), "hf_tokenizer_name": "xlm-roberta-base"}
    return config({**text, "hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"})


def _nllb(folder: Path) -> dict[str, Any]:
    """A Hugging Face tower whose embedding scales what it looks up."""
    from transformers import M2M100Config

    sizes: dict[str, Any] = {"encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2}
    tower = M2M100Config(
        vocab_size=xlm_tokenizer(folder),
        d_model=32,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=90,
        pad_token_id=1,
        **sizes,
    )
    tower.save_pretrained(str(folder / "tower"))
    text = {"hf_model_name": str(folder / "tower"), "hf_tokenizer_name": "facebook/nllb"}
    return config({**text, "hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"})


CAUSAL: dict[str, Callable[[Path], dict[str, Any]]] = {
    "clip": _clip,
    "quickgelu": _quick,
    "custom": _custom,
    "ViT-B-32": _vit_b_32,
    "no-projection": _no_projection,
    "linear": _linear,
    "short": _short,
    "worldwide": _worldwide,
    "worldwide-mt5": _worldwide_mt5,
}
WHOLE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "siglip2": _siglip2,
    "clipa": _clipa,
    "mobileclip": _mobile,
    "coca": _coca,
    "qk-norm": _deep_norm,
    "xlm-roberta": _xlm_roberta,
    "roberta": _roberta,
    "nllb": _nllb,
}


def sentence(length: int, start: int = 0) -> str:
    return " ".join(WORDS[(start + n) % len(WORDS)] for n in range(length))


def embedded(reader: OpenClip, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Ids (n, l) and embeddings (n, l, w) of texts of one length."""
    ids = torch.tensor([reader.tokens.encode(text) for text in texts])
    return ids, reader.table[ids].clone()


def lengths(reader: OpenClip) -> list[int]:
    """One, a few, and all that the model reads."""
    return [1, 2, min(7, reader.tokens.limit), reader.tokens.limit]
