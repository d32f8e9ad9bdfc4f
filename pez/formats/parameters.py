"""How a picture was drawn, as web UIs write it into the file: the text called ``parameters``.

A1111's web UI and pez put it into a PNG's text, and into the user comment (EXIF) of other formats:
the prompt, "Negative prompt: ...", then a line of settings, "Steps: 20, Sampler: Euler a, ...".
ComfyUI writes its nodes instead (:mod:`pez.formats.comfy`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.files import user_path
from pez.formats.comfy import parse_graph

EXIF, COMMENT = 0x8769, 0x9286  # tags of EXIF: its own table, and the user comment
_CODES = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "utf-8"}  # before a user comment
_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"


@dataclass(frozen=True)
class Parameters:
    """A prompt, a negative one and the settings by the names that the text has for them."""

    prompt: str
    negative: str = ""
    settings: dict[str, str] = field(default_factory=dict)


def read_parameters(path: str | Path) -> Parameters:
    """Those of a picture. PezError if it is none, or says nothing of how it was drawn."""
    try:
        with Image.open(user_path(path), "r", ("PNG", "JPEG", "WEBP")) as picture:
            kept, graph = (picture.info.get(name) for name in ("parameters", "prompt"))
            comment = picture.getexif().get_ifd(EXIF).get(COMMENT)
    except Exception as error:  # decoders leak errors of many kinds
        why = "it is not there" if isinstance(error, FileNotFoundError) else "it is no picture"
        raise PezError(f"{path} cannot be read ({why}); give a PNG, JPEG or WebP.") from None
    text = kept or _decoded(comment)
    if not text and isinstance(graph, str) and (found := parse_graph(graph, str(path))):
        return Parameters(*found)
    if not isinstance(text, str) or not text.strip():
        raise PezError(
            f"{path} does not say how it was drawn: it has no parameters of A1111's web "
            "UI, ComfyUI or pez."
        )
    return parse_parameters(text)


def parse_parameters(text: str) -> Parameters:
    """The parts of such a text; one without settings is a prompt."""
    lines = text.strip().split("\n")
    pairs = _PAIR.findall(lines[-1])
    known = {name for name, _ in pairs}
    # a last line of settings has several, as a prompt may have one "name: value"
    settings = dict(pairs) if len(pairs) > 2 or known & {"Steps", "Seed"} else {}
    body = "\n".join(lines[:-1] if settings else lines)
    prompt, found, negative = body.partition(f"\n{_NEGATIVE}")
    if not found and body.startswith(_NEGATIVE):
        prompt, negative = "", body.removeprefix(_NEGATIVE)
    return Parameters(
        prompt.strip(), negative.strip(), {k: _unquoted(v.strip()) for k, v in settings.items()}
    )


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value


def _decoded(comment: Any) -> str:
    if not isinstance(comment, bytes):
        return comment if isinstance(comment, str) else ""
    code, text = _CODES.get(comment[:8]), comment[8:]
    if code is None:
        return comment.decode("utf-8", "replace")
    # some tools write the low byte first; settings are in ASCII, whose high bytes are zero
    if code == "utf-16-be" and text[1::2].count(0) > text[::2].count(0):
        code = "utf-16-le"
    return text.decode(code, "replace").removeprefix("\ufeff")
