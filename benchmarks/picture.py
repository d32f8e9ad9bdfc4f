"""Draw the README's picture: shipped samples, their prompts, and pictures drawn from these.

python benchmarks/picture.py          # writes data/readme.png
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import pez
from pez.datasets.samples import KINDS, samples
from pez.generation import GenerateOptions, open_painter
from pez.result import Result

SIDE, ROOM, GAP = 192, 60, 20
SHOWN = 8


def main() -> None:
    """Search, draw each prompt once, write the sheet."""
    chosen = [samples(kind)[n] for kind in KINDS for n in (1, 4)][:SHOWN]
    found = pez.invert(
        [str(s.path) for s in chosen], model=["mini", "mini-b"], length=8, restarts=4, device="cpu"
    )
    assert isinstance(found, list)
    found = [result for result in found if isinstance(result, pez.Result)]
    assert len(found) == len(chosen)
    painter = open_painter(GenerateOptions(generator="mini-sd", device="cpu"))
    drawn = painter.paint([result.prompt for result in found], [0] * len(found))
    draw_sheet([s.path for s in chosen], found, drawn).save(
        Path(__file__).parents[1] / "data" / "readme.png", optimize=True
    )


def draw_sheet(
    paths: Sequence[Path], found: Sequence[Result], drawn: Sequence[Image.Image], columns: int = 2
) -> Image.Image:
    """Pairs in a grid: a picture, the one drawn from its prompt, and the prompt below."""
    rows = -(-len(paths) // columns)
    pair = 2 * SIDE + GAP // 2
    size = (columns * (pair + GAP) + GAP, rows * (SIDE + ROOM) + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for n, (path, result, again) in enumerate(zip(paths, found, drawn, strict=True)):
        x, y = GAP + n % columns * (pair + GAP), GAP + n // columns * (SIDE + ROOM)
        for left, picture in ((x, Image.open(path)), (x + SIDE + GAP // 2, again)):
            large = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(large, (left, y))
        text = "\n".join(textwrap.wrap(result.prompt, 44)[:2])
        pen.text((x, y + SIDE + 4), text, "#222", ImageFont.load_default(17))
    return sheet


if __name__ == "__main__":
    main()
