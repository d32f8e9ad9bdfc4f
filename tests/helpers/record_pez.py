"""Records runs of Algorithm 1 in its literal form, for the tests to follow: a script.

    python tests/helpers/record_pez.py     writes tests/methods/pez_trace.json anew

The literal form is :func:`pez_runs.algorithm_1`: torch.optim.AdamW (lr 0.1, weight decay 0.1), the
whole context at each step, the nearest of the whole vocabulary by cosine, normalised at each step,
and the gradient taken at the projected prompt (Wen et al. 2023). It runs in float64, so that
every machine records the same. The model has random weights, which numpy's frozen generator
draws, so that they depend on no version of torch or open_clip; the pictures are shipped samples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import open_clip
import torch
from common import ROOT
from open_clip.model import set_model_preprocess_cfg
from pez_runs import algorithm_1
from PIL import Image
from torch import Tensor

from pez.models.openclip import OpenClip, wrap

TRACE = ROOT / "tests" / "methods" / "pez_trace.json"
SAMPLES = ROOT / "data" / "samples"
WORDS = 49406  # ids of the CLIP vocabulary before the start and the end
STEPS = 30
RUNS = (  # pictures, length
    (("web/web-00.png",), 5),
    (("scenes/scenes-01.png",), 12),
    (("web/web-03.png", "art/art-02.png", "attributes/attributes-05.png"), 8),
)


def random_model() -> Any:
    """A CLIP of two layers and 32 dimensions; its weights are the same everywhere."""
    vision: dict[str, Any] = {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
    }
    text: dict[str, Any] = {"vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    model = open_clip.CLIP(32, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))
    set_model_preprocess_cfg(model, {"size": 32, "mean": (0.5,) * 3, "std": (0.25,) * 3})
    draw = np.random.RandomState(0)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            values = torch.from_numpy(draw.standard_normal(tuple(weight.shape))).float()
            if "ln_" in name:
                weight.copy_(0.1 * values + name.endswith("weight"))
            elif name != "logit_scale":
                weight.copy_(values * (0.2 if "embedding" in name else 32**-0.5))
    return model


@cache
def random_reader(dtype: torch.dtype = torch.float32) -> OpenClip:
    """The random model as a reader."""
    model = random_model().to(dtype)
    return wrap("random", model, open_clip.SimpleTokenizer(), torch.device("cpu"))


def looks(reader: OpenClip, pictures: Sequence[Image.Image]) -> Tensor:
    """open_clip's own unit features (n, e) of pictures, in the model's precision."""
    pixels = torch.stack([reader.transform(picture) for picture in pictures])
    kind = reader.model.token_embedding.weight.dtype
    with torch.no_grad():
        return reader.model.encode_image(pixels.to(kind), normalize=True)


def record() -> list[dict[str, Any]]:
    """The runs: pictures, and at each step the projected ids and their mean cosine."""
    reader, out = random_reader(torch.float64), []
    for n, (names, length) in enumerate(RUNS):
        pictures = [Image.open(SAMPLES / name).convert("RGB") for name in names]
        start = torch.from_numpy(np.random.RandomState(n).randint(0, WORDS, length))
        words = torch.arange(WORDS)
        path, scores = algorithm_1([reader], words, [looks(reader, pictures)], start, STEPS)
        scores = [round(score, 9) for score in scores]
        out.append({"images": names, "length": length, "ids": path, "score": scores})
    return json.loads(json.dumps(out))


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(run) for run in record())
    TRACE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
