"""The page and the table that benchmarks/ideas.py writes."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pez.evaluation.comparisons import holm, sign_flip_test
from pez.evaluation.stats import bootstrap_mean


@dataclass(frozen=True)
class Row:
    """What an idea's prompts are on the report split, one number for each picture."""

    name: str
    weight: float | None
    prompts: list[str]
    cosine: list[float]
    rank: list[int]
    right: list[int]
    searched: list[float]


def markdown(plan: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The page."""
    count = len(rows[0].cosine)
    about = (
        f"Written by `python benchmarks/ideas.py`: {count} photographs of Flickr8k that no "
        f"training saw, {plan['words']} words between commas, {plan['passes']} passes, searched in "
        "`photo`. All rows share one search: from the start `pursuit`, word after word, the "
        f"likeliest exchanges ({plan['candidates']} at a time) are read and the best is kept. They "
        "differ in what is called better: the score, or the score and the idea, by a weight with "
        "the highest mean cosine under `photo-b` on 50 other photographs. Differences under "
        "`photo-judge`, which chose nothing, are paired by photograph, with 95 % bootstrap "
        "intervals; p is of a sign-flip test with Holm's correction."
    )
    lines = ["# Ideas to find better words", "", *textwrap.wrap(about, 100), ""]
    lines += [
        "| what is better | weight | judge | difference | right words | ranked first | searched |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    gaps = [[a - b for a, b in zip(row.cosine, rows[0].cosine, strict=True)] for row in rows]
    corrected = [1.0, *holm([sign_flip_test(gap) for gap in gaps[1:]])]
    for row, gap, p in zip(rows, gaps, corrected, strict=True):
        mean = bootstrap_mean(gap)
        more = f"{mean.mean:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}], p {p:.3f}"
        first = sum(rank == 1 for rank in row.rank) / count
        cells = [
            row.name, "" if row.weight is None else f"{row.weight:g}",
            str(bootstrap_mean(row.cosine)), more if row is not rows[0] else "",
            f"{sum(row.right) / count:.2f}", f"{first:.0%}",
            f"{sum(row.searched) / count:.3f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Each prompt with its figures."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["idea", "weight", "picture", "prompt", "judge", "rank", "right", "searched"]
        )
        for row in rows:
            each = zip(row.prompts, row.cosine, row.rank, row.right, row.searched, strict=True)
            for n, (prompt, judge, rank, right, own) in enumerate(each):
                weight = "" if row.weight is None else row.weight
                figures = (f"{judge:.4f}", rank, right, f"{own:.4f}")
                writer.writerow([row.name, weight, n, prompt, *figures])
