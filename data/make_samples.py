"""Draw data/samples: held-out pictures in four folders that mirror four kinds of data set.

    python data/make_samples.py

Each folder has the hub's ImageFolder layout: pictures and a ``metadata.jsonl`` with
``file_name``, ``text`` (the first caption), ``captions`` and the true attributes. They show only
things that the small generator knows, so that a picture can be redrawn from its prompt.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pictures
import pool
import sketches
import world
from numpy.random import Generator
from PIL import Image

HERE = Path(__file__).parent / "samples"
COUNT = 15  # pictures a folder


TWO = {"web": 0.25, "scenes": 0.4, "attributes": 0.0, "art": 0.15}  # share with two things


def draw_kind(kind: str, rng: Generator) -> world.Scene:
    """A scene as a data set of that kind would contain it."""
    while True:
        two = rng.random() < TWO[kind]  # chosen first: two known things are rarer than one
        scene = world.sample_scene(rng, float(two))
        while not set(scene.things) <= set(sketches.THINGS):
            scene = world.sample_scene(rng, float(two))
        place = scene.background not in world.COLOURS
        if (
            kind == "web"
            or (kind == "scenes" and place and scene.style == "photo")
            or (kind == "attributes" and scene.size)
            or (kind == "art" and scene.style != "photo")
        ):
            return scene


def captions(kind: str, scene: world.Scene, rng: Generator) -> list[str]:
    """Word lists for web and art, five sentences for scenes, one sentence for attributes."""
    if kind == "web":
        return [world.keywords(scene, rng, fillers=4)]
    if kind == "art":
        return [world.keywords(scene, rng, fillers=1)]
    count = 5 if kind == "scenes" else 1
    return [world.sentence(scene, rng) for _ in range(count)]


def main() -> None:
    for number, kind in enumerate(("web", "scenes", "attributes", "art")):
        rng = np.random.default_rng([2024, pool.HELD_OUT + 100 + number])
        scenes = [draw_kind(kind, rng) for _ in range(COUNT)]
        images = pictures.render(scenes, rng)
        folder = HERE / kind
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for n, (scene, image) in enumerate(zip(scenes, images, strict=True)):
            name = f"{kind}-{n:02d}.png"
            Image.fromarray(image).save(folder / name, optimize=True)
            texts = captions(kind, scene, rng)
            row = {"file_name": name, "text": texts[0], "captions": texts}
            row |= {
                "things": list(scene.things),
                "background": scene.background,
                "style": scene.style,
                "size": scene.size,
                "spot": scene.spot,
            }
            lines.append(json.dumps(row))
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
