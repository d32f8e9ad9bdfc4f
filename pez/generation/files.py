"""Pictures on disk: PNG files that record how they were drawn, and are found again by that."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.errors import PezError
from pez.files import Own, check_own, write_whole
from pez.generation.options import split_weight
from pez.generation.samplers import shown_name
from pez.images import grid, read_image

ANOTHER = "choose another --output"
CHUNK = "pez"  # the PNG text that holds prompt, seed and settings as JSON


def picture_key(prompt: str, seed: int, settings: dict[str, Any]) -> str:
    """Equal for two pictures that must look the same."""
    text = json.dumps([prompt, seed, settings], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def picture_path(folder: Path, prompt: str, seed: int, settings: dict[str, Any]) -> Path:
    """Where a picture goes: part of its prompt for readers, its seed, its key for look-up."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:40].strip("-") or "picture"
    return folder / f"{words}-{seed}-{picture_key(prompt, seed, settings)}.png"


def save_picture(
    picture: Image.Image, path: Path, prompt: str, seed: int, settings: dict[str, Any]
) -> None:
    """Write a PNG, whole or not at all. PezError if that fails."""
    record = {"prompt": prompt, "seed": seed, "settings": settings}
    record["key"] = picture_key(prompt, seed, settings)
    shown = _parameters(prompt, seed, settings, picture.size)
    _write(picture, path, {CHUNK: json.dumps(record), "parameters": shown})


def save_grid(
    pictures: Sequence[tuple[Path, str, int]], columns: int, settings: dict[str, Any]
) -> Path:
    """One sheet of saved pictures (path, prompt, seed) beside the first of them."""
    rows = [{"prompt": prompt, "seed": seed} for _, prompt, seed in pictures]
    names = "\n".join(path.name for path, _, _ in pictures)
    name = hashlib.sha256(f"{columns}\n{names}".encode()).hexdigest()[:12]
    path = pictures[0][0].with_name(f"grid-{name}.png")
    sheet = grid([read_image(path) for path, _, _ in pictures], columns)
    _write(sheet, path, {CHUNK: json.dumps({"pictures": rows, "settings": settings})})
    return path


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a picture of ours; None for any other file, and for a truncated one."""
    try:
        with Image.open(path, "r", ("PNG",)) as image:
            image.load()
            record = json.loads(image.text.get(CHUNK, "null"))  # type: ignore[attr-defined]
    except Exception:  # decoders leak SyntaxError, struct.error, EOFError and more
        return None
    return record if isinstance(record, dict) else None


def is_drawn(path: Path, prompt: str, seed: int, settings: dict[str, Any]) -> bool:
    """Whether that very picture is there already, complete."""
    record = read_record(path) if path.is_file() else None
    return record is not None and record.get("key") == picture_key(prompt, seed, settings)


def _is_replaceable(path: Path) -> bool:
    """Whether a file under a picture's name is one that pez drew, or is damaged: another whole
    picture is the user's, such as one that was edited.
    """
    if read_record(path) is not None:
        return True
    try:
        read_image(path)
    except PezError:
        return True
    return False


PICTURE = Own("a picture that pez drew", _is_replaceable)


def check_picture(path: Path) -> None:
    """PezError for a picture of the user's where one is to be drawn."""
    check_own(path, PICTURE, ANOTHER)


def make_folder(folder: Path) -> None:
    """The folder for pictures. PezError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PezError(
            f"cannot make the folder {folder} ({error.strerror}); choose another --output."
        ) from None


def _write(picture: Image.Image, path: Path, texts: dict[str, str]) -> None:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text.encode("utf-8", "replace").decode())

    def save(part: Path) -> None:
        picture.save(part, "PNG", pnginfo=info)

    write_whole(path, save, remedy=ANOTHER, own=PICTURE)


def _parameters(prompt: str, seed: int, settings: dict[str, Any], size: tuple[int, int]) -> str:
    """The text that web UIs and picture sites read out of a PNG: the prompt as it was drawn, within
    its template, and the LoRAs in the form of these tools.
    """
    tags = [
        f"<lora:{Path(source).stem}:{weight:g}>"
        for source, weight in map(split_weight, settings.get("lora") or ())
    ]
    template = settings.get("template") or "{}"
    lines = [" ".join([template.replace("{}", prompt), *tags])]
    sampler, schedule = shown_name(settings.get("scheduler") or "")
    if settings.get("negative"):
        lines.append(f"Negative prompt: {settings['negative']}")
    parts = {
        "Steps": settings.get("steps") or None,
        "Sampler": sampler or None,
        "Schedule type": schedule or None,
        "CFG scale": settings["guidance"] if settings.get("guidance", -1) >= 0 else None,
        "Seed": seed,
        "Size": f"{size[0]}x{size[1]}",
        "Model": settings.get("generator"),
        "Clip skip": settings.get("clip_skip") or None,
        "Denoising strength": settings.get("strength") or None,
        "Version": "pez",
    }
    lines.append(
        ", ".join(f"{name}: {value}" for name, value in parts.items() if value is not None)
    )
    return "\n".join(lines)
