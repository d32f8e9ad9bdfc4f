"""Make data/samples/photographs: seven real photographs, made small, with a card of their terms.

    python data/make_photographs.py FOLDER

FOLDER holds the originals of SHOWN: those in ``skimage/data`` of the package scikit-image, in
``scipy/misc`` of scipy up to 1.9, and in ``sklearn/datasets/images`` of scikit-learn. The terms are
those that the packages or the photographs' sources state; the captions are ours.
"""

from __future__ import annotations

import bz2
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent / "samples" / "photographs"
SIDE, QUALITY = 256, 88  # pixels of the shortest side; of JPEG
FACE = (768, 1024, 3)  # of face.dat: bytes alone, compressed

CC0 = "[CC0](https://creativecommons.org/publicdomain/zero/1.0/)"
CC_BY = "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)"
SCIKIT = "scikit-image 0.26, `skimage.data.{}`"
LEARN = "scikit-learn, `sklearn.datasets.load_sample_image`"


@dataclass(frozen=True)
class Photograph:
    """One of the shipped photographs."""

    name: str
    original: str  # its file in FOLDER
    caption: str  # ours
    author: str
    terms: str
    source: str


SHOWN = (
    Photograph(
        "astronaut",
        "astronaut.png",
        "a smiling woman in an orange space suit with a helmet, before a flag and a model of a "
        "space shuttle",
        "NASA",
        "public domain",
        f"{SCIKIT.format('astronaut')}, from [NASA's Great Images](https://flic.kr/p/r9qvLn)",
    ),
    Photograph(
        "cat",
        "chelsea.png",
        "the face of a brown striped cat with green eyes",
        "Stéfan van der Walt",
        CC0,
        SCIKIT.format("chelsea"),
    ),
    Photograph(
        "coffee",
        "coffee.png",
        "a red cup of coffee with a spoon and a saucer on a wooden table",
        "Rachel Michetti, courtesy of Pikolo Espresso Bar",
        CC0,
        SCIKIT.format("coffee"),
    ),
    Photograph(
        "flower",
        "flower.jpg",
        "a round orange flower in front of dark green leaves",
        "[vultilion](https://www.flickr.com/photos/vultilion/6056698931/) (the package "
        "names danielbuechele)",
        CC_BY,
        LEARN,
    ),
    Photograph(
        "photographer",
        "camera.png",
        "a man in a black coat looks through a camera on a tripod on a field of grass",
        "Lav Varshney",
        CC0,
        SCIKIT.format("camera"),
    ),
    Photograph(
        "raccoon",
        "face.dat",
        "a raccoon sits among long green leaves",
        "[public-domain-image.com](http://www.public-domain-image.com)",
        "public domain",
        "scipy 1.9, `scipy.misc.face`",
    ),
    Photograph(
        "temple",
        "china.jpg",
        "a colourful Chinese temple with many roofs above trees at a lake",
        "[danielbuechele](https://www.flickr.com/photos/danielbuechele/6061409035/)",
        CC_BY,
        LEARN,
    ),
)

CARD = """# Photographs

Seven real photographs, for `pez demo` and the first examples. `photo` and its kin were not trained
on them. They come from Python packages; the terms are those that the package or the photograph's
source states. Each was changed: resized to {side} pixels on its shortest side and stored as JPEG.

| photograph | by | terms | taken from |
|---|---|---|---|
{rows}

`metadata.jsonl` has a caption of each, written by this project under its MIT licence. Written by
`data/make_photographs.py`.
"""


def read(file: Path) -> Image.Image:
    """An original, in RGB."""
    if file.suffix == ".dat":
        pixels = np.frombuffer(bz2.decompress(file.read_bytes()), np.uint8)
        return Image.fromarray(pixels.reshape(FACE))
    return Image.open(file).convert("RGB")


def small(image: Image.Image) -> Image.Image:
    """The picture with a shortest side of SIDE pixels."""
    scale = SIDE / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def main(originals: Path) -> None:
    """Write pictures, captions and card."""
    HERE.mkdir(parents=True, exist_ok=True)
    lines, rows = [], []
    for shown in SHOWN:
        name = f"{shown.name}.jpg"
        small(read(originals / shown.original)).save(HERE / name, quality=QUALITY, optimize=True)
        row = {"file_name": name, "text": shown.caption, "captions": [shown.caption]}
        lines.append(json.dumps(row))
        rows.append(f"| `{name}` | {shown.author} | {shown.terms} | {shown.source} |")
    (HERE / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = CARD.format(side=SIDE, rows="\n".join(rows))
    (HERE / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
