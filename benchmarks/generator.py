"""How well mini-sd follows its prompts: writes generator.json, generator.md and a grid.

    python benchmarks/generator.py [--folder data/generators/mini-sd] [--guidance 2 3 4 6]

The captions are held out: scenes of seeds that training never drew. The judge, which was never
searched and never trained with the generator, must find a picture's own caption among 64.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data")]
import sketches  # noqa: E402  # pyright: ignore[reportMissingImports]
import world  # noqa: E402  # pyright: ignore[reportMissingImports]

GROUP, HELD_OUT = 64, 9_000_000


def held_out(groups: int) -> list[tuple[world.Scene, str]]:
    """Scenes, all different within a group of 64, each with a sentence."""
    out = []
    for g in range(groups):
        rng = np.random.default_rng([4040, HELD_OUT + g])
        seen: dict[tuple, world.Scene] = {}
        while len(seen) < GROUP:
            scene = sketches.scene(rng)
            seen.setdefault((scene.things, scene.background, scene.style), scene)
        out += [(s, world.sentence(s, rng)) for s in seen.values()]
    return out


def draw(folder: Path, texts: list[str], guidance: float, steps: int, first: int = 0) -> list:
    """One picture per text, each from its own seed."""
    from pez.generation import GenerateOptions, open_painter

    options = GenerateOptions(str(folder), steps=steps, guidance=guidance, device="cpu")
    seeds = [HELD_OUT + first + n for n in range(len(texts))]
    return open_painter(options).paint(texts, seeds)


def main() -> None:
    """Draw, compare, write."""
    from pez.models import load_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "data/generators/mini-sd")
    parser.add_argument("--guidance", type=float, nargs="+", default=[2.0, 3.0, 4.0, 6.0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="write the committed files")
    args = parser.parse_args()
    judge = load_model("mini-judge")
    pairs = held_out(args.groups)
    texts = [text for _, text in pairs]
    features = judge.encode_text(texts)
    things = judge.encode_text(list(sketches.THINGS))
    truth = torch.tensor([sketches.THINGS.index(s.things[0]) for s, _ in pairs])
    rows = []
    for guidance in args.guidance:
        start = time.perf_counter()
        images = draw(args.folder, texts, guidance, args.steps)
        seconds = (time.perf_counter() - start) / len(images)
        seen = judge.encode_images(images)
        sims = torch.stack(
            [a @ b.T for a, b in zip(seen.split(GROUP), features.split(GROUP), strict=True)]
        )
        right = (sims.argmax(2) == torch.arange(GROUP)).float().mean().item()
        thing = ((seen @ things.T).argmax(1) == truth).float().mean().item()
        rows.append(
            {"guidance": guidance, "right_of_64": round(right, 4), "thing_of_40": round(thing, 4)}
        )
        rows[-1] |= {"cosine": round((seen * features).sum(1).mean().item(), 4)}
        rows[-1] |= {"seconds": round(seconds, 3), "pictures": len(images)}
        print(json.dumps(rows[-1]), flush=True)
    rng = np.random.default_rng(0)
    captions = []
    for thing in sketches.THINGS:
        s = sketches.scene(rng)
        scene = world.Scene((thing,), s.background, s.style, s.size)
        captions.append(world.sentence(scene, rng))
    images = draw(args.folder, captions, -1.0, args.steps, 10_000)  # at its own guidance
    grid = Image.new("RGB", (10 * 64, 4 * 64))
    for n, image in enumerate(images):
        grid.paste(image, (n % 10 * 64, n // 10 * 64))
    place = ROOT / "benchmarks" if args.write else Path(tempfile.gettempdir())
    grid.resize((1280, 512), Image.Resampling.NEAREST).save(place / "generator.png")
    if args.write:
        write(rows, captions, args.steps)


def write(rows: list[dict], captions: list[str], steps: int) -> None:
    """Write generator.json and generator.md."""
    place = ROOT / "benchmarks"
    figures = {"steps": steps, "rows": rows, "grid": captions}
    (place / "generator.json").write_text(json.dumps(figures, indent=1) + "\n")
    lines = [
        "# mini-sd: does it draw its prompts?",
        "",
        f"Held-out captions of the forty things, {steps} DDIM steps; mini-judge is the judge.",
        "The models are small and of a synthetic world: this shows that the machinery works.",
        "",
        "| guidance | own caption found among 64 | thing found among 40 | cosine | s a picture |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['guidance']:g} | {r['right_of_64']:.1%} | {r['thing_of_40']:.1%} "
        f"| {r['cosine']:.3f} | {r['seconds']:.2f} |"
        for r in rows
    ]
    (place / "generator.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
