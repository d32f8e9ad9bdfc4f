"""How well prompts of real photographs read, and what that costs: a language model in the search.

    python benchmarks/fluency.py --data FOLDER            # writes fluency.md and fluency.csv
    python benchmarks/fluency.py --data FOLDER --page     # fluency.md alone, of what is measured
    python benchmarks/fluency.py --data FOLDER --choose   # eight other photographs, nothing written

FOLDER holds ``flickr1000`` (of Flickr8k). The report is on every fourth of its last 200
photographs; settings are to be tried on places 700 to 799, with ``photo-b`` as the judge. Every
prompt is searched on ``photo`` and judged by ``photo-judge``; perplexities are smollm2's. What
``fluency.csv`` has is not searched again: delete it to begin anew.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]
import pez  # noqa: E402
from benchmarks.photos import right_words  # noqa: E402
from pez.images import read_image  # noqa: E402

SEARCHED, JUDGE, LANGUAGE = "photo", "photo-judge", "smollm2"
CHOOSING = "photo-b"  # the judge where settings are chosen
PLAIN = "pursuit, 5 words"
PEOPLE = "first caption by a person"
DRAWS = 2000  # of the bootstrap
CHUNK = 10  # photographs that are searched together, and whose rows are then written
COLUMNS = (
    "prompts",
    "photograph",
    "prompt",
    "perplexity",
    "cosine",
    "judge",
    "rank",
    "right_words",
    "seconds",
)
AIM = 100  # the perplexity that was aimed at, at no loss under the judge


@dataclass(frozen=True)
class Way:
    """One way to search prompts. ``settings`` are those of :class:`pez.options.InvertOptions`."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


def sentence(name: str, **settings: Any) -> Way:
    """Five words that match, joined by the language model with words such as "of"."""
    options = {"method": "sentence", "style": "sentence", "length": 13, **settings}
    return Way(name, options)


def fluent(weight: float) -> Way:
    """The plain search whose score includes the language model."""
    options = {"method": "pursuit", "length": 5, "style": "words", "fluency": weight, "steps": 10}
    return Way(f"pursuit, 5 words, fluency {weight}", options)


WAYS = (
    Way(PLAIN, {"method": "pursuit", "length": 5, "style": "words"}),
    Way("pursuit, 5 words and 4 commas", {"method": "pursuit", "length": 9, "style": "phrases"}),
    sentence("sentence of 13"),
    sentence('"a photo of" and a sentence of 13', template="a photo of {}"),
    sentence(
        '"a photo of" and a sentence of 13, alpha 2', template="a photo of {}", set=("alpha=2",)
    ),
    sentence("sentence of 13, alpha 0.5", set=("alpha=0.5",)),
    Way("pursuit, a caption of 9", {"method": "pursuit", "length": 9, "style": "caption"}),
    Way("vgd, 7 words", {"method": "vgd", "length": 7, "style": "words", "steps": 7}),
    fluent(0.02),
    fluent(0.05),
)


@dataclass(frozen=True)
class Photographs:
    """Those that prompts are ranked among, with their captions, and the places ``own`` of those
    that are searched.
    """

    paths: list[Path]
    captions: list[list[str]]
    own: list[int]


