"""Does a word light up on its thing? Writes attention.json, attention.md and attention.png.

    python benchmarks/attention.py [--seeds 4] [--write]

mini-sd draws the captions of the shipped samples that name one thing. Where the thing is, is known
in two ways: mini-sd draws it upright in the middle (`data/sketches.py`), in a box of 48 of 64
pixels, 58 for a large one; and before a plain colour its pixels are those that differ from the
picture's edge. For each map of the thing's word the share of its mass within that place is compared
with chance, the place's share of the picture; and with the maps of the caption's other words.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "data")]
import world  # noqa: E402  # pyright: ignore[reportMissingImports]

SIDE, BOX, LARGE = 64, 48, 58  # pixels; data/pictures.py stands things in such boxes
EDGE, FAR = 3, 60  # pixels of the edge; how far in RGB a thing is from it
SHOWN = 4
DRAWS = 2000  # bootstrap


@dataclass(frozen=True)
class Case:
    """A caption of a sample: its file, thing and the words that name it, and the rest of it."""

    file: str
    caption: str
    thing: str
    names: tuple[str, ...]
    background: str
    size: str


def cases() -> list[Case]:
    """All samples with one thing whose caption names it."""
    out = []
    for path in sorted((ROOT / "data" / "samples").glob("*/metadata.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "things" not in row or len(row["things"]) != 1:
                continue
            (thing,) = row["things"]
            names, text = world.NAMES[thing], row["text"]
            if set(text.replace(",", " ").replace(":", " ").split()) & set(names):
                place = row["background"], row["size"]
                out.append(Case(row["file_name"], text, thing, names, *place))
    return out


def box_of(case: Case) -> np.ndarray:
    """Where mini-sd stands the thing: a mask (64, 64)."""
    side = LARGE if case.size == "large" else BOX
    first = (SIDE - side) // 2
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[first : first + side, first : first + side] = True
    return mask


def pixels_of(picture: np.ndarray) -> np.ndarray:
    """The pixels (64, 64) that are not of the colour of the edge, for a plain background."""
    values = picture.astype(float)
    edge = np.ones((SIDE, SIDE), dtype=bool)
    edge[EDGE:-EDGE, EDGE:-EDGE] = False
    return np.linalg.norm(values - np.median(values[edge], axis=0), axis=-1) > FAR


def share(values: Tensor, mask: np.ndarray) -> float:
    """The share of a map's mass (h, w) within a mask (64, 64)."""
    large = F.interpolate(values[None, None], size=mask.shape, mode="bilinear")[0, 0].numpy()
    return float(large[mask].sum() / large.sum())


def measure(found: list[Case], seeds: int, steps: int = 0) -> list[dict]:
    """A row for each case and seed, and for each place that is known there."""
    import pez
    from pez.generation import GenerateOptions, open_painter

    painter = open_painter(GenerateOptions(generator="mini-sd", device="cpu", steps=steps))
    rows = []
    for case in found:
        first = zlib.crc32(case.caption.encode()) % 10**6
        options = GenerateOptions(generator="mini-sd", device="cpu", seed=first, count=seeds)
        for one in pez.attention(case.caption, painter=painter, options=options):
            picture = np.asarray(one.image.convert("RGB"))
            places = {"box": box_of(case)}
            if case.background in world.COLOURS:
                places["pixels"] = pixels_of(picture)
            for place, mask in places.items():
                if not 0.02 < mask.mean() < 0.95:  # no thing was drawn, or no plain background
                    continue
                own = [m for w, m in zip(one.words, one.maps, strict=True) if w in case.names]
                others = [
                    m for w, m in zip(one.words, one.maps, strict=True) if w not in case.names
                ]
                rows.append(
                    {
                        "file": case.file,
                        "thing": case.thing,
                        "seed": one.seed,
                        "place": place,
                        "chance": round(float(mask.mean()), 4),
                        "share": round(float(np.mean([share(m, mask) for m in own])), 4),
                        "others": round(float(np.mean([share(m, mask) for m in others])), 4),
                        "rest": round(share(one.rest, mask), 4),
                    }
                )
    return rows


