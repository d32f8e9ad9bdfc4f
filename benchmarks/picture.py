"""Draw the README's picture: shipped samples with the prompts found for them.

python benchmarks/picture.py          # writes data/readme.png
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import pez
from pez.result import Result
from pez.samples import KINDS, samples

SIDE, ROOM, GAP = 192, 92, 16


def main() -> None:
    chosen = [samples(kind)[n] for kind in KINDS for n in (1, 4)][:8]
    found = pez.invert(
        [str(s.path) for s in chosen], model=["mini", "mini-b"], length=8, restarts=4, device="cpu"
    )
    assert isinstance(found, list)
    draw_sheet([s.path for s in chosen], found).save(
        Path(__file__).parents[1] / "data" / "readme.png", optimize=True
    )


def draw_sheet(paths: list[Path], found: list[Result], columns: int = 4) -> Image.Image:
    """Pictures in a grid, each with its prompt and score below."""
    rows = -(-len(paths) // columns)
    size = (columns * (SIDE + GAP) + GAP, rows * (SIDE + ROOM + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for n, (path, result) in enumerate(zip(paths, found, strict=True)):
        x = GAP + n % columns * (SIDE + GAP)
        y = GAP + n // columns * (SIDE + ROOM + GAP)
        picture = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
        sheet.paste(picture, (x, y))
        text = "\n".join(textwrap.wrap(result.prompt, 24)[:4])
        pen.text((x, y + SIDE + 4), text, "#222", ImageFont.load_default(15))
    return sheet


if __name__ == "__main__":
    main()
