"""How well prompts of real photographs read, and what that costs: a language model in the search.

    python benchmarks/fluency.py --data FOLDER           # writes fluency.md and fluency.csv
    python benchmarks/fluency.py --data FOLDER --try 4   # four photographs, nothing written

FOLDER holds ``flickr1000`` (of Flickr8k). Settings were chosen on places 700 to 799 of its
photographs (``--choose``); the report is on its last 200, of which the first 60 are taken. Every
prompt is searched on ``photo`` and judged by ``photo-judge``; perplexities are smollm2's.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pez
from pez.images import read_image

HERE = Path(__file__).parent
SEARCHED, JUDGE, LANGUAGE = "photo", "photo-judge", "smollm2"
PLAIN = "pursuit 9"
DRAWS = 2000  # of the bootstrap
COLUMNS: tuple[str, ...] = (
    "prompts",
    "perplexity",
    "cosine",
    "judge",
    "rank",
    "difference",
    "low",
    "high",
)


@dataclass(frozen=True)
class Way:
    """One way to search prompts. ``settings`` are those of :class:`pez.options.InvertOptions`."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


def sentence(alpha: float) -> Way:
    """The language model's beam, weighed by how well the words match."""
    given = (f"alpha={alpha}", "beams=6", "candidates=60")
    options = {"method": "vgd", "style": "sentence", "length": 9, "steps": 8, "set": given}
    return Way(f"vgd sentence, alpha {alpha}", options)


WAYS = (
    Way(PLAIN, {"method": "pursuit", "length": 9, "style": "phrases"}),
    Way("pursuit 5, words", {"method": "pursuit", "length": 5, "style": "words"}),
    Way("caption 9", {"method": "pursuit", "length": 9, "style": "caption"}),
    *(
        Way(
            f"fluency {weight}, words",
            {"length": 5, "style": "words", "fluency": weight, "steps": 8},
        )
        for weight in (0.02, 0.05)
    ),
    sentence(0.4),
    sentence(0.7),
    sentence(1.5),
)


def photographs(folder: Path, choose: bool) -> tuple[list[Path], list[str]]:
    """The photographs of a split, in the order of the captions, and a caption of each."""
    with (folder / "captions.txt").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts: dict[str, str] = {}
    for row in rows:
        texts.setdefault(row["image"], row["caption"].strip(" .").lower())
    names = list(texts)
    part = names[700:800] if choose else names[-200:]
    return [folder / "images" / name for name in part], [texts[name] for name in part]


@torch.no_grad()
def looks(reader: Any, paths: Sequence[Path]) -> torch.Tensor:
    """Unit features (n, e) of photographs."""
    parts = [reader.encode_images([read_image(path)]) for path in paths]
    return torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)


def ranks(scores: np.ndarray) -> np.ndarray:
    """The rank (n,), from 1, of each text's own photograph among all: scores (n texts, n)."""
    own = scores.diagonal()
    return (scores > own[:, None]).sum(1) + 1


def interval(differences: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean of paired differences (n,)."""
    draw = np.random.default_rng(seed)
    drawn = draw.choice(differences, (DRAWS, len(differences))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return low, high


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each way, and one for captions that people wrote."""
    from pez.models import open_language_model

    paths, captions = photographs(args.data / "flickr1000", args.choose)
    count = args.tried or (30 if args.choose else 60)
    paths, captions = paths[:count], captions[:count]
    searched, judge = pez.load_model(SEARCHED, "cpu"), pez.load_model(JUDGE, "cpu")
    language = open_language_model(LANGUAGE, "cpu")
    pictures = looks(judge, paths)
    found: dict[str, tuple[list[str], list[float]]] = {}
    for way in WAYS:
        results = pez.invert(
            [str(path) for path in paths],
            reader=searched,
            language_model=LANGUAGE,
            **way.settings,
        )
        assert isinstance(results, list)
        good = [result for result in results if isinstance(result, pez.Result)]
        assert len(good) == len(paths)
        found[way.name] = [r.prompt for r in good], [r.score for r in good]
        print(way.name, *found[way.name][0][:3], sep="\n  ", file=sys.stderr)
    found["caption of a person"] = captions, []
    rows, plain = [], np.zeros(0)
    for name, (prompts, cosines) in found.items():
        with torch.no_grad():
            texts = torch.nn.functional.normalize(judge.encode_text(prompts).float(), dim=-1)
        scores = (texts @ pictures.T).double().numpy()
        own = scores.diagonal()
        plain = own if name == PLAIN else plain
        read = [p for text in prompts for p in language.perplexities([text]) if p]
        low, high = interval(own - plain)
        rows.append(
            {
                "prompts": name,
                "perplexity": round(math.exp(float(np.log(read).mean())), 1),
                "cosine": round(float(np.mean(cosines)), 3) if cosines else "",
                "judge": round(float(own.mean()), 3),
                "rank": float(np.median(ranks(scores))),
                "difference": round(float((own - plain).mean()), 3),
                "low": round(low, 3),
                "high": round(high, 3),
            }
        )
    return rows


def markdown(rows: Sequence[dict[str, Any]], count: int) -> str:
    """The table of the page."""
    lines = [
        "# Prompts that read well",
        "",
        f"Written by `python benchmarks/fluency.py`, on {count} photographs. Perplexity is",
        f"{LANGUAGE}'s (geometric mean), cosine that under `{SEARCHED}`, which was searched; judge",
        f"and median rank are under `{JUDGE}`, the difference is the judge's to `{PLAIN}`, with a",
        "95 % paired bootstrap interval.",
        "",
        "| prompts | perplexity | cosine | judge | median rank | difference |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        change = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        cells = [row[name] for name in COLUMNS[:5]]
        lines.append("| " + " | ".join(map(str, [*cells, change])) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, then write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where flickr1000 lies")
    parser.add_argument("--choose", action="store_true", help="on the split for choosing")
    parser.add_argument("--try", type=int, default=0, dest="tried", metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        rows = measure(args)
    except pez.PezError as error:
        print(f"fluency.py: {error}", file=sys.stderr)
        return 2
    text = markdown(rows, args.tried or (30 if args.choose else 60))
    if args.tried or args.choose:
        print(text)
        return 0
    (HERE / "fluency.md").write_text(text, encoding="utf-8")
    with (HERE / "fluency.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
