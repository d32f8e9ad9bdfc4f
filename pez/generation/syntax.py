"""What prompts of other tools contain beyond weights (A1111's web UI, wiki "Features").

``BREAK`` ends a chunk and ``<lora:name:weight>`` names a LoRA. What changes between steps and what
is added up is read by :mod:`pez.generation.schedule`, what is drawn by lot by
:mod:`pez.generation.wildcards`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from pez.errors import PezError
from pez.generation.options import split_weight
from pez.models.hub import split_revision

_BREAK = re.compile(r"\s*(?<!\S)BREAK(?!\S)\s*")
_TAG = re.compile(r"<(lora|lyco|hypernet):([^:<>]+)(?::([^<>]*))?>\s?")


def chunks(text: str) -> list[str]:
    """The parts of a prompt that ``BREAK`` divides; each fills chunks of its own."""
    return _BREAK.split(text)


def lora_weights(loras: tuple[str, ...]) -> dict[str, float]:
    """The weights of LoRAs as they are given, by the names that prompts have for them."""
    pairs = map(split_weight, loras)
    return {Path(split_revision(source)[0]).stem.lower(): weight for source, weight in pairs}


def without_tags(text: str, weights: Mapping[str, float]) -> str:
    """``text`` without the tags of LoRAs that are loaded with that weight (:func:`lora_weights`);
    names of hypernetworks have ``hypernet:`` before them.

    PezError for one that is not loaded, or with another weight.
    """

    def checked(found: re.Match[str]) -> str:
        kind, name, number = found.groups()
        option, end, before = "lora", "safetensors", ""
        if kind == "hypernet":
            option, end, before = "hypernet", "pt", "hypernet:"
        try:
            weight, *others = map(float, (number or "1").split(":"))
        except ValueError:
            raise PezError(f"{found.group().strip()} has no usable weight; correct it.") from None
        if any(other != weight for other in others):
            tag = found.group().strip()
            raise PezError(f"{tag} has a weight for each part of the generator; give one for all.")
        loaded = weights.get(before + name.strip().lower())
        if loaded is None or not math.isclose(loaded, weight):
            raise PezError(
                f"the prompt asks for {found.group().strip()}; give the file as "
                f"--{option} {name.strip()}.{end}={weight:g}."
            )
        return ""

    return _TAG.sub(checked, text)
