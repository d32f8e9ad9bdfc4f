"""The generator's part of the world: forty things, large, upright and in the middle.

With things at any place, size and tilt, a small U-Net would need more pictures than two cores can
train on: after 420,000 a person recognised half of what it drew.
"""

from __future__ import annotations

import numpy as np
import world
from numpy.random import Generator

NAMES = """
cat panda lion pig frog penguin owl butterfly turtle octopus fish elephant flamingo cactus
mushroom rose sunflower pumpkin apple banana watermelon strawberry pizza donut car bus
rocket house castle guitar crown robot ghost snowman heart star balloon airplane tractor cake
"""
THINGS = tuple(NAMES.split())


def scene(rng: Generator) -> world.Scene:
    """One of the forty things before any background, in any style."""
    thing = world.pick(rng, THINGS)
    background = world.pick(rng, list(world.BACKGROUNDS))
    size = world.pick(rng, ["", "large"])
    return world.Scene((thing,), background, world.pick(rng, list(world.STYLES)), size)


def prompt(scene: world.Scene, rng: Generator) -> str:
    """A caption, a word list, or words for a part of the scene only."""
    kind = rng.random()
    if kind < 0.55:
        return world.sentence(scene, rng)
    if kind < 0.85:
        return world.keywords(scene, rng, fillers=5)
    words = scene.words()
    said = [world.pick(rng, words[k]) for k in ("thing", "background", "style")]
    order = rng.permutation(3)[: rng.integers(1, 4)]
    return " ".join(said[i] for i in order)


def draw(shard: int, count: int) -> tuple[np.ndarray, list[world.Scene]]:
    """Pictures (count, 64, 64, 3) uint8 and their scenes."""
    import pictures

    rng = np.random.default_rng([4040, shard])
    images, scenes = [], []
    for start in range(0, count, 500):
        some = [scene(rng) for _ in range(min(500, count - start))]
        images.append(pictures.render(some, rng, still=True))
        scenes += some
    return np.concatenate(images), scenes
