"""Figures of benchmarks/methods.py: quartiles, paired intervals, CSV and Markdown."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pez.evaluation.stats import Interval, paired_difference

AXES = ("passes", "alone", "seconds")
READERS = ("judge", "searched")
ACROSS = {
    "passes": "text-tower passes of a picture",
    "alone": "text-tower passes, what is rated once for all pictures included",
    "seconds": "seconds a picture",
}


@dataclass(frozen=True)
class Line:
    """What a method reaches within a budget: quartiles over items and seeds by reader, and by
    the judge its differences to each of ``against``.
    """

    method: str
    axis: str
    budget: float
    prompts: int
    quartiles: Mapping[str, tuple[float, float, float]]
    more: Mapping[str, Interval]  # without the line itself and where the other has no prompt


@dataclass(frozen=True)
class Made:
    """A whole run: its split, plan, how many items, the true captions' scores, its lines."""

    split: str
    plan: Mapping[str, Any]
    items: int
    seeds: Sequence[int]
    truth: Mapping[str, Sequence[float]]
    lines: Sequence[Line]

    @property
    def against(self) -> list[str]:
        """The method that the others are compared with."""
        return held_against(self.plan)

    @property
    def methods(self) -> list[str]:
        """In the plan's order, ours first."""
        ours = self.plan["ours"]
        return sorted(dict.fromkeys(line.method for line in self.lines), key=lambda m: m != ours)

    def at(self, method: str, axis: str) -> dict[float, Line]:
        """A method's lines by budget."""
        return {x.budget: x for x in self.lines if (x.method, x.axis) == (method, axis)}

    def budgets(self, axis: str) -> list[float]:
        """Those for which some method has a prompt."""
        return sorted({line.budget for line in self.lines if line.axis == axis})


def held_against(plan: Mapping[str, Any]) -> list[str]:
    """The methods that a plan compares the others with: ours, and others it names."""
    return [plan["ours"], *plan.get("against", ())]


def lines_of(rows: Sequence[Mapping[str, Any]], against: Sequence[str]) -> list[Line]:
    """Rows of single prompts as lines, with the differences to the methods ``against``, paired by
    item.
    """
    groups: dict[tuple[str, str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["axis"], row["budget"]), []).append(row)
    lines = []
    for (method, axis, budget), mine in groups.items():
        more = {}
        for other in against:
            theirs = groups.get((other, axis, budget), [])
            if method != other and theirs:
                more[other] = paired_difference(
                    [r["judge"] for r in mine],
                    [r["item"] for r in mine],
                    [r["judge"] for r in theirs],
                    [r["item"] for r in theirs],
                )
        found = {name: np.quantile([r[name] for r in mine], [0.25, 0.5, 0.75]) for name in READERS}
        quartiles = {k: (float(a), float(b), float(c)) for k, (a, b, c) in found.items()}
        lines.append(Line(method, axis, budget, len(mine), quartiles, more))
    return lines


def write_csv(path: Path, lines: Sequence[Line], against: Sequence[str]) -> None:
    """A row for each line."""
    parts = [f"{name}_{part}" for name in READERS for part in ("low", "median", "high")]
    ends = ("", "_low", "_high")
    more = [f"judge_more_than_{m.replace(' ', '_')}{end}" for m in against for end in ends]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "axis", "budget", "prompts", *parts, *more])
        for line in lines:
            figures = [value for name in READERS for value in line.quartiles[name]]
            told = [f"{value:.4f}" for value in figures]
            for other in against:
                gap = line.more.get(other)
                told += [f"{v:.4f}" for v in (gap.mean, gap.low, gap.high)] if gap else [""] * 3
            writer.writerow([line.method, line.axis, f"{line.budget:g}", line.prompts, *told])


