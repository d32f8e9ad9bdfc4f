"""What users name as targets: pictures and texts with weights, and their identity by content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from os.path import isfile
from pathlib import Path
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.formats.prompts import file_or_text, refuse_file
from pez.images import pixels_key, read_image

Source = str | Path | Image.Image  # a picture: a path, an address or the picture itself
Part = tuple[str | Image.Image, float, str]  # a text or picture, its weight, its name


def is_web(source: str) -> bool:
    """Whether a source is an address."""
    return source.lower().startswith(("http://", "https://"))


def joined_key(keys: Sequence[str]) -> str:
    """The identity of several targets together, from their keys."""
    return text_key("".join(keys))


def text_key(text: str) -> str:
    """The identity of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mix_parts(image: Any, text: Any, negative: Any) -> list[Part]:
    """The parts of a mix, read and checked: pictures, then texts, then negatives."""
    parts: list[Part] = []
    for kind, sign, entries in (("image", 1, image), ("text", 1, text), ("", -1, negative)):
        for source, weight in map(_weighted, _listed(entries)):
            plain = isinstance(source, str)
            if kind == "text":
                what = refuse_file(source, "--text") if plain else source
            else:
                picture = kind or not plain or is_web(source) or file_or_text(source, "--negative")
                what = read_image(source) if picture else source
            name = "image" if isinstance(source, Image.Image) else source
            parts.append((what, sign * weight, f"{name}={sign * weight:g}"))
    if not any(weight > 0 for _, weight, _ in parts):
        raise PezError("there is nothing to match: give at least one --image or --text.")
    return parts


def mix_key(parts: Sequence[Part]) -> str:
    """The identity of a mix, by content."""
    keys = [f"{w if isinstance(w, str) else pixels_key(w)}={weight}" for w, weight, _ in parts]
    return text_key("\n".join(keys))


def _weighted(entry: Any) -> tuple[Any, float]:
    """``"a.jpg=0.7"`` or ``("a.jpg", 0.7)`` -> both parts. PezError if the weight is no number."""
    if isinstance(entry, tuple) and len(entry) == 2:
        source, weight = entry
    elif isinstance(entry, str):
        source, equals, weight = entry.rpartition("=")
        if not equals or (isfile(entry) and not isfile(source)):
            source, weight = entry, 1.0  # an equals sign may be part of a file's name
    else:
        source, weight = entry, 1.0
    try:
        value = float(weight)
    except (TypeError, ValueError):
        raise PezError(f"the weight in {entry!r} is not a number; write {source}=0.5.") from None
    if not 0 < value < float("inf"):
        raise PezError(f"the weight in {entry!r} must be above 0; use --negative to push away.")
    if isinstance(source, str) and not source.strip():
        raise PezError(f"{entry!r} names nothing; write a file or a text before the weight.")
    return source, value


def _listed(entries: Any) -> list[Any]:
    """A single entry may stand for a list of one."""
    if isinstance(entries, str | Path | Image.Image) or _is_pair(entries):
        return [entries]
    return list(entries)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], int | float)
