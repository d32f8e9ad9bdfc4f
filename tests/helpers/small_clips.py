"""Small CLIPs with random weights in folders, pictures of noise, and what load_model refuses."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pez.errors import PezError
from pez.models import load_model

CPU = torch.device("cpu")


def picture(seed: int = 0, size: tuple[int, int] = (50, 40)) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def small_folder(folder: Path, **text: int) -> Path:
    """A CLIP with random weights in a folder as open_clip publishes them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32, "layers": 1, "width": 16, "head_width": 16, "patch_size": 16
        },
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1, **text
        },
    }  # fmt: skip
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**made).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": made}))
    return folder


def trained_further(folder: Path, amount: float = 1e-3) -> None:
    """Change all weights of a folder a little, as a few steps of training do."""
    for path in folder.rglob("*.safetensors"):
        state = load_file(path)
        generator = torch.Generator().manual_seed(1)
        for name, x in state.items():
            if x.is_floating_point():
                noise = torch.randn(x.shape, generator=generator).to(x.dtype)
                state[name] = x * (1 + amount * noise)
        save_file(state, path)


def refusal(*args: object, **kwargs: object) -> str:
    """What load_model says."""
    with pytest.raises(PezError) as error:
        load_model(*args, **kwargs)  # type: ignore[arg-type]
    text = str(error.value)
    assert "\n" not in text and text.endswith((".", ")"))
    return text
