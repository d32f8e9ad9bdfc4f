"""Pictures of the synthetic world: scenes of ``world.py`` drawn at 64 x 64 pixels.

python data/pictures.py sheet.png      # a contact sheet to look at
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from world import BACKGROUNDS, COLOURS, SIZE, STYLES, THINGS, Scene, caption, pick, sample_scene

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"


def render(scenes: list[Scene], rng: Generator, still: bool = False) -> np.ndarray:
    """Draw ``scenes``: uint8 array (n, 64, 64, 3); ``still`` things stand upright in the middle."""
    canvas = np.stack([_background(s.background, rng) for s in scenes])
    for image, scene in zip(canvas, scenes, strict=True):
        if still:
            _stand(image, scene)
        else:
            _place(image, scene, rng)
    out = np.empty(canvas.shape, np.uint8)
    for style in STYLES:
        rows = [i for i, s in enumerate(scenes) if s.style == style]
        if rows:
            styled = _STYLE_FILTERS[style](canvas[rows], rng)
            out[rows] = np.clip(styled, 0, 255).astype(np.uint8)
    return out


def _place(image: np.ndarray, scene: Scene, rng: Generator) -> None:
    """Paste the things of ``scene`` onto ``image`` (64, 64, 3) in place."""
    if len(scene.things) == 2:
        sides = rng.integers(27, 34, 2)
        first = (rng.integers(0, 5), rng.integers(4, SIZE - sides[0] - 2))
        second = (SIZE - sides[1] - rng.integers(0, 5), rng.integers(4, SIZE - sides[1] - 2))
        spots = [(sides[0], *first), (sides[1], *second)]
        rng.shuffle(spots)
    else:
        low, high = {"small": (28, 34), "large": (48, 60)}.get(scene.size, (34, 45))
        side = int(rng.integers(low, high))
        free = SIZE - side
        x = free / 2 + rng.normal() * free / 10
        y = free / 2 + rng.normal() * free / 10
        x = {"left": 0.08 * free, "right": 0.92 * free}.get(scene.spot, x)
        y = {"top": 0.08 * free, "bottom": 0.92 * free}.get(scene.spot, y)
        spots = [(side, int(np.clip(x, 0, free)), int(np.clip(y, 0, free)))]
    for thing, (side, x, y) in zip(scene.things, spots, strict=True):
        glyph = _glyph(thing, int(side), bool(rng.random() < 0.5), int(rng.integers(-2, 3)) * 6)
        _paste(image, glyph, x, y)


def _stand(image: np.ndarray, scene: Scene) -> None:
    """Paste the only thing of ``scene`` upright in the middle of ``image``, at its size."""
    side = 58 if scene.size == "large" else 48
    _paste(image, _glyph(scene.things[0], side, False, 0), (SIZE - side) // 2, (SIZE - side) // 2)


def _paste(image: np.ndarray, glyph: np.ndarray, x: int, y: int) -> None:
    """Blend ``glyph`` (side, side, 4) over ``image`` in place."""
    alpha = glyph[..., 3:] / 255.0
    window = image[y : y + len(glyph), x : x + len(glyph)]
    window[:] = window * (1 - alpha) + glyph[..., :3] * alpha


@cache
def _emoji(thing: str) -> Image.Image:
    """The colour glyph of ``thing``, cropped to its ink and squared."""
    font = ImageFont.truetype(FONT, size=109)
    image = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(image).text((12, 12), THINGS[thing], font=font, embedded_color=True)
    image = image.crop(image.getbbox())
    side = max(image.size)
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


@cache
def _glyph(thing: str, side: int, flip: bool, angle: int) -> np.ndarray:
    """``thing`` as float32 (side, side, 4), flipped and turned."""
    image = _emoji(thing)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        image = image.rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float32)


_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


def _background(name: str, rng: Generator) -> np.ndarray:
    """A background as float32 (64, 64, 3) in 0..255."""
    if name in COLOURS:
        colour = np.array(COLOURS[name], np.float32) + rng.normal(0, 9, 3)
        tilt = 1 + rng.normal() * 0.12 * (_X - 0.5) + rng.normal() * 0.12 * (_Y - 0.5)
        return np.clip(colour * tilt[..., None], 0, 255).astype(np.float32)
    return _PLACES[name](rng)


def _blend(top: tuple, bottom: tuple, rng: Generator, jitter: float = 8) -> np.ndarray:
    """A vertical gradient from ``top`` to ``bottom``, both RGB."""
    a, b = (np.array(c, np.float32) + rng.normal(0, jitter, 3) for c in (top, bottom))
    return (a * (1 - _Y[..., None]) + b * _Y[..., None]).astype(np.float32)


def _noise(rng: Generator, sigma: tuple[float, float]) -> np.ndarray:
    """Smooth noise (64, 64) with unit variance."""
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)).astype(np.float32), sigma)
    return field / (field.std() + 1e-6)


def _horizon(rng: Generator, low: float = 0.3, high: float = 0.5) -> np.ndarray:
    """A soft mask (64, 64, 1): 1 below a horizon."""
    return np.clip((_Y - rng.uniform(low, high)) * 24, 0, 1)[..., None]


def _sky(rng: Generator) -> np.ndarray:
    clouds = np.clip(_noise(rng, (3, 6)) - 0.6, 0, 1)[..., None]
    return _blend((95, 165, 240), (185, 220, 250), rng) * (1 - clouds) + 252 * clouds


def _sea(rng: Generator) -> np.ndarray:
    water = _blend((25, 120, 165), (10, 60, 110), rng) + 26 * np.sin(
        _Y * rng.uniform(60, 85) + 1.5 * _noise(rng, (3, 9))
    )[..., None] * (0.4 + _Y[..., None])
    mask = _horizon(rng, 0.12, 0.25)
    return _blend((170, 215, 245), (215, 235, 245), rng) * (1 - mask) + water * mask


def _grass(rng: Generator) -> np.ndarray:
    blades = _blend((115, 195, 70), (45, 130, 40), rng) + 20 * _noise(rng, (2.2, 0.5))[..., None]
    mask = _horizon(rng)
    return _blend((150, 205, 245), (205, 230, 245), rng) * (1 - mask) + blades * mask


def _night(rng: Generator) -> np.ndarray:
    image = _blend((8, 8, 38), (28, 26, 75), rng, 4)
    for y, x in rng.integers(1, SIZE - 1, (22, 2)):
        image[y, x] = 255
        image[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(20, 90)
    return image


def _sand(rng: Generator) -> np.ndarray:
    ripples = 11 * np.sin(_Y * 48 + 3.2 * _noise(rng, (6, 9)))[..., None]
    dunes = _blend((232, 200, 135), (205, 160, 95), rng, 5) + ripples
    mask = _horizon(rng, 0.2, 0.35)
    return _blend((120, 185, 235), (200, 220, 235), rng) * (1 - mask) + dunes * mask


def _snow(rng: Generator) -> np.ndarray:
    mask = _horizon(rng, 0.5, 0.65)
    image = _blend((140, 160, 190), (185, 200, 220), rng, 5) * (1 - mask)
    image = image + _blend((235, 240, 250), (248, 250, 255), rng, 3) * mask
    for y, x in rng.integers(0, SIZE - 2, (40, 2)):
        image[y : y + 2, x : x + 2] = 255
    return image


def _sunset(rng: Generator) -> np.ndarray:
    image = _blend((75, 45, 120), (255, 150, 60), rng)
    x, y = rng.uniform(0.2, 0.8), rng.uniform(0.7, 0.9)
    sun = np.exp(-((_X - x) ** 2 + (_Y - y) ** 2) * 45)[..., None]
    return image * (1 - sun) + np.array([255, 235, 150], np.float32) * sun


def _forest(rng: Generator) -> np.ndarray:
    trunks = np.clip(np.sin(_X * rng.uniform(38, 60) + rng.uniform(0, 6)) * 4 - 2.2, 0, 1)
    leaves = np.array([30, 85, 45], np.float32) + 17 * _noise(rng, (1.5, 1.5))[..., None]
    return leaves * (1 - trunks[..., None]) + np.array([72, 50, 32], np.float32) * trunks[..., None]


_PLACES = {
    "sky": _sky,
    "sea": _sea,
    "grass": _grass,
    "night": _night,
    "sand": _sand,
    "snow": _snow,
    "sunset": _sunset,
    "forest": _forest,
}


def _smooth(images: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0))


def _edges(images: np.ndarray) -> np.ndarray:
    """Strength of edges (n, 64, 64, 1), about 0..1."""
    grey = images.mean(-1)
    gy, gx = np.gradient(grey, axis=(1, 2))
    return np.clip(np.hypot(gx, gy) / 45, 0, 1)[..., None]


def _saturate(images: np.ndarray, factor: float) -> np.ndarray:
    grey = images.mean(-1, keepdims=True)
    return grey + (images - grey) * factor


def _photo(images: np.ndarray, rng: Generator) -> np.ndarray:
    light = rng.uniform(0.85, 1.1, (len(images), 1, 1, 1))
    return images * light + rng.normal(0, 4, images.shape)


def _watercolor(images: np.ndarray, rng: Generator) -> np.ndarray:
    soft = _smooth(images, 0.8)
    paper = ndimage.gaussian_filter(rng.normal(size=images.shape[:3]), (0, 1.5, 1.5))[..., None]
    wash = 255 - (255 - soft) * 0.62 - _edges(soft) * 30
    return wash + paper * 26


def _sketch(images: np.ndarray, rng: Generator) -> np.ndarray:
    hatch = 9 * np.sign(np.sin((_X + _Y) * 110))[None, ..., None]
    pale = 255 - (255 - _saturate(images, 0.8)) * 0.38
    return pale - 165 * _edges(images) + hatch * (1 - images.mean(-1, keepdims=True) / 300)


def _pixel(images: np.ndarray, rng: Generator) -> np.ndarray:
    small = images.reshape(len(images), SIZE // 2, 2, SIZE // 2, 2, 3).mean((2, 4))
    small = np.round(_saturate(small, 1.2) / 42.5) * 42.5
    return small.repeat(2, 1).repeat(2, 2)


def _neon(images: np.ndarray, rng: Generator) -> np.ndarray:
    bright = _saturate(images, 2.2)
    edge = _edges(images)
    glow = _smooth(edge * np.clip(bright + 60, 0, 255), 1.2)
    return images * 0.28 + _saturate(images, 1.5) * 0.1 + glow * 1.5 + edge * 60


def _vintage(images: np.ndarray, rng: Generator) -> np.ndarray:
    sepia = images.mean(-1, keepdims=True) * np.array([1.08, 0.93, 0.68], np.float32)
    faded = (0.55 * sepia + 0.45 * images) * 0.82 + 30
    vignette = 1 - 1.1 * ((_X - 0.5) ** 2 + (_Y - 0.5) ** 2)[..., None]
    return faded * vignette + rng.normal(0, 8, images.shape[:3])[..., None]


def _oil(images: np.ndarray, rng: Generator) -> np.ndarray:
    daubs = ndimage.maximum_filter(ndimage.minimum_filter(images, (1, 3, 3, 1)), (1, 3, 3, 1))
    stroke = ndimage.gaussian_filter(rng.normal(size=images.shape[:3]), (0, 0.4, 2.0))[..., None]
    return _saturate(np.round(daubs / 26) * 26, 1.45) * 0.93 + stroke * 42


_STYLE_FILTERS = {
    "photo": _photo,
    "watercolor": _watercolor,
    "sketch": _sketch,
    "pixel": _pixel,
    "neon": _neon,
    "vintage": _vintage,
    "oil": _oil,
}


def sheet(rng: Generator, columns: int = 14) -> Image.Image:
    """A contact sheet: every thing once, one style a row."""
    names = list(THINGS)
    scenes = []
    for i, name in enumerate(names):
        style = list(STYLES)[(i // columns) % len(STYLES)]
        scenes.append(
            Scene(
                (name,),
                list(BACKGROUNDS)[i % len(BACKGROUNDS)],
                style,
                pick(rng, ["", "small", "large"]),
            )
        )
    images = render(scenes, rng)
    rows = -(-len(images) // columns)
    out = Image.new("RGB", (columns * (SIZE + 2), rows * (SIZE + 2)))
    for i, image in enumerate(images):
        out.paste(Image.fromarray(image), ((i % columns) * (SIZE + 2), (i // columns) * (SIZE + 2)))
    return out


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    sheet(generator).resize((1848, 1848)).save(sys.argv[1])
    for _ in range(12):
        print(caption(sample_scene(generator), generator))
