"""Attention maps as a sheet: the picture, and each word's map laid over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from pez.inspect.attention import Attention
from pez.inspect.ink import INK, PALE, Sheet, heat, shortened

SIDE, GAP, NAME = 224, 14, 44  # pixels of a tile's longer side, between tiles, below them
COLUMNS = 6
GLOW = 0.65  # of the map's colours over the grey picture


def draw_maps(found: Sequence[Attention]) -> Image.Image:
    """For each picture its tile, one for each word, and one for what goes to no word. A map's
    colours run from its own smallest to its own largest value, which stand below it.
    """
    blocks = [_block(one) for one in found]
    sheet = Image.new(
        "RGB",
        (max(block.width for block in blocks), sum(block.height for block in blocks)),
        "white",
    )
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _block(one: Attention) -> Image.Image:
    """The tiles of one picture."""
    scale = SIDE / max(one.image.size)
    size = round(one.image.width * scale), round(one.image.height * scale)
    small = one.image.width < SIDE
    how = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    picture = one.image.convert("RGB").resize(size, how)
    tiles = [(picture, f"seed {one.seed}", "")]
    named = [*zip(one.words, one.maps, strict=True), ("(no word)", one.rest)]
    tiles += [(overlay(picture, values), name, _range(values)) for name, values in named]
    columns = min(COLUMNS, len(tiles))
    wide, tall = size[0] + GAP, size[1] + NAME + GAP
    sheet = Sheet.of(columns * wide + GAP, -(-len(tiles) // columns) * tall + GAP)
    for n, (tile, name, values) in enumerate(tiles):
        left, top = GAP + n % columns * wide, GAP + n // columns * tall
        sheet.image.paste(tile, (left, top))
        sheet.text(left, top + size[1] + 14, shortened(name, size[0]), INK, 16)
        sheet.text(left, top + size[1] + 33, values, PALE, 13)
    return sheet.image


def overlay(picture: Image.Image, values: Tensor) -> Image.Image:
    """A map (h, w) in colours over the picture in grey."""
    array = values.float().numpy()
    low, high = float(array.min()), float(array.max())
    even = (array - low) / max(high - low, 1e-12)
    large = Image.fromarray(even.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    colours = Image.fromarray(heat(np.asarray(large)))
    return Image.blend(picture.convert("L").convert("RGB"), colours, GLOW)


def _range(values: Tensor) -> str:
    return f"{float(values.min()):.2%} to {float(values.max()):.2%}"
