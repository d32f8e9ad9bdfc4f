"""What prompts of other tools contain beyond weights (A1111's web UI, wiki "Features").

``BREAK`` ends a chunk and ``<lora:name:weight>`` names a LoRA; both work. What changes a prompt
between steps or draws lots is refused: read as words it would draw something else.
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
_AND = re.compile(r"\S\s+AND\s+\S")
_NUMBER = r"\s*(?:\d+\.?\d*|\.\d+)\s*"
_EDIT = re.compile(rf"(?<!\\)\[(?!\s*\d+:\d+\])(?:[^\[\]]*:)?[^\[\]]*:{_NUMBER}\]")
_TURNS = re.compile(r"(?<!\\)\[[^\[\]]*\|[^\[\]]*\]")
_LOTS = re.compile(r"(?<!\\)\{[^{}]*\|[^{}]*\}")
_TAG = re.compile(r"<(lora|lyco|hypernet):([^:<>]+)(?::([^<>]*))?>\s?")


def chunks(text: str) -> list[str]:
    """The parts of a prompt that ``BREAK`` divides; each fills chunks of its own."""
    return _BREAK.split(text)


def remarks(text: str) -> list[str]:
    """What is read as words and may be meant otherwise."""
    if _AND.search(text) and not text.isupper():
        return ["AND is read as a word; prompts are not composed as A1111 does it."]
    return []


def refuse_steps(text: str) -> None:
    """PezError for a prompt that would change between steps, or by lot."""
    for pattern, what in (
        (_EDIT, "changes at a step"),
        (_TURNS, "takes turns at each step"),
        (_LOTS, "is drawn by lot"),
    ):
        if found := pattern.search(text):
            raise PezError(
                f"{found.group()[:60]} {what} in other tools, which pez does not draw; write one "
                "prompt for each, or give --literal."
            )


def lora_weights(loras: tuple[str, ...]) -> dict[str, float]:
    """The weights of LoRAs as they are given, by the names that prompts have for them."""
    pairs = map(split_weight, loras)
    return {Path(split_revision(source)[0]).stem.lower(): weight for source, weight in pairs}


def without_tags(text: str, weights: Mapping[str, float]) -> str:
    """``text`` without the tags of LoRAs that are loaded with that weight (:func:`lora_weights`).

    PezError for another LoRA, another weight, and a hypernetwork.
    """

    def checked(found: re.Match[str]) -> str:
        kind, name, number = found.groups()
        if kind == "hypernet":
            raise PezError(f"{found.group().strip()} is a hypernetwork; remove it from the prompt.")
        try:
            weight = float((number or "1").split(":")[0])
        except ValueError:
            raise PezError(f"{found.group().strip()} has no usable weight; correct it.") from None
        loaded = weights.get(name.strip().lower())
        if loaded is None or not math.isclose(loaded, weight):
            raise PezError(
                f"the prompt asks for {found.group().strip()}; give the file as "
                f"--lora {name.strip()}.safetensors={weight:g}."
            )
        return ""

    return _TAG.sub(checked, text)
