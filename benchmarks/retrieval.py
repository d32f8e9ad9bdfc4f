"""How well models of photographs find the right caption, and captions the right photograph.

    python benchmarks/retrieval.py --data FOLDER  # writes retrieval.md and retrieval.csv

FOLDER is that of photographs.py, with the same photographs: nothing was trained or chosen on them.
Each photograph is ranked against all of its data set, once with the first caption of each, once
with the second, and so on; the table has the mean. Equals count against the right one.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks.photographs import parts_in, usual_data  # noqa: E402
from pez.datasets import open_dataset  # noqa: E402
from pez.models import Reader, load_model  # noqa: E402
from pez.models.names import photo_names  # noqa: E402

FIRSTS = (1, 10)
DRAWS = 2_000  # of photographs, for an interval
ABOUT = """# Captions and photographs

Written by `python benchmarks/retrieval.py`: how often the right one of all is first, or among the
first ten, in percent, with 95 % bootstrap intervals over photographs.
"""


def ranks(image: Tensor, text: Tensor) -> dict[str, Tensor]:
    """Ranks (k, n) of the right one, 1 is the first, in both directions; image features (n, d),
    features of the k-th caption of each (k, n, d).
    """
    similar = torch.einsum("nd,kmd->knm", image, text)
    ways = {"image to text": similar, "text to image": similar.transpose(1, 2)}
    return {
        way: (table >= table.diagonal(dim1=1, dim2=2)[..., None]).sum(2)
        for way, table in ways.items()
    }


def share(found: Tensor, most: int, seed: int = 0) -> tuple[float, float, float]:
    """The share of ranks (k, n) up to ``most``, with the ends of its interval over n."""
    right = (found <= most).float().mean(0)
    g = torch.Generator().manual_seed(seed)
    drawn = right[torch.randint(len(right), (DRAWS, len(right)), generator=g)].mean(1)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975])).tolist()
    return right.mean().item(), low, high


def figures(reader: Reader, pictures: Sequence[Any], captions: Sequence[Sequence[str]]) -> Any:
    """Way -> shares among the first one and ten, of as many captions as every picture has."""
    count = min(map(len, captions))
    text = [reader.encode_text([texts[k] for texts in captions]) for k in range(count)]
    found = ranks(reader.encode_images(pictures), torch.stack(text))
    return {way: [share(some, most) for most in FIRSTS] for way, some in found.items()}


def main() -> int:
    """Measure every shipped model of photographs, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=usual_data(), help="where the data sets lie")
    args = parser.parse_args()
    parts, absent = parts_in(args.data, 0, ())
    print(*absent, sep="\n", file=sys.stderr)
    torch.set_num_threads(1)
    readers = {name: load_model((name,), "cpu") for name in photo_names()}
    rows: list[list[Any]] = []
    lines = [ABOUT]
    for part in parts:
        every = list(open_dataset(part.dataset, split=part.split[0], path=part.path))
        some = every[-part.last :] if part.last else every
        some = some[: part.count]
        lines += [f"## {part.dataset}: {len(some)} photographs\n"]
        lines += ["| model | way | first | in the first ten |", "|---|---|---|---|"]
        for name, reader in readers.items():
            pictures = [example.image() for example in some]
            read = figures(reader, pictures, [example.captions for example in some])
            for way, shares in read.items():
                cells = [f"{100 * m:.0f} [{100 * a:.0f}, {100 * b:.0f}]" for m, a, b in shares]
                lines.append(f"| `{name}` | {way} | " + " | ".join(cells) + " |")
                rows += [
                    [part.dataset, name, way, most, *(f"{x:.4f}" for x in one)]
                    for most, one in zip(FIRSTS, shares, strict=True)
                ]
        lines.append("")
    (HERE / "retrieval.md").write_text("\n".join(lines), encoding="utf-8")
    with (HERE / "retrieval.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "model", "way", "first", "share", "low", "high"])
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
