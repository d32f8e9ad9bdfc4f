"""One picture of a data set with its metadata, and how captions and splits are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pez.formats.documents import as_json

if TYPE_CHECKING:
    from PIL import Image

# columns of a metadata row that hold captions, in order of priority
CAPTION_KEYS = ("text", "caption", "captions", "sentences")
# the hub's names for the same split
_SAME_SPLIT = (
    ("train", "training"),
    ("validation", "valid", "val", "dev"),
    ("test", "testing", "eval", "evaluation"),
)


@dataclass(frozen=True)
class Example:
    """A picture that is read on request, never before.

    ``id`` is the same whenever and wherever the data set is opened, ``source`` the file path,
    archive member or address of the picture, ``prompt`` the text that the picture was made from,
    if known. Items can be pickled as long as their data stays where it is.
    """

    id: str
    captions: tuple[str, ...]
    attributes: dict[str, Any]
    source: str
    read: Callable[[], bytes] = field(repr=False, compare=False)
    prompt: str | None = None

    def picture(self) -> bytes:
        """The bytes of the picture's file. PezError if they cannot be read or are not a picture."""
        from pez.images import check_picture

        return check_picture(self.read(), self.source)

    def image(self) -> Image.Image:
        """The decoded 8-bit RGB picture. PezError also for one that is damaged in later bytes."""
        from pez.images import decode_image

        return decode_image(self.picture(), self.source)


def clean(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts without the blanks around them, each once, without empty ones. Half of a pair of
    surrogates, as in texts that were cut within an emoji, becomes a question mark.
    """
    whole = (text.encode("utf-8", "replace").decode().strip() for text in texts)
    return tuple(dict.fromkeys(filter(None, whole)))


def text_captions(text: str) -> tuple[str, ...]:
    """The captions of a ``.txt`` beside a picture: one per line."""
    return clean(text.removeprefix("\ufeff").splitlines())


def cell_captions(value: Any) -> tuple[str, ...]:
    """The captions in one cell: a text, a list of texts or of ``{"raw": text}``, or as JSON.

    Never fails: anything else in a cell (nothing, a number) is not a caption.
    """
    if isinstance(value, str):
        value = _json_list(value) or [value]
    if not isinstance(value, list | tuple):
        return ()
    texts = (part.get("raw") if isinstance(part, Mapping) else part for part in value)
    return clean(text for text in texts if isinstance(text, str))


def _json_list(text: str) -> list[Any] | None:
    """A csv has no lists, so they are JSON there; a caption may begin with a bracket too."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = as_json(text)
    except ValueError:
        return None
    plain = isinstance(found, list) and all(isinstance(part, str) for part in found)
    return found if plain else None


def split_row(
    row: Mapping[str, Any], texts: Iterable[str] = ()
) -> tuple[tuple[str, ...], dict[str, Any], str | None]:
    """Captions, attributes and prompt of a metadata row; ``texts`` are captions known before.

    A prompt counts as a caption if there is no other. Empty cells are omitted.
    """
    found = [text for key in CAPTION_KEYS for text in cell_captions(row.get(key))]
    prompt = next(iter(cell_captions(row.get("prompt"))), None)
    captions = clean([*texts, *found]) or clean([prompt or ""])
    skip = {*CAPTION_KEYS, "prompt"}
    attributes = {k: v for k, v in row.items() if k not in skip and v not in (None, "")}
    return captions, attributes, prompt


def split_names(split: str) -> tuple[str, ...]:
    """All names of a split: ``val`` is ``validation`` elsewhere."""
    low = split.lower()
    return next((names for names in _SAME_SPLIT if low in names), (low,))


def in_split(path: str, split: str) -> bool:
    """Whether a file is of ``split`` by a word of its path, as on the hub; "" is any.

    ``data/train-00000-of-00003.parquet`` and ``train/7.tar`` are of ``train``,
    ``captions_val2014.json`` is of ``val`` and of ``val2014``, ``restval.json`` is not.
    """
    ends = {
        name: r"(?![a-z])" + (r"(?!\d)" if name[-1:].isdigit() else "")
        for name in split_names(split)
    }
    words = "|".join(re.escape(name) + end for name, end in ends.items())
    return not split or re.search(rf"(?<![a-z0-9])(?:{words})", path.lower()) is not None
