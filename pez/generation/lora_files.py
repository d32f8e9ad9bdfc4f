"""What a file given as a LoRA is, by the names of its tensors, before diffusers takes a part of it.

diffusers drops what it does not know with a warning, or fails far from the cause: DoRA's scale,
LyCORIS' other decompositions, files that are no LoRA at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.models.trust import check_file

_LYCORIS = {
    "hada_w1": "LoHa",
    "lokr_w": "LoKr",
    "oft_blocks": "OFT",
    "oft_diag": "OFT",
    "on_input": "IA3",
    "b1.weight": "GLoRA",
    "diff_b": "a full difference",
}
_OF_TRAINING = ("scheduler", "optimizer", "checkpoint")
_CONVERT = "diffusers reads plain LoRA alone, so convert it, or use another"


def lora_file(folder: Path, source: str) -> Path:
    """The file of a folder that diffusers would take for its LoRA; raises as :func:`lora_name`."""
    return folder / lora_name([p.name for p in folder.iterdir() if p.is_file()], source)


def lora_name(names: Iterable[str], source: str) -> str:
    """The one of some files that diffusers would take for the LoRA of its folder or repository.
    PezError if there is none, and for several, of which it would take any.
    """
    for end in (".safetensors", ".bin"):
        found = sorted(name for name in names if name.endswith(end))
        found = [name for name in found if not any(part in name for part in _OF_TRAINING)]
        usual = [name for name in found if name.rpartition("/")[2] == f"pytorch_lora_weights{end}"]
        if len(usual or found) > 1:
            listed = ", ".join(found)
            raise PezError(f"{source} holds several files of weights ({listed[:120]}); give one.")
        if found:
            return (usual or found)[0]
    raise PezError(f"{source} holds no LoRA; give its file, or another folder.")


def check_lora(path: Path, source: str) -> None:
    """PezError for a file that is damaged, no LoRA, or one of which diffusers would drop a part."""
    check_file(path)
    names = _names(path, source)
    text = "\n".join(names)
    if "dora_scale" in text or "lora_magnitude_vector" in text:
        raise PezError(f"{source} is a DoRA, whose scale diffusers drops; {_CONVERT}.")
    for part, kind in _LYCORIS.items():
        if re.search(rf"\.{re.escape(part)}", text):
            raise PezError(f"{source} is a LyCORIS file with {kind}; {_CONVERT}.")
    if "lora" in text.lower():
        return
    raise PezError(f"{source} holds no LoRA{_instead(names)}.")


def _names(path: Path, source: str) -> list[str]:
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            return list(file.keys())
    import torch

    try:  # "meta" keeps names and shapes alone
        held: Any = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # a pickle may fail in any way
        why = str(error).split("\n")[0][:120]
        raise PezError(f"{source} is not a file of tensors ({why}).") from None
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    return [str(name) for name in held] if isinstance(held, Mapping) else []


def _instead(names: list[str]) -> str:
    """What a file holds in place of a LoRA, as the end of a sentence."""
    known = set(names)
    if {"layer_structure", "activation_func"} & known or {"320", "640", "768"} <= known:
        return ": it is a hypernetwork; give it as --hypernet"
    if known & {"emb_params", "string_to_param", "clip_l", "clip_g"}:
        return ": it is a textual inversion; give it as --embedding"
    if any(name.startswith(("model.diffusion_model.", "first_stage_model.")) for name in names):
        return ": it is a whole checkpoint; give it as --generator"
    return ""