def markdown(made: Made) -> str:
    """The figures as tables."""
    plan = made.plan
    searched = " + ".join(plan["models"])
    command = "python benchmarks/methods.py"
    command += "" if made.split == "report" else f" --split {made.split}"
    lines = [
        "# Methods at equal cost",
        "",
        f"Written by `{command}`: {made.items} held-out one-thing scenes (the split",
        f"`{made.split}`), {len(made.seeds)} seed(s), {plan['length']} tokens. Searched in "
        f"`{searched}`; the judge, `{plan['judge']}`, is never",
        "searched. Median [quartiles] over scenes and seeds of the best prompt so far, chosen by",
        "the search's own score and read afresh. Passes are forward and backward together, a pass",
        "of several models once for each. What does not depend on the picture (words, phrases or",
        "a bank rated once for all) counts in the tables that say so, as if a picture were",
        "searched by itself, and in the seconds as the batch shares it. A method that anneals over",
        "its steps had as many as its largest budget pays for. Seconds are those of a batch of all",
        "scenes on one core, divided by their number.",
        "Empty: no prompt yet, or the run had ended. All models are small and know only a",
        "synthetic world: these figures compare searches, not how good prompts are on Stable",
        "Diffusion.",
        "",
        f"![curves](methods{'' if made.split == 'report' else '-' + made.split}.png)",
    ]
    for axis in AXES:
        for name, who in (("judge", plan["judge"]), ("searched", searched)):
            lines += ["", f"Cosine under `{who}` within so many {ACROSS[axis]}:", ""]
            lines += _table(made, axis, lambda line, n=name: _quartiles(line.quartiles[n]))
            for other in made.against if name == "judge" else ():
                lines += [
                    "",
                    f"Mean difference to `{other}` under `{who}`, with the 95 % interval of the "
                    "bootstrap",
                    "over scenes (bold where it does not hold 0):",
                    "",
                ]
                lines += _table(made, axis, lambda x, o=other: _gap(x.more.get(o)), skip=other)
    truth = {name: _quartiles(np.quantile(made.truth[name], [0.25, 0.5, 0.75])) for name in READERS}
    lines += ["", f"The true caption has {truth['judge']} under `{plan['judge']}` and"]
    lines += [f"{truth['searched']} under `{searched}`."]
    for axis in ("passes", "alone"):
        lines += _shares(made, axis)
    return "\n".join(lines) + "\n"


def _shares(made: Made, axis: str) -> list[str]:
    """For each method at its largest budget: the smallest one in which ours is as good."""
    ours = made.at(made.plan["ours"], axis)
    out = []
    for method in made.methods:
        mine = made.at(method, axis)
        if method == made.plan["ours"] or not mine:
            continue
        most = max(mine)
        reached = mine[most].quartiles["judge"][1]
        enough = [b for b, line in sorted(ours.items()) if line.quartiles["judge"][1] >= reached]
        when = f"within {enough[0]:g}" if enough else "within no budget"
        out.append(f"| {method} | {most:g} | {reached:.3f} | {when} |")
    head = f"| method | {ACROSS[axis]} | judge's median | `{made.plan['ours']}` is as good |"
    return ["", head, "|---|---|---|---|", *out]


def _table(made: Made, axis: str, cell: Any, skip: str = "") -> list[str]:
    budgets = made.budgets(axis)
    rows = ["| method | " + " | ".join(f"{b:g}" for b in budgets) + " |"]
    rows.append("|" + "---|" * (len(budgets) + 1))
    for method in made.methods:
        mine = made.at(method, axis)
        if method == skip:
            continue
        cells = [cell(mine[b]) if b in mine else "" for b in budgets]
        rows.append(f"| {method} | " + " | ".join(cells) + " |")
    return rows


def _quartiles(values: Sequence[float] | np.ndarray) -> str:
    low, median, high = values
    return f"{median:.3f} [{low:.3f}, {high:.3f}]"


def _gap(more: Interval | None) -> str:
    if more is None:
        return ""
    told = f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]"
    return f"**{told}**" if more.low > 0 or more.high < 0 else told
