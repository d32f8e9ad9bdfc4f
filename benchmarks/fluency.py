"""How well prompts of real photographs read, and what that costs: a language model in the search.

    python benchmarks/fluency.py --data FOLDER            # writes fluency.md and fluency.csv
    python benchmarks/fluency.py --data FOLDER --page     # fluency.md alone, of what is measured
    python benchmarks/fluency.py --data FOLDER --choose   # eight other photographs, nothing written

FOLDER holds ``flickr1000`` (of Flickr8k). The report is on every eighth of its last 200
photographs; settings are to be tried on places 700 to 799. Every prompt is searched on ``photo``
and judged by ``photo-judge``; perplexities are smollm2's. Ways whose rows ``fluency.csv`` has are
not searched again: delete it to begin anew.
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
PLAIN = "pursuit, 7 words"
PEOPLE = "first caption by a person"
DRAWS = 2000  # of the bootstrap
COLUMNS = ("prompts", "photograph", "prompt", "perplexity", "cosine", "judge", "rank", "seconds")
AIM = 100  # the perplexity that was aimed at, at no loss under the judge


@dataclass(frozen=True)
class Way:
    """One way to search prompts. ``settings`` are those of :class:`pez.options.InvertOptions`."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


def sentence(alpha: float) -> Way:
    """The language model's beam, weighed by how well the words match; then every place again."""
    given = (f"alpha={alpha}", "hints=8", "candidates=100")
    options = {"method": "vgd", "style": "sentence", "length": 7, "steps": 12, "set": given}
    return Way(f"vgd, sentence of 7, alpha {alpha}", options)


def fluent(weight: float) -> Way:
    """The plain search whose score includes the language model."""
    options = {"method": "pursuit", "length": 7, "style": "words", "fluency": weight, "steps": 10}
    return Way(f"pursuit, 7 words, fluency {weight}", options)


WAYS = (
    Way(PLAIN, {"method": "pursuit", "length": 7, "style": "words"}),
    sentence(0.7),
    sentence(1.5),
    Way("pursuit, 5 words and 4 commas", {"method": "pursuit", "length": 9, "style": "phrases"}),
    Way("vgd, 7 words", {"method": "vgd", "length": 7, "style": "words", "steps": 7}),
    fluent(0.05),
    fluent(0.02),
)


@dataclass(frozen=True)
class Photographs:
    """Those that prompts are ranked among, and the places ``own`` of those that are searched."""

    paths: list[Path]
    captions: list[str]
    own: list[int]


def photographs(folder: Path, choose: bool) -> Photographs:
    """A split of Flickr, in the order of its captions, with the first caption of each."""
    with (folder / "captions.txt").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts: dict[str, str] = {}
    for row in rows:
        texts.setdefault(row["image"], row["caption"].strip(" .").lower())
    names = list(texts)[700:800] if choose else list(texts)[-200:]
    own = list(range(0, len(names), 13 if choose else 8))
    return Photographs([folder / "images" / n for n in names], [texts[n] for n in names], own)


@torch.no_grad()
def looks(reader: Any, paths: Sequence[Path]) -> torch.Tensor:
    """Unit features (n, e) of photographs."""
    parts = [reader.encode_images([read_image(path)]) for path in paths]
    return torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)


@dataclass(frozen=True)
class Bench:
    """The judge, the photographs as it sees them (n, e), and the language model."""

    shown: Photographs
    searched: Any
    judge: Any
    seen: torch.Tensor
    language: Any

    def rows(self, name: str, prompts: Sequence[str], results: Sequence[Any]) -> list[dict]:
        """A row for each prompt; ``results`` are those of searches, if there were any."""
        with torch.no_grad():
            texts = self.judge.encode_text(list(prompts)).float()
        scores = (torch.nn.functional.normalize(texts, dim=-1) @ self.seen.T).double().numpy()
        own = scores[range(len(prompts)), self.shown.own]
        ranks = (scores > own[:, None]).sum(1) + 1
        return [
            {
                "prompts": name,
                "photograph": self.shown.paths[place].name,
                "prompt": prompt if results else "",  # captions are not ours to copy
                "perplexity": round(self.language.perplexities([prompt])[0] or math.nan, 1),
                "cosine": round(results[n].score, 4) if results else "",
                "judge": round(float(own[n]), 4),
                "rank": int(ranks[n]),
                "seconds": round(results[n].seconds, 2) if results else "",
            }
            for n, (place, prompt) in enumerate(zip(self.shown.own, prompts, strict=True))
        ]

    def search(self, way: Way) -> list[dict]:
        """The rows of a way's prompts of all photographs."""
        paths = [str(self.shown.paths[place]) for place in self.shown.own]
        given = {"reader": self.searched, "language_model": LANGUAGE, **way.settings}
        results: Any = pez.invert(paths, **given)
        return self.rows(way.name, [result.prompt for result in results], results)


