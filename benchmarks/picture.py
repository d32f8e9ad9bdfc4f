"""Draw the README's pictures: photographs with their words, and drawn samples with their prompts.

python benchmarks/picture.py                 # writes data/photographs.jpg and data/readme.png
python benchmarks/picture.py photographs     # only the first; drawn: only the second
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import pez
from pez.cli.demo.photographs import LENGTH
from pez.cli.demo.sheet import draw_sheet as photograph_sheet
from pez.cli.demo.sheet import in_rows
from pez.datasets.samples import KINDS, PHOTOGRAPHS, Sample, samples
from pez.generation import GenerateOptions, open_painter
from pez.models.names import OFFLINE_CLIP
from pez.result import Result

DATA = Path(__file__).parents[1] / "data"
SIDE, ROOM, GAP = 192, 60, 20
SHOWN = 8


def main(names: Sequence[str]) -> None:
    """Make the pictures of these names."""
    for name in names:
        {"photographs": photographs, "drawn": drawn}[name]()


def photographs() -> None:
    """Search all shipped photographs, as the demo does, and write them with their words."""
    chosen = samples(PHOTOGRAPHS)
    found = search(chosen, [OFFLINE_CLIP], LENGTH)
    pictures = [Image.open(sample.path) for sample in chosen]
    texts = [result.prompt for result in found]
    sheet = photograph_sheet(in_rows(list(zip(pictures, texts, strict=True))))
    sheet.save(DATA / "photographs.jpg", quality=88, optimize=True)


def drawn() -> None:
    """Search samples of the synthetic world, draw each prompt once, write the sheet."""
    chosen = [samples(kind)[n] for kind in KINDS for n in (1, 4)][:SHOWN]
    found = search(chosen, ["mini", "mini-b"], 8, restarts=4)
    painter = open_painter(GenerateOptions(generator="mini-sd", device="cpu"))
    again = painter.paint([result.prompt for result in found], [0] * len(found))
    draw_sheet([s.path for s in chosen], found, again).save(DATA / "readme.png", optimize=True)


def search(chosen: Sequence[Sample], model: list[str], length: int, restarts: int = 1) -> list:
    """The results for all of these pictures."""
    paths = [str(sample.path) for sample in chosen]
    found = pez.invert(paths, model=model, length=length, restarts=restarts, device="cpu")
    assert isinstance(found, list)
    found = [result for result in found if isinstance(result, pez.Result)]
    assert len(found) == len(chosen)
    return found


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
    main(sys.argv[1:] or ["photographs", "drawn"])
