"""Pictures on disk: files that record how they were drawn, and are found again by that. PNG keeps
that as text, JPEG and WebP as EXIF.
"""

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
from pez.formats.parameters import COMMENT, EXIF
from pez.generation.options import split_weight
from pez.generation.samplers import shown_name
from pez.generation.schedule import has_and
from pez.images import grid, read_image

ANOTHER = "choose another --output"
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
_DESCRIPTION = 0x010E  # of EXIF: the same JSON in other formats
CHUNK = "pez"  # the PNG text that holds prompt, seed and settings as JSON


def picture_key(prompt: str, seed: int, settings: dict[str, Any]) -> str:
    """Equal for two pictures that must look the same."""
    named: list[Any] = [prompt, seed, settings]
    if has_and(_drawn(prompt, settings)) and not settings.get("literal"):
        named.append("sum")  # AND was a word once, so such pictures differ
    text = json.dumps(named, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def picture_path(
    folder: Path, prompt: str, seed: int, settings: dict[str, Any], end: str = ".png"
) -> Path:
    """Where a picture goes: part of its prompt for readers, its seed, its key for look-up."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:40].strip("-") or "picture"
    return folder / f"{words}-{seed}-{picture_key(prompt, seed, settings)}{end}"


def save_picture(
    picture: Image.Image,
    path: Path,
    prompt: str,
    seed: int,
    settings: dict[str, Any],
    typed: str = "",
) -> None:
    """Write a picture in the format of its name, whole or not at all; ``typed`` is the prompt with
    what was left to the lot. PezError if that fails.
    """
    record = {"prompt": prompt, "seed": seed, "settings": settings}
    record["key"] = picture_key(prompt, seed, settings)
    if typed not in ("", prompt):
        record["typed"] = typed
    shown = _parameters(prompt, seed, settings, picture.size, record.get("typed", ""))
    _write(picture, path, {CHUNK: json.dumps(record), "parameters": shown})


def save_caption(path: Path, prompt: str, settings: dict[str, Any]) -> None:
    """Write the prompt as it was drawn beside a picture, as trainers read captions. PezError if
    that fails, or there is another text.
    """
    text = _drawn(prompt, settings) + "\n"
    own = Own("the prompt of its picture", lambda file: file.read_bytes() == text.encode())
    write_whole(path.with_suffix(".txt"), text.encode("utf-8", "replace"), remedy=ANOTHER, own=own)


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
        with Image.open(path, "r", ("PNG", "JPEG", "WEBP")) as image:
            image.load()
            kept = getattr(image, "text", {}).get(CHUNK) or image.getexif().get(_DESCRIPTION)
            record = json.loads(kept or "null")
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


def check_picture(path: Path, named: bool = False) -> None:
    """PezError for a picture of the user's where one is to be drawn; with ``named``, where names
    are not made of what is drawn, for any other picture.
    """
    if named and read_record(path) is not None:
        raise PezError(
            f"{path} shows another prompt, seed or setting; choose another --name, or --output."
        )
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
    kind = _FORMATS[path.suffix]
    info, exif = PngInfo(), Image.Exif()
    for name, text in texts.items():
        info.add_text(name, text.encode("utf-8", "replace").decode())
    exif[_DESCRIPTION] = texts[CHUNK]  # JSON in ASCII
    if "parameters" in texts:
        comment = texts["parameters"].encode("utf-16-be", "replace")
        exif.get_ifd(EXIF)[COMMENT] = b"UNICODE\0" + comment
    more: dict[str, Any] = {"pnginfo": info} if kind == "PNG" else {"exif": exif, "quality": 95}

    def save(part: Path) -> None:
        try:
            picture.save(part, kind, **more)
        except ValueError as error:  # EXIF takes 64 kB
            raise PezError(f"{path}: {error}; use --format png for such a prompt.") from None

    write_whole(path, save, remedy=ANOTHER, own=PICTURE)


def _drawn(prompt: str, settings: dict[str, Any]) -> str:
    """The prompt within its template."""
    return (settings.get("template") or "{}").replace("{}", prompt)


def _parameters(
    prompt: str, seed: int, settings: dict[str, Any], size: tuple[int, int], typed: str
) -> str:
    """The text that web UIs and picture sites read out of a PNG: the prompt as it was drawn, within
    its template, and the LoRAs and hypernetworks in the form of these
    tools.
    """
    tags = [
        f"<{kind}:{Path(source).stem}:{weight:g}>"
        for kind in ("lora", "hypernet")
        for source, weight in map(split_weight, settings.get(kind) or ())
    ]
    lines = [" ".join([_drawn(prompt, settings), *tags])]
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
        "Template": json.dumps(typed, ensure_ascii=False) if typed else None,
        "Version": "pez",
    }
    lines.append(
        ", ".join(f"{name}: {value}" for name, value in parts.items() if value is not None)
    )
    return "\n".join(lines)
