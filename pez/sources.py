"""What users name as targets: pictures and texts with weights, and their identity by content."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from pez.errors import PezError
from pez.files.download import MAX_DOWNLOAD, is_web
from pez.formats.prompts import file_or_text, refuse_file
from pez.formats.text import check_text
from pez.formats.values import as_number, shown
from pez.images import decode_image, pixels_key, read_image

# a picture: a path, an address, the picture itself, its values (tensors too, which are not
# imported here), its file's content or the open file
Source = str | Path | Image.Image | np.ndarray | bytes | BinaryIO | Any
Part = tuple[str | Image.Image, float, str]  # a text or picture, its weight, its name
PICTURES = "a path, an address, a PIL picture, an array, a tensor, bytes or an open binary file"
_CHANNELS = (1, 3, 4)


def read_source(source: Source) -> Image.Image:
    """A picture in any of the forms that Python callers may have, as 8-bit RGB.

    Paths, addresses and PIL pictures as :func:`pez.images.read_image` reads them; the content of a
    picture's file as ``bytes``, or the file open in binary mode, read from its beginning; arrays
    (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) and tensors of these shapes or with the channels
    first, as ``uint8`` or as floats from 0 to 1. PezError for everything else, as for values out
    of that range and for tensors whose channels may be first or last.
    """
    if isinstance(source, str | Path | Image.Image):
        return read_image(source)
    if isinstance(source, os.PathLike):
        return read_image(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(_content(bytes(source)), "the picture given as bytes")
    if callable(getattr(source, "read", None)):
        return decode_image(_content(_whole_file(source)), _file_name(source) or "the open file")
    torch = sys.modules.get("torch")  # nobody has a tensor without it
    if torch and isinstance(source, torch.Tensor):
        tensor: Any = source
        values = tensor.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return read_image(_from_array(_channels_last(values.numpy()), "tensor"))
    if hasattr(source, "__array__"):
        return read_image(_from_array(np.asarray(source), "array"))
    raise PezError(f"{shown(source)} is not a picture; give {PICTURES}.")


def source_name(source: Source, number: int) -> str:
    """What to call a picture in results: its path or address if it has one, else ``image 1`` by
    its ``number`` among the given ones.
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or f"image {number}")
    return _file_name(source) or f"image {number}"


def _file_name(file: Any) -> str:
    name = getattr(file, "name", "")
    return name if isinstance(name, str) else ""  # of a pipe it is a number


def _whole_file(file: Any) -> bytes:
    """The content of an open file, whose position stays where it was."""
    name = _file_name(file) or "the open file"
    try:
        place = file.tell() if file.seekable() else None
        if place is not None:
            file.seek(0)
        data = file.read(MAX_DOWNLOAD + 1)
        if place is not None:
            file.seek(place)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise PezError(f"{name} cannot be read ({error}); open it again in binary mode.") from error
    if not isinstance(data, bytes | bytearray):
        raise PezError(f'{name} is open as text; open it in binary mode, as in open(path, "rb").')
    return bytes(data)


def _content(data: bytes) -> bytes:
    if not data:
        raise PezError("the given picture has no content (0 bytes); give the whole file.")
    if len(data) > MAX_DOWNLOAD:
        raise PezError(f"a picture is over {MAX_DOWNLOAD // 10**6} MB; give a smaller copy of it.")
    return data


def _channels_last(values: np.ndarray) -> np.ndarray:
    """A tensor's values (h, w) or (h, w, c). PezError if the channels may be first or last."""
    if values.ndim != 3 or values.shape[0] not in _CHANNELS:
        return values
    if values.shape[2] in _CHANNELS:
        raise PezError(
            f"a tensor {values.shape} may have its channels first or last; "
            "give it as an array (height, width, channels)."
        )
    return values.transpose(1, 2, 0)


def _from_array(values: np.ndarray, what: str) -> Image.Image:
    """The picture of values (h, w) or (h, w, c), ``uint8`` or floats from 0 to 1."""
    shape, kind = values.shape, values.dtype
    if values.ndim not in (2, 3) or 0 in shape or (values.ndim == 3 and shape[2] not in _CHANNELS):
        first = " or (3, height, width)" if what == "tensor" else ""
        raise PezError(
            f"a picture cannot have the shape {shape}; give each as its own {what}, "
            f"(height, width), (height, width, 3){first}."
        )
    if kind != np.uint8 and kind.kind != "f":
        raise PezError(
            f"a picture's values cannot be {kind}; give uint8 from 0 to 255, or floats from 0 to 1."
        )
    if kind != np.uint8:
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # so NaN is refused too
            raise PezError(
                f"a picture of floats has values from 0 to 1, not {low:.4g} to {high:.4g}; divide "
                "by 255, or give uint8."
            )
        values = np.rint(values.astype(np.float64) * 255).astype(np.uint8)
    flat = values[..., 0] if values.ndim == 3 and shape[2] == 1 else values
    return Image.fromarray(np.ascontiguousarray(flat))


def joined_key(keys: Sequence[str]) -> str:
    """The identity of several targets together, from their keys."""
    return text_key("".join(keys))


