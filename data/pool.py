"""Render a pool of scenes to disk once; all training runs draw from it.

    python data/pool.py FOLDER --shards 16 --first 0      # 20,000 scenes a shard

Shard ``k`` is seeded by ``k`` alone, so a pool can be made by several processes and
continued later. Held-out scenes use the shard numbers from ``HELD_OUT`` on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pictures
import world

SHARD = 20_000
HELD_OUT = 1_000_000  # shard numbers from here on are never trained on

_THINGS, _BACKGROUNDS = list(world.THINGS), list(world.BACKGROUNDS)
_STYLES, _SIZES, _SPOTS = list(world.STYLES), ["", *world.SIZES], ["", *world.SPOTS]


def encode(scene: world.Scene) -> list[int]:
    """A scene as six small integers."""
    second = _THINGS.index(scene.things[1]) if len(scene.things) == 2 else -1
    return [
        _THINGS.index(scene.things[0]),
        second,
        _BACKGROUNDS.index(scene.background),
        _STYLES.index(scene.style),
        _SIZES.index(scene.size),
        _SPOTS.index(scene.spot),
    ]


def decode(row: np.ndarray) -> world.Scene:
    """The inverse of :func:`encode`."""
    first, second, background, style, size, spot = (int(v) for v in row)
    things = (_THINGS[first],) if second < 0 else (_THINGS[first], _THINGS[second])
    return world.Scene(things, _BACKGROUNDS[background], _STYLES[style], _SIZES[size], _SPOTS[spot])


def draw(shard: int, count: int = SHARD, two: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 64, 64, 3) uint8 and scenes (count, 6) int16 of one shard."""
    rng = np.random.default_rng([2024, shard])
    images, rows = [], []
    for start in range(0, count, 500):
        scenes = [world.sample_scene(rng, two) for _ in range(min(500, count - start))]
        images.append(pictures.render(scenes, rng))
        rows += [encode(s) for s in scenes]
    return np.concatenate(images), np.array(rows, np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for shard in range(args.first, args.first + args.shards):
        path = args.folder / f"{shard:05d}.npy"
        if not path.exists():
            images, rows = draw(shard)
            np.save(args.folder / f"{shard:05d}.rows.npy", rows)
            temporary = args.folder / f"{shard:05d}.part.npy"
            np.save(temporary, images)
            temporary.rename(path)
            print(path, flush=True)


if __name__ == "__main__":
    main()
