"""What tests and fixtures share: a small plan, cheap options, drawn pictures, jobs."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from pez.methods import method_class
from pez.methods.settings import defaults
from pez.search.problem import Problem
from pez.search.rows import Job

ROOT = Path(__file__).resolve().parents[2]

# settings that make a step of any method cheap
SMALL: dict[str, Any] = {"candidates": 8, "topk": 16, "average": 2, "population": 8}

# three pictures, pez for three steps, no drawing
SMALL_PLAN = """
models = ["mini"]
baselines = ["caption"]
[data]
dataset = "samples"
split = "web"
count = 3
[[methods]]
name = "pez"
lengths = [3]
steps = 3
options = { init = "random" }
"""

ProblemMaker = Callable[..., Problem]


def drawn(seed: int) -> Image.Image:
    """A picture of coloured ellipses, always the same for a seed."""
    dice = random.Random(seed)
    picture = Image.new("RGB", (96, 96), tuple(dice.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        x, y = dice.randrange(64), dice.randrange(64)
        colour = tuple(dice.randrange(256) for _ in range(3))
        pen.ellipse((x, y, x + dice.randrange(10, 40), y + dice.randrange(10, 40)), fill=colour)
    return picture


def small_settings(name: str, **more: Any) -> dict[str, Any]:
    """The settings of ``SMALL`` and ``more`` that the method ``name`` has."""
    return {k: v for k, v in (SMALL | more).items() if k in defaults(method_class(name))}


def jobs_for(count: int, restarts: int = 1, seed: int = 0) -> list[Job]:
    """Jobs for ``count`` items, each with its restarts."""
    return [Job(n, f"item-{n}", r, seed) for n in range(count) for r in range(restarts)]
