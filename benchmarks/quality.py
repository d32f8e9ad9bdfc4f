"""What `pez invert --model mini` finds on held-out scenes of the synthetic world.

    python benchmarks/quality.py          # writes benchmarks/quality.json and quality.md

200 one-thing scenes are inverted as one batch: by the default, by the paper's method from random
words, and by the default in two models at once. A prompt names a thing, background or style if it
contains one of its words. The judge, a model that is never searched, ranks all 256 pictures by each
found prompt. Needs the font that data/world.py draws with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import pez
from pez.models import Reader
from pez.result import Result

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "data"))

KINDS = ("thing", "background", "style")
WAYS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("pursuit, the default", ["mini"], {}),
    ("pursuit, --init random", ["mini"], {"init": "random"}),
    ("pursuit, --model mini --model mini-b", ["mini", "mini-b"], {}),
    ("pez", ["mini"], {"method": "pez", "init": "random"}),
]


def scenes(count: int, seed: int) -> tuple[list[Image.Image], list[dict], list[str]]:
    """Held-out one-thing pictures, their true words by kind, and a caption of each."""
    import pool  # type: ignore[import-not-found]
    import world  # type: ignore[import-not-found]

    images, rows = pool.draw(pool.HELD_OUT + seed, count, two=0.0)
    found = [pool.decode(row) for row in rows]
    rng = np.random.default_rng(seed)
    pictures = [Image.fromarray(image) for image in images]
    return pictures, [s.words() for s in found], [world.sentence(s, rng) for s in found]


def named(prompt: str, words: dict) -> list[bool]:
    """Whether ``prompt`` contains a true word of each of KINDS."""
    said = set(prompt.replace(",", " ").replace(":", " ").split())
    return [bool(said & set(words[kind])) for kind in KINDS]


def ranked(judge: Reader, prompts: list[str], pictures: list[Image.Image]) -> tuple[float, float]:
    """Share of prompts that rank their picture first among all, and the mean cosine."""
    sims = judge.encode_text(prompts) @ judge.encode_images(pictures).T
    own = torch.arange(len(prompts))
    first = (sims.argmax(1).cpu() == own).float().mean().item()
    return first, sims.cpu()[own, own].mean().item()


def row(
    name: str, prompts: list[str], scores: list[float], truth: list[dict], judge: Reader,
    pictures: list[Image.Image], seconds: float,
) -> dict:  # fmt: skip
    """The figures of one method of making prompts."""
    hits = np.mean([named(p, w) for p, w in zip(prompts, truth, strict=True)], 0)
    first, cosine = ranked(judge, prompts, pictures)
    figures = {
        "searched_cosine": float(np.mean(scores)),
        "judge_cosine": cosine,
        "judge_first": first,
    }
    figures |= {f"names_{kind}": float(h) for kind, h in zip(KINDS, hits, strict=True)}
    figures["seconds_a_picture"] = seconds
    out = {"prompts": name} | {k: round(v, 3) for k, v in figures.items()}
    print(out, flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="which held-out scenes")
    parser.add_argument("--steps", type=int, default=0, help="0: the default of invert")
    parser.add_argument("--length", type=int, default=8)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other options")
    parser.add_argument("--dry", action="store_true", help="print only, write nothing")
    args = parser.parse_args()
    pictures, truth, captions = scenes(256, args.seed)
    judge = pez.load_model("mini-judge", "cpu")
    mini = pez.load_model("mini", "cpu")
    targets = mini.encode_images(pictures)
    own = (mini.encode_text(captions) * targets).sum(-1).tolist()
    n = args.count
    rows = [row("true caption", captions[:n], own[:n], truth[:n], judge, pictures, 0)]
    extra: Any = {k: _number(v) for k, v in (pair.split("=") for pair in args.set)}
    if args.steps:
        extra["steps"] = args.steps
    options: dict = {}
    for name, searched, settings in WAYS:
        reader = pez.load_model(searched, "cpu")
        begin = time.perf_counter()
        found = pez.invert(pictures[:n], reader=reader, length=args.length, **settings, **extra)
        took = (time.perf_counter() - begin) / n
        assert isinstance(found, list)
        results = [result for result in found if isinstance(result, Result)]
        assert len(results) == n
        options = results[0].options
        prompts = [r.prompt for r in results]
        scores = (mini.encode_text(prompts) * targets[:n]).sum(-1).tolist()
        rows.append(row(name, prompts, scores, truth[:n], judge, pictures, took))
    if args.dry:
        return
    result = {"scenes": n, "seed": args.seed, "options": options, "rows": rows}
    (HERE / "quality.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "quality.md").write_text(table(result))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def table(result: dict) -> str:
    """The figures as Markdown."""
    options = result["options"]
    lines = [
        "# What the small models find",
        "",
        f"Written by `python benchmarks/quality.py`: {result['scenes']} held-out one-thing scenes,",
        f"searched in `mini` as one batch, {options['length']} tokens, with each method's own "
        "number of steps. The judge,",
        "`mini-judge`, is never searched; it ranks among 256 pictures. All models are small and "
        "know only a",
        "synthetic world: these figures show that the machinery works, not how good prompts are on",
        "Stable Diffusion.",
        "",
        "| prompts | cosine under mini | judge cosine | judge ranks first "
        "| thing | background | style | s a picture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in result["rows"]:
        lines.append(
            f"| {r['prompts']} | {r['searched_cosine']:.3f} | {r['judge_cosine']:.3f} "
            f"| {r['judge_first']:.0%} | {r['names_thing']:.0%} | {r['names_background']:.0%} "
            f"| {r['names_style']:.0%} | {r['seconds_a_picture']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
