"""How well shorter prompts of long ones read, and what they lose: plain distillation and readable.

    python benchmarks/readable.py --data FOLDER            # writes readable.md and readable.csv

FOLDER holds ``text/PartiPrompts.tsv`` (Yu et al. 2022), of which twenty prompts of
thirty words or more are taken, evenly spread. Shorter prompts of 13 tokens are searched on
``photo``; cosines with the long prompt are those of ``photo`` and of ``photo-judge``; perplexities
are smollm2's.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]
import pez  # noqa: E402
from benchmarks.fluency import JUDGE, LANGUAGE, SEARCHED, interval  # noqa: E402

COUNT, WORDS, LENGTH = 20, 30, 13
PLAIN = "words between commas"
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "words in a row": {"style": "words"},
    "readable": {"readable": True},
    "readable, alpha 3": {"readable": True, "set": ("alpha=3",)},
}
COLUMNS: tuple[str, ...] = (
    "prompts",
    "number",
    "prompt",
    "perplexity",
    "cosine",
    "judge",
    "seconds",
)


def long_prompts(path: Path) -> list[str]:
    """COUNT prompts of WORDS words or more, evenly spread over the file."""
    with path.open(encoding="utf-8", newline="") as file:
        listed = [row["Prompt"] for row in csv.DictReader(file, delimiter="\t")]
    long = [text for text in listed if len(text.split()) >= WORDS]
    return [long[n * len(long) // COUNT] for n in range(COUNT)]


@torch.no_grad()
def cosines(reader: Any, prompts: list[str], texts: list[str]) -> list[float]:
    """The cosine of each prompt with its text."""
    pair = (
        torch.nn.functional.normalize(reader.encode_text(t).float(), dim=-1)
        for t in (prompts, texts)
    )
    one, other = pair
    return (one * other).sum(1).tolist()


def measured(texts: list[str]) -> list[dict[str, Any]]:
    """A row for each way and text."""
    from pez.models import open_language_model

    searched, judge = (pez.load_model(name, "cpu") for name in (SEARCHED, JUDGE))
    language = open_language_model(LANGUAGE, "cpu")
    rows = []
    for name, settings in WAYS.items():
        began = time.process_time()
        given = {"reader": searched, "language_model": LANGUAGE, "length": LENGTH, **settings}
        results: Any = pez.distill(texts, warn=lambda _: None, **given)
        seconds = (time.process_time() - began) / len(texts)
        prompts = [result.prompt for result in results]
        own, other = cosines(searched, prompts, texts), cosines(judge, prompts, texts)
        read = language.perplexities(prompts)
        for n, prompt in enumerate(prompts):
            figures = (round(read[n] or math.nan, 1), round(own[n], 4), round(other[n], 4))
            row = (name, n, prompt, *figures, round(seconds, 2))
            rows.append(dict(zip(COLUMNS, row, strict=True)))
        print(name, file=sys.stderr)
    return rows


def page(rows: list[dict[str, Any]]) -> str:
    """The whole page."""
    lines = [
        "# Shorter prompts that read well",
        "",
        f"Written by `python benchmarks/readable.py`: {COUNT} prompts of PartiPrompts, of {WORDS} "
        f"words or more, as {LENGTH} tokens,",
        f"searched on `{SEARCHED}`. Cosines are those with the long prompt, of the searched model "
        f"and of `{JUDGE}`;",
        f"perplexity is {LANGUAGE}'s, as a geometric mean. Seconds are one processor core's for a "
        "prompt. The last column is",
        f"the judge's difference to `{PLAIN}`, with a 95 % paired bootstrap interval.",
        "",
        "| prompts | perplexity | cosine | judge | seconds | judge's difference |",
        "|---|---|---|---|---|---|",
    ]

    def figures(name: str, column: str) -> np.ndarray:
        return np.array([float(row[column]) for row in rows if row["prompts"] == name])

    for name in WAYS:
        read, judge = figures(name, "perplexity"), figures(name, "judge")
        change = judge - figures(PLAIN, "judge")
        low, high = interval(change)
        shown = "" if name == PLAIN else f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(
            f"| {name} | {math.exp(float(np.log(read).mean())):,.0f} "
            f"| {figures(name, 'cosine').mean():.3f} | {judge.mean():.3f} "
            f"| {figures(name, 'seconds').mean():.1f} | {shown} |"
        )
    lines += ["", "The first prompt's:", ""]
    lines += [f"- {row['prompts']}: {row['prompt']}" for row in rows if int(row["number"]) == 0]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where text/ lies")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        rows = measured(long_prompts(args.data / "text" / "PartiPrompts.tsv"))
    except (pez.PezError, OSError) as error:
        print(f"readable.py: {error}", file=sys.stderr)
        return 2
    with (HERE / "readable.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (HERE / "readable.md").write_text(page(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