def text_key(text: str) -> str:
    """The identity of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_pictures(images: Any, what: str = "images") -> list[Source]:
    """One picture or several as a list of sources. PezError if there are none, and for what is
    no picture or list of pictures.
    """
    if is_picture(images):
        return [images]
    if not isinstance(images, Iterable) or isinstance(images, Mapping | set | frozenset):
        raise PezError(
            f"{what} must be a picture ({PICTURES}) or a list of pictures, not {shown(images)}."
        )
    listed = list(images)
    for one in listed:
        if not is_picture(one):
            raise PezError(f"{what} holds {shown(one)}, which is not a picture; give {PICTURES}.")
    if not listed:
        raise PezError(f"{what} holds no picture; give at least one.")
    return listed


def is_picture(source: Any) -> bool:
    """Whether it has one of the forms of a picture; it may still be unreadable."""
    if isinstance(source, str | os.PathLike | Image.Image | bytes | bytearray | memoryview):
        return True
    if getattr(getattr(source, "dtype", None), "kind", "-") in "OUS":
        return False  # a column of paths, as of a table
    return hasattr(source, "__array__") or hasattr(source, "read")


def as_strings(texts: Any, what: str) -> list[str]:
    """One text or several as a list. PezError for anything else."""
    if isinstance(texts, str):
        return [check_text(texts, f"{what}:")]
    if not isinstance(texts, Iterable) or isinstance(texts, Mapping | set | frozenset | bytes):
        raise PezError(f"{what} must be a text or a list of texts, not {shown(texts)}.")
    listed = list(texts)
    for one in listed:
        if not isinstance(one, str):
            raise PezError(f"{what} holds {shown(one)}, which is not a text.")
        check_text(one, f"{what}:")
    return listed


def mix_parts(
    image: Any,
    text: Any,
    negative: Any,
    read: Callable[[Source], Image.Image] = read_source,
) -> list[Part]:
    """The parts of a mix, read and checked: pictures (by ``read``), then texts, then negatives."""
    parts: list[Part] = []
    for kind, sign, entries in (
        ("image", 1, image),
        ("text", 1, text),
        ("negative", -1, negative),
    ):
        for entry in _listed(entries, kind):
            source, weight = _weighted(entry, kind)
            plain = isinstance(source, str)
            is_text = plain and not is_web(source)
            if kind == "negative" and is_text:
                is_text = file_or_text(source, "--negative") is None
                source = check_text(source, "--negative") if is_text else source
            as_text = kind == "text" or (kind == "negative" and is_text)
            if as_text and not plain:
                raise PezError(f"text holds {shown(source)}, which is not a text.")
            if kind == "text":
                refuse_file(check_text(source, "--text"), "--text")
            if not as_text and not is_picture(source):
                raise PezError(
                    f"{kind} holds {shown(source)}, which is not a picture; give {PICTURES}."
                )
            what = source if as_text else read(source)
            name = source if plain else source_name(source, len(parts) + 1)
            parts.append((what, sign * weight, f"{name}={sign * weight:g}"))
    if not any(weight > 0 for _, weight, _ in parts):
        raise PezError("there is nothing to match: give at least one --image or --text.")
    return parts


def mix_key(parts: Sequence[Part]) -> str:
    """The identity of a mix, by content."""
    keys = [f"{w if isinstance(w, str) else pixels_key(w)}={weight}" for w, weight, _ in parts]
    return text_key("\n".join(keys))


def _weighted(entry: Any, kind: str) -> tuple[Any, float]:
    """``"a.jpg=0.7"`` or ``("a.jpg", 0.7)`` -> both parts. PezError if the weight is no number."""
    if isinstance(entry, tuple) and len(entry) == 2:
        source, weight = entry
    elif isinstance(entry, str):
        source, equals, weight = entry.rpartition("=")
        if not equals or (isfile(entry) and not isfile(source)):
            source, weight = entry, 1.0  # an equals sign may be part of a file's name
    else:
        source, weight = entry, 1.0
    named = source if isinstance(source, str) else kind
    value = _number(weight)
    if value is None:
        raise PezError(f"the weight {shown(weight)} of {named} is not a number; write {named}=0.5.")
    if not 0 < value < float("inf"):
        raise PezError(
            f"the weight {weight} of {named} must be above 0, and finite; --negative pushes away."
        )
    if isinstance(source, str) and not source.strip():
        raise PezError(f"{entry!r} names nothing; write a file or a text before the weight.")
    return source, value


def _number(weight: Any) -> float | None:
    try:
        return float(weight) if isinstance(weight, str) else as_number(weight, float)
    except ValueError:
        return None


def _listed(entries: Any, what: str) -> list[Any]:
    """Entries with or without weights: a list, a dict of weights by source, or a single entry."""
    if isinstance(entries, Mapping):
        return list(entries.items())
    if is_picture(entries) or _is_pair(entries):
        return [entries]
    if not isinstance(entries, Iterable) or isinstance(entries, set | frozenset):
        raise PezError(
            f"{what} must be an entry (source=weight, or a pair of both), a list of entries or a "
            f"dict of weights, not {shown(entries)}."
        )
    return list(entries)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2 and as_number(entry[1], float) is not None
