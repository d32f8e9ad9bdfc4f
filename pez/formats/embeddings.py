"""Textual inversions (Gal et al. 2022) and soft prompts: learned input embeddings in files.

Every tool keeps them in a form of its own; :func:`read_embeddings` reads all of them:

====================================  =====================================================
``{"emb_params": (k, w)}``            web UIs, and pez's own files
``{"<word>": (k, w) or (w,)}``        diffusers; several words make several entries
``{"string_to_param": {"*": ...}}``   the original code and A1111; ``name`` is the word
``clip_l``, ``clip_g``                SDXL, a part for each text encoder
``text_encoders_0``, ...              diffusers' training of several encoders
``model_0``, ...                      pez's own of several models
one tensor alone                      ``torch.save`` of the rows
====================================  =====================================================

What a file is, its first bytes tell, not its name. Pickles are read by torch's ``weights_only``
reader, which runs no code.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.files import read_plain, user_path

ENDS = (".safetensors", ".pt", ".bin")  # of files of embeddings
MOST = 256 << 20  # bytes; one of SDXL with 75 vectors has 0.6 MB
SINGLE = "emb_params"
PAIR = ("clip_l", "clip_g")
# the names of parts in the order of a pipeline's text encoders, for each way of naming them
_SCHEMES = (
    (*PAIR, "t5xxl", "t5"),
    tuple(f"text_encoders_{n}" for n in range(4)),
    tuple(f"model_{n}" for n in range(8)),
)
_PICKLED = (b"PK", b"\x80")  # how files of torch.save begin, new and old; others have {"... at 8


@dataclass(frozen=True, eq=False)
class Learned:
    """Learned vectors: ``parts`` (k, w), float32, in the order of the text encoders that read them,
    ``names`` as the file has them; ``word`` stands for them in prompts, "" if the file names none.
    """

    word: str
    names: tuple[str, ...]
    parts: tuple[Tensor, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each part."""
        return tuple(part.shape[1] for part in self.parts)


def read_embeddings(path: str | Path) -> list[Learned]:
    """What a file of embeddings holds, at least one entry.

    Raises PezError for a file that is missing, damaged or too large, runs code, or holds something
    else, such as a LoRA.
    """
    held = _read(path)
    if isinstance(held, Tensor):
        return [Learned("", (SINGLE,), (_rows(held, path),))]
    if not isinstance(held, Mapping) or not held:
        raise PezError(f"{path} holds no tensors; give a file of embeddings.")
    if "string_to_param" in held:
        return [_original(held, path)]
    tensors = {str(k): v for k, v in held.items()}
    if (kind := _other(tensors)) is not None:
        raise PezError(f"{path} is {kind}, not a textual inversion or a soft prompt.")
    for scheme in _SCHEMES:
        if set(tensors) <= set(scheme):
            names = tuple(name for name in scheme if name in tensors)
            parts = tuple(_rows(tensors[name], path) for name in names)
            if len({len(part) for part in parts}) > 1:
                counts = " and ".join(str(len(part)) for part in parts)
                raise PezError(f"{path} holds {counts} vectors for its encoders; make them equal.")
            return [Learned("", names, parts)]
    if set(tensors) == {SINGLE}:
        return [Learned("", (SINGLE,), (_rows(tensors[SINGLE], path),))]
    # in an order of their own: that of a file is not always the same
    found = sorted(tensors.items())
    return [Learned(_word(k), (k,), (_rows(v, path),)) for k, v in found]


def joined(learned: Learned) -> Tensor:
    """The vectors for all encoders side by side (k, sum of the widths)."""
    return torch.cat(learned.parts, -1)


def _read(path: str | Path) -> Any:
    try:
        data = read_plain(user_path(path), MOST)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PezError(f"{path} cannot be read ({why}); check its name.") from None
    try:
        if data[8:9] != b"{" and data.startswith(_PICKLED):
            # the original code keeps its vectors in a ParameterDict
            with torch.serialization.safe_globals([torch.nn.ParameterDict]):
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        from safetensors.torch import load

        return load(data)
    except Exception as error:  # each format fails in its own way
        why = str(error).split("\n")[0]
        if "Weights only" in why:
            why = "it cannot be read without running code of its own"
        raise PezError(
            f"{path} is not a file of tensors ({why[:120]}); copy or download it again."
        ) from None


def _original(held: Mapping[Any, Any], path: str | Path) -> Learned:
    """That of the original code and of A1111: vectors under the placeholder "*"."""
    inner = held["string_to_param"]
    # of the class, without its methods: files of older versions lack what these need
    inner = vars(inner)["_parameters"] if isinstance(inner, torch.nn.ParameterDict) else inner
    if not isinstance(inner, Mapping) or len(inner) != 1:
        raise PezError(f"{path} holds no single word in its string_to_param; it cannot be used.")
    ((place, rows),) = inner.items()
    return Learned(_word(held.get("name")), (str(place),), (_rows(rows, path),))


def _word(name: Any) -> str:
    """A word that can be typed; "" for none and for the placeholder of the original code."""
    text = " ".join(name.split()) if isinstance(name, str) else ""
    return "" if text == "*" else text


def _rows(tensor: Any, path: str | Path) -> Tensor:
    """Vectors (k, w); a single one may be kept as (w,)."""
    if not isinstance(tensor, Tensor) or tensor.ndim not in (1, 2) or not tensor.numel():
        shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise PezError(f"{path} is no file of embeddings (tokens, width): it holds {shape}.")
    rows = tensor.detach().float().reshape(-1, tensor.shape[-1])
    if not rows.isfinite().all():
        raise PezError(f"{path} holds numbers that are not finite; it cannot be drawn.")
    return rows


def _other(tensors: Mapping[str, Any]) -> str | None:
    """What a file is that holds no embeddings; None for one that may."""
    text = "\n".join(tensors)
    if re.search(r"lora_(up|down|A|B)\b|_lora\.|hada_w1|lokr_w1", text):
        return "a LoRA (--lora)"
    if re.search(r"^(model\.diffusion_model|first_stage_model)\.", text, re.M):
        return "a whole checkpoint (--generator)"
    return None
