"""What the pictures of a look inside are drawn with: Pillow, a few colours, texts in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[float, float, float, float]

INK, PALE, LINE = "#222222", "#8a8a8a", "#dddddd"
# colours that colour-blind readers can also distinguish (after Okabe and Ito)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
# dark to bright, even in brightness (after matplotlib's inferno)
HEAT = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)],
    dtype=float,
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A white picture to draw on, with fonts of any size."""

    image: Image.Image
    pen: ImageDraw.ImageDraw

    @classmethod
    def of(cls, width: int, height: int) -> Sheet:
        """An empty one."""
        image = Image.new("RGB", (width, height), "white")
        return cls(image, ImageDraw.Draw(image))

    def text(
        self, x: float, y: float, text: str, colour: str = INK, size: int = 16, anchor: str = "lm"
    ) -> None:
        """Text at a point, as Pillow's anchors have it."""
        self.pen.text((x, y), text, colour, font_of(size), anchor=anchor)


def font_of(size: int) -> Font:
    """The font of all our pictures."""
    return ImageFont.load_default(size)


def width_of(text: str, size: int = 16) -> float:
    """Pixels that a text is wide."""
    return font_of(size).getlength(text)


def shortened(text: str, room: float, size: int = 16) -> str:
    """``text``, cut to ``room`` pixels."""
    if width_of(text, size) <= room:
        return text
    while text and width_of(text + "…", size) > room:
        text = text[:-1]
    return text + "…"


def wrapped(text: str, room: float, size: int = 16) -> list[str]:
    """Lines of at most ``room`` pixels, broken at blanks."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shortened(line, room, size) for line in lines]


def heat(values: np.ndarray) -> np.ndarray:
    """Colours (..., 3), uint8, of values from 0 to 1."""
    place = np.clip(values, 0, 1)[..., None] * (len(HEAT) - 1)
    low = np.minimum(place.astype(int), len(HEAT) - 2)
    share = place - low
    mixed = HEAT[low[..., 0]] * (1 - share) + HEAT[low[..., 0] + 1] * share
    return np.rint(mixed).astype(np.uint8)


def overlap(box: Box, others: Sequence[Box]) -> bool:
    """Whether a box (left, top, right, bottom) covers part of another one."""
    return any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in others)