def photographs(folder: Path, choose: bool) -> Photographs:
    """A split of Flickr, in the order of its captions."""
    with (folder / "captions.txt").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts: dict[str, list[str]] = {}
    for row in rows:
        texts.setdefault(row["image"], []).append(row["caption"].strip(" .").lower())
    names = list(texts)[700:800] if choose else list(texts)[-200:]
    own = list(range(0, len(names), 10 if choose else 4))
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

    def rows(
        self,
        name: str,
        places: Sequence[int],
        prompts: Sequence[str],
        results: Sequence[Any] = (),
        seconds: float = 0.0,
    ) -> list[dict]:
        """A row for the prompt of each photograph; ``results`` are those of searches that took
        ``seconds`` each, if there were any.
        """
        with torch.no_grad():
            texts = self.judge.encode_text(list(prompts)).float()
        scores = (torch.nn.functional.normalize(texts, dim=-1) @ self.seen.T).double().numpy()
        own = scores[range(len(prompts)), places]
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
                # all but the first caption, which is people's own prompt
                "right_words": right_words(prompt, self.shown.captions[place][1:]),
                "seconds": round(seconds, 2) if results else "",
            }
            for n, (place, prompt) in enumerate(zip(places, prompts, strict=True))
        ]

    def search(self, way: Way, places: Sequence[int]) -> list[dict]:
        """The rows of a way's prompts of some photographs."""
        if way.name == PEOPLE:
            return self.rows(way.name, places, [self.shown.captions[n][0] for n in places])
        paths = [str(self.shown.paths[place]) for place in places]
        given = {"reader": self.searched, "language_model": LANGUAGE, **way.settings}
        began = time.process_time()
        results: Any = pez.invert(paths, **given)
        seconds = (time.process_time() - began) / len(paths)
        return self.rows(way.name, places, [r.prompt for r in results], results, seconds)


def open_bench(folder: Path, choose: bool) -> Bench:
    """All models, and the photographs of a split as the judge sees them."""
    from pez.models import open_language_model

    shown = photographs(folder / "flickr1000", choose)
    judge = pez.load_model(CHOOSING if choose else JUDGE, "cpu")
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
    """A figure (n,) of every prompt of one way, in the order of the photographs; 0 for none."""
    return np.array([float(r[name] or 0) for r in rows if r["prompts"] == prompts])


def whole(rows: Sequence[dict]) -> list[str]:
    """The ways whose prompts of all photographs are there."""
    count = len(column(rows, PLAIN, "judge"))
    names = dict.fromkeys(row["prompts"] for row in rows)
    return [name for name in names if len(column(rows, name, "judge")) == count]


def table(rows: Sequence[dict]) -> list[str]:
    """The table: a line for each way."""
    lines = [
        "| prompts | perplexity | judge | median rank | right words | seconds | to plain | "
        "to people |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in whole(rows):
        judge, read = column(rows, name, "judge"), column(rows, name, "perplexity")
        cells = [
            name,
            f"{math.exp(float(np.log(read).mean())):,.0f}",
            f"{judge.mean():.3f}",
            f"{np.median(column(rows, name, 'rank')):.0f}",
            f"{column(rows, name, 'right_words').mean():.2f}",
            "" if name == PEOPLE else f"{column(rows, name, 'seconds').mean():.1f}",
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
    for name in whole(rows):
        if name == PEOPLE:
            continue
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
        f"were searched on `{SEARCHED}`; perplexity is {LANGUAGE}'s of the whole text behind its",
        f"start token, as a geometric mean. Judge is the cosine under `{JUDGE}`, rank that of the",
        "prompt's own photograph among 200. Right words are the content words that one of four",
        "captions has. Seconds are one processor core's for a photograph. The last columns are",
        f"differences of the judge to the plain search, `{PLAIN}`, and to people's captions, with",
        "95 % paired bootstrap intervals. A sentence says five words that match, and between them",
        'words such as "of"; it begins with "a".',
        "",
    ]
    few = [
        f"- {row['prompts']}: {row['prompt']}"
        for row in rows
        if row["photograph"] == rows[0]["photograph"] and row["prompt"]
    ]
    left = [way.name for way in WAYS if way.name not in whole(rows)]
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
        bench = None if args.page else open_bench(args.data, args.choose)
        for way in (WAYS[0], Way(PEOPLE), *WAYS[1:]) if bench else ():
            assert bench is not None
            done = {row["photograph"] for row in rows if row["prompts"] == way.name}
            left = [n for n in bench.shown.own if bench.shown.paths[n].name not in done]
            for start in range(0, len(left), CHUNK):
                rows += bench.search(way, left[start : start + CHUNK])
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
