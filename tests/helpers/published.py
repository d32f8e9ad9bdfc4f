"""What the hub publishes, under its names and in its layouts, tiny and with random weights."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from open_clip.pretrained import get_pretrained_cfg
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_pipelines import save_flux, save_sd, save_sd3, save_sd21, save_sdxl
from tiny_tokenizers import xlm_tokenizer
from tiny_towers import CAUSAL, WHOLE, config, save_model
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

from pez.models.generators import GENERATORS
from pez.models.languages import shipped_languages

diffusers: Any = importlib.import_module("diffusers")

SAFE, BIN = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
SMALL = "ViT-B-32"  # the architecture that tests make tiny
TAGS = {"laion2b_s34b_b79k": SAFE, "laion2b_e16": BIN}  # one of each kind of file
CLIP, WORLD, LANGUAGE = "clips/tiny", "clips/worldwide", "texts/tiny-lm"
LORA, EMBEDDING, CONTROL = "styles/tiny-lora", "styles/tiny-words", "styles/tiny-control"
DINO = "eyes/tiny-dino"
OLDER = "v1.0"  # another revision of CLIP, LANGUAGE, and the small pipeline
SD = GENERATORS["sd15"].source


def tiny_architecture() -> dict[str, Any]:
    """open_clip's ViT-B-32, narrower and shallower."""
    return CAUSAL["ViT-B-32"](Path())


def tag_repository(tag: str) -> str:
    """Where open_clip says that the weights of a tag of ViT-B-32 are."""
    return get_pretrained_cfg(SMALL, tag)["hf_hub"].rstrip("/")


def publish(root: Path) -> None:
    """Fill ``root`` with every kind of repository that pez reads."""
    for tag, file in TAGS.items():
        folder = root / tag_repository(tag)
        save_model(folder, tiny_architecture())
        (folder / "open_clip_config.json").unlink()
        _only(folder, file)
    save_model(root / CLIP, config(dict(CAUSAL["clip"](Path())["text_cfg"])))
    shutil.copytree(root / CLIP, root / f"{CLIP}@{OLDER}")
    _shift(root / f"{CLIP}@{OLDER}" / SAFE)
    save_model(root / WORLD, WHOLE["siglip2"](root / WORLD))
    shutil.copytree(root / WORLD, root / f"{WORLD}@{OLDER}")
    words = root / "timm" / "ViT-B-16-SigLIP2"  # where its configuration has its tokenizer from
    words.mkdir(parents=True)
    for file in [*(root / WORLD).glob("tok*"), *(root / WORLD).glob("special*")]:
        shutil.move(file, words)
    shutil.copytree(shipped_languages()["mini-lm"], root / LANGUAGE)
    shutil.copytree(root / LANGUAGE, root / f"{LANGUAGE}@{OLDER}")
    _shift(root / f"{LANGUAGE}@{OLDER}" / "model.safetensors")
    save_sd(root / SD)
    noise = root / SD / "scheduler" / "scheduler_config.json"
    noise.write_text(json.dumps(json.loads(noise.read_text()) | {"skip_prk_steps": True}))
    shutil.copytree(root / SD, root / f"{SD}@{OLDER}")
    save_sd21(root / GENERATORS["sd21"].source)
    save_sdxl(root / GENERATORS["sdxl"].source)
    save_sd3(root / GENERATORS["sd3"].source)
    words = root.parent / "t5"
    save_flux(root / GENERATORS["flux"].source, xlm_tokenizer(words), words)
    _save_additions(root)
    _save_dino(root / DINO)


def _only(folder: Path, file: str) -> None:
    """Leave the weights of an open_clip model under one published name."""
    if file != SAFE:
        torch.save(load_file(folder / SAFE), folder / file)
        (folder / SAFE).unlink()


def _shift(file: Path) -> None:
    """Other weights, as another revision has them."""
    save_file({k: v + 0.3 if v.ndim > 1 else v for k, v in load_file(file).items()}, file)


def _save_dino(folder: Path) -> None:
    """A judge of pictures."""
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(image_size=28, patch_size=14, **sizes)).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 28}, crop_size=28).save_pretrained(folder)


def _save_additions(root: Path) -> None:
    """A LoRA, a word and a ControlNet for the tiny SD 1.5."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(root / SD)
    width = pipe.text_encoder.config.hidden_size
    (root / EMBEDDING).mkdir(parents=True)
    torch.save({"<thing>": torch.ones(width)}, root / EMBEDDING / "learned_embeds.bin")
    net = diffusers.ControlNetModel.from_unet(
        pipe.unet, conditioning_embedding_out_channels=(16, 32)
    )
    net.save_pretrained(root / CONTROL)
    torch.manual_seed(0)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    layers = get_peft_model_state_dict(pipe.unet)
    diffusers.StableDiffusionPipeline.save_lora_weights(root / LORA, layers)