def open_bench(folder: Path, choose: bool) -> Bench:
    """All models, and the photographs of a split as the judge sees them."""
    from pez.models import open_language_model

    shown = photographs(folder / "flickr1000", choose)
    judge = pez.load_model(JUDGE, "cpu")
    language = open_language_model(LANGUAGE, "cpu")
    seen = looks(judge, shown.paths)
    return Bench(shown, pez.load_model(SEARCHED, "cpu"), judge, seen, language)


def interval(differences: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean of paired differences (n,)."""
    draw = np.random.default_rng(seed)
    drawn = draw.choice(differences, (DRAWS, len(differences))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return low, high


def column(rows: Sequence[dict], prompts: str, name: str) -> np.ndarray:
    """A figure (n,) of every prompt of one way, in the order of the photographs."""
    return np.array([float(r[name]) for r in rows if r["prompts"] == prompts])


def table(rows: Sequence[dict]) -> list[str]:
    """The table: a line for each way."""
    lines = [
        "| prompts | perplexity (geometric mean) | judge | median rank | to pursuit | to people |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["prompts"] for row in rows):
        judge, read = column(rows, name, "judge"), column(rows, name, "perplexity")
        cells = [
            name,
            f"{math.exp(float(np.log(read).mean())):,.0f}",
            f"{judge.mean():.3f}",
            f"{np.median(column(rows, name, 'rank')):.0f}",
        ]
        for other in (PLAIN, PEOPLE):
            change = judge - column(rows, other, "judge")
            low, high = interval(change)
            shown = f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append("" if name == other else shown)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def reached(rows: Sequence[dict]) -> str:
    """Says which searched prompts reach the aim."""
    good = []
    for name in dict.fromkeys(row["prompts"] for row in rows if row["prompts"] != PEOPLE):
        read = math.exp(float(np.log(column(rows, name, "perplexity")).mean()))
        loss = interval(column(rows, name, "judge") - column(rows, PLAIN, "judge"))[1] < 0
        good += [name] if read < AIM and not loss else []
    said = f"reached by {'; '.join(good)}" if good else "reached by none of these ways"
    return (
        f"The aim was a perplexity under {AIM} with no loss under the judge that an interval "
        f"shows: {said}."
    )


def page(rows: Sequence[dict]) -> str:
    """The whole page."""
    count = len(column(rows, PLAIN, "judge"))
    first = [
        "# Prompts that read well",
        "",
        f"Written by `python benchmarks/fluency.py`, on {count} photographs of Flickr8k. Prompts",
        f"were searched on `{SEARCHED}`; perplexity is {LANGUAGE}'s. Judge is the cosine under",
        f"`{JUDGE}`, rank that of the prompt's own photograph among 200. The last columns are",
        f"differences of the judge to `{PLAIN}` and to people's captions, with 95 % paired",
        "bootstrap intervals. All prompts have seven words but those with commas and the captions.",
        "",
    ]
    few = [
        f"- {row['prompts']}: {row['prompt']}"
        for row in rows
        if row["photograph"] == rows[0]["photograph"] and row["prompt"]
    ]
    left = [way.name for way in WAYS if not len(column(rows, way.name, "judge"))]
    gap = ["", f"Not yet measured: {'; '.join(left)}."] if left else []
    told = [*gap, "", reached(rows), "", "The first photograph's prompts:", "", *few]
    return "\n".join([*first, *table(rows), *told]) + "\n"


def write(path: Path, rows: Sequence[dict]) -> None:
    """The rows of all prompts so far."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    """Measure what is missing, then write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where flickr1000 lies")
    parser.add_argument("--page", action="store_true", help="write fluency.md of what is measured")
    parser.add_argument("--choose", action="store_true", help="on the split for choosing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept, rows = HERE / "fluency.csv", []
    if kept.exists() and not args.choose:
        with kept.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    try:
        done = {row["prompts"] for row in rows}
        ways = () if args.page else (WAYS[0], Way(PEOPLE), *WAYS[1:])
        missing = [way for way in ways if way.name not in done]
        bench = open_bench(args.data, args.choose) if missing else None
        for way in missing:
            assert bench is not None
            captions = [bench.shown.captions[place] for place in bench.shown.own]
            people = way.name == PEOPLE
            rows += bench.rows(way.name, captions, ()) if people else bench.search(way)
            print(way.name, file=sys.stderr)
            if not args.choose:
                write(kept, rows)
    except pez.PezError as error:
        print(f"fluency.py: {error}", file=sys.stderr)
        return 2
    if args.choose:
        print(page(rows))
        return 0
    (HERE / "fluency.md").write_text(page(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