def interval(values: list[float], names: list[str]) -> str:
    """Mean and 95 % bootstrap interval over captions."""
    rng = np.random.default_rng(0)
    each = dict.fromkeys(names)
    groups = [[v for v, n in zip(values, names, strict=True) if n == one] for one in each]
    means = np.array([np.mean(group) for group in groups])
    drawn = rng.choice(means, (DRAWS, len(means))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{means.mean():.3f} [{low:.3f}, {high:.3f}]"


def page(rows: list[dict], seeds: int) -> str:
    """attention.md."""
    lines = [
        "# Does a word light up on its thing?",
        "",
        f"mini-sd draws each caption of the samples that names one thing from {seeds} seeds, with",
        "its own steps and guidance; `pez attention` records the maps. mini-sd attends to the text",
        "on 4 x 4 places alone, so its maps are coarse. It is a model of a synthetic world: this",
        "shows that the maps say where, not how well Stable Diffusion's do.",
        "",
        "The share of a map's mass within the thing's place, mean and 95 % bootstrap interval over",
        "captions. *Chance* is the place's share of the picture; *gain* is what the map of the",
        "thing's word has above it, and *above* the part of the pictures in which it has any.",
        "*Box*: the square where mini-sd stands things. *Pixels*: what differs from the picture's",
        "edge, before plain colours.",
        "",
        "| place | captions | pictures | chance | thing's word | gain | other words | above |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place in ("box", "pixels"):
        some = [row for row in rows if row["place"] == place]
        names = [row["file"] for row in some]
        gains = [row["share"] - row["chance"] for row in some]
        columns = [[row[column] for row in some] for column in ("chance", "share", "others")]
        cells = [interval(values, names) for values in (*columns[:2], gains, columns[2])]
        above = np.mean([gain > 0 for gain in gains])
        lines.append(
            f"| {place} | {len(set(names))} | {len(some)} | {' | '.join(cells)} | {above:.0%} |"
        )
    lines += [
        "",
        "The first captions with a plain background, none chosen: the map of a word follows its",
        "thing or its background in most, not in all (the tractor's does not).",
        "",
        "![pictures of four captions, and the maps of their words](attention.png)",
        "",
        "`python benchmarks/attention.py --write` remakes this page; `--page` only writes it again",
        "from attention.json.",
    ]
    return "\n".join(lines) + "\n"


def draw_sheet(found: list[Case]) -> Image.Image:
    """The maps of the first captions with a plain background."""
    import pez
    from pez.generation import GenerateOptions, open_painter
    from pez.inspect.heatmaps import draw_maps

    options = GenerateOptions(generator="mini-sd", device="cpu")
    painter = open_painter(options)
    plain = [case for case in found if case.background in world.COLOURS][:SHOWN]
    maps = [pez.attention(c.caption, painter=painter, options=options)[0] for c in plain]
    return draw_maps(maps).quantize(128)


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--count", type=int, default=10**6, help="captions at most")
    parser.add_argument("--write", action="store_true", help="write the committed files")
    parser.add_argument("--page", action="store_true", help="only attention.md, of the figures")
    args = parser.parse_args()
    place = ROOT / "benchmarks"
    if args.page:
        figures = json.loads((place / "attention.json").read_text())
        (place / "attention.md").write_text(page(figures["rows"], figures["seeds"]))
        return
    place = place if args.write else Path(tempfile.mkdtemp())
    found = cases()[: args.count]
    rows = measure(found, args.seeds)
    lines = ",\n".join(json.dumps(row) for row in rows)
    figures = f'{{"seeds": {args.seeds}, "rows": [\n{lines}\n]}}\n'
    (place / "attention.json").write_text(figures)
    (place / "attention.md").write_text(page(rows, args.seeds))
    draw_sheet(found).save(place / "attention.png", optimize=True)
    print(place)


if __name__ == "__main__":
    main()
