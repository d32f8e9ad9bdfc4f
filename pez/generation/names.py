"""Names of saved pictures, by a pattern of the user's: ``{prompt:40}-{seed}``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.generation.samplers import shown_name

_FIELD = re.compile(r"\{(\w+)(?::(\d{1,3}))?\}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')  # of one of the usual file systems
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # devices of Windows
FIELDS = ("prompt", "seed", "n", "key", "generator", "steps", "guidance", "sampler")
MOST = 200  # bytes; file systems take 255, ending and all


def check_pattern(pattern: str, end: str) -> str:
    """The pattern without the ending ``end`` of the pictures' format. PezError for an unknown
    field, a character that is not safe in names, and the ending of another format.
    """
    for other in (".png", ".jpg", ".jpeg", ".webp"):
        if pattern.lower().endswith(other):
            if other != end and (other, end) != (".jpeg", ".jpg"):
                raise PezError(f"--name ends in {other}, and the pictures are {end}; set --format.")
            pattern = pattern[: -len(other)]
    plain = _FIELD.sub("", pattern)
    unknown = [found[1] for found in _FIELD.finditer(pattern) if found[1] not in FIELDS]
    if unknown or "{" in plain or "}" in plain:
        there = ", ".join(f"{{{name}}}" for name in FIELDS)
        wrong = f"{{{unknown[0]}}}" if unknown else "a bracket that is no field"
        raise PezError(f"--name has {wrong}; there are {there}, with a length: {{prompt:40}}.")
    if found := _UNSAFE.search(plain):
        raise PezError(f"--name has {found.group()!r}, which is not safe in names of files.")
    if plain.startswith("."):
        raise PezError("--name begins with a point, which hides files; begin it otherwise.")
    return pattern


def made_name(
    pattern: str, prompt: str, seed: int, n: int, key: str, settings: dict[str, Any]
) -> str:
    """The name without its ending; ``n`` counts the pictures of a run, ``key`` is
    :func:`pez.generation.files.picture_key`. Numbers are filled with zeros to a field's length,
    words are cut to it.
    """
    sampler = "-".join(filter(None, shown_name(settings.get("scheduler") or "")))
    values: dict[str, Any] = {"prompt": prompt, "seed": seed, "n": n, "key": key}
    values |= {"sampler": sampler or "own", "generator": Path(settings["generator"]).name}
    values |= {"steps": settings.get("steps") or 0, "guidance": settings.get("guidance", -1)}

    def fill(found: re.Match[str]) -> str:
        value, length = values[found[1]], int(found[2] or 0)
        if isinstance(value, int):
            return str(value).zfill(length)
        text = f"{value:g}" if isinstance(value, float) else _words(str(value))
        return text[:length].strip("-") if length else text

    name = _FIELD.sub(fill, pattern).encode("utf-8", "replace")[:MOST].decode("utf-8", "ignore")
    name = name.strip(" -.") or "picture"
    return f"{name}_" if _TAKEN.fullmatch(name) else name


def _words(text: str) -> str:
    """Letters and digits of any script, with hyphens between."""
    return re.sub(r"[^\w.+]+", "-", text).strip("-.")
