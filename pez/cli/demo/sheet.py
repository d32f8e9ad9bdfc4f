"""Photographs with their words below, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WIDE, GAP, FONT = 1200, 16, 19  # pixels; the width is that of the sheet
LINE = FONT + 6
INK = "#222222"


def draw_sheet(rows: Sequence[Sequence[tuple[Image.Image, str]]]) -> Image.Image:
    """Rows of pictures that fill the width, each picture with its text below."""
    font = ImageFont.load_default(FONT)
    parts = [_row(row, font) for row in rows]
    tall = sum(part.height for part in parts) + GAP
    sheet = Image.new("RGB", (WIDE, tall), "white")
    top = GAP
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def in_rows(
    pictures: Sequence[tuple[Image.Image, str]], count: int = 2
) -> list[list[tuple[Image.Image, str]]]:
    """The pictures in ``count`` rows of about one height: the narrow ones first."""
    ordered = sorted(pictures, key=lambda one: one[0].width / one[0].height)
    each = -(-len(ordered) // count)
    return [ordered[n : n + each] for n in range(0, len(ordered), each)]


def _row(row: Sequence[tuple[Image.Image, str]], font: Font) -> Image.Image:
    shapes = [picture.width / picture.height for picture, _ in row]
    tall = round((WIDE - GAP * (len(row) + 1)) / sum(shapes))
    widths = [round(tall * shape) for shape in shapes]
    texts = [_wrapped(text, width, font) for (_, text), width in zip(row, widths, strict=True)]
    most = max(len(lines) for lines in texts)
    part = Image.new("RGB", (WIDE, tall + LINE * most + GAP), "white")
    pen, left = ImageDraw.Draw(part), GAP
    for (picture, _), width, lines in zip(row, widths, texts, strict=True):
        large = picture.convert("RGB").resize((width, tall), Image.Resampling.LANCZOS)
        part.paste(large, (left, 0))
        for n, line in enumerate(lines):
            pen.text((left, tall + 4 + n * LINE), line, INK, font)
        left += width + GAP
    return part


def _wrapped(text: str, width: float, font: Font) -> list[str]:
    """Lines no wider than ``width`` pixels, unless one word is."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
