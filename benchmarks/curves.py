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
    """What a method reaches within a budget: quartiles over items and seeds by reader, and the
    differences to each of ``against`` under the judge.
    """

    method: str
    axis: str
    budget: float
    prompts: int
    quartiles: Mapping[str, tuple[float, float, float]]
    more: Mapping[str, Interval]  # not to itself, nor to a method without a prompt at this budget


@dataclass(frozen=True)
class Run:
    """A whole run: split, plan, number of items, the true captions' scores, lines."""

    split: str
    plan: Mapping[str, Any]
    items: int
    seeds: Sequence[int]
    truth: Mapping[str, Sequence[float]]
    lines: Sequence[Line]

    @property
    def against(self) -> list[str]:
        """The methods that the others are compared with."""
        return compared_with(self.plan)

    @property
    def methods(self) -> list[str]:
        """In the plan's order, ours first."""
        ours = self.plan["ours"]
        return sorted(dict.fromkeys(line.method for line in self.lines), key=lambda m: m != ours)

    def at(self, method: str, axis: str) -> dict[float, Line]:
        """A method's lines by budget."""
        return {x.budget: x for x in self.lines if (x.method, x.axis) == (method, axis)}

    def budgets(self, axis: str) -> list[float]:
        """The budgets for which some method has a prompt."""
        return sorted({line.budget for line in self.lines if line.axis == axis})


def compared_with(plan: Mapping[str, Any]) -> list[str]:
    """The methods that a plan compares the others with: ours, and others it names."""
    return [plan["ours"], *plan.get("against", ())]


def lines_of(rows: Sequence[Mapping[str, Any]], against: Sequence[str]) -> list[Line]:
    """Lines from rows of single prompts, with the differences to ``against``, paired by item."""
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
            cells = [f"{value:.4f}" for value in figures]
            for other in against:
                gap = line.more.get(other)
                cells += [f"{v:.4f}" for v in (gap.mean, gap.low, gap.high)] if gap else [""] * 3
            writer.writerow([line.method, line.axis, f"{line.budget:g}", line.prompts, *cells])


def markdown(run: Run) -> str:
    """The figures as tables."""
    plan = run.plan
    searched = " + ".join(plan["models"])
    command = "python benchmarks/methods.py"
    command += "" if run.split == "report" else f" --split {run.split}"
    lines = [
        "# Methods at equal cost",
        "",
        f"Written by `{command}`: {run.items} held-out one-thing scenes (the split",
        f"`{run.split}`), {len(run.seeds)} seed(s), {plan['length']} tokens. Searched in "
        f"`{searched}`; the judge, `{plan['judge']}`, is never",
        "searched. Each cell is the median [quartiles] over scenes and seeds for the best prompt",
        "so far, chosen by the search's own score and scored afresh. Passes are forward plus",
        "backward passes; a pass through several models counts once for each. Some methods score",
        "words, phrases or a bank once for all pictures. Tables that say so count this in full for",
        "each picture; the seconds count each picture's share of it in the batch. A method that",
        "anneals over its steps ran with as many steps as its largest budget allows. Seconds are",
        "those of a batch of all scenes on one core, divided by the number of scenes. An empty",
        "cell means that there was no prompt yet or that the run had ended. All models are small",
        "and know only a synthetic world: these figures compare searches, not how good prompts are",
        "on Stable Diffusion. All methods may repeat words here, and put words such as `of`",
        "between commas; the default of `pez invert` does neither.",
        "",
        "The mini CLIPs, the judge included, were trained with prompts that PEZ finds as",
        "negatives, and with a loss that makes word lists read as their words",
        "(`data/train_clips.py`). Both favour some searches over others. Methods also differ in",
        "start and form here: a method by its name alone has its own. `factorial.toml` is the plan",
        "that compares step rules, starts and forms apart, on real photographs.",
        "",
        f"![curves](methods{'' if run.split == 'report' else '-' + run.split}.png)",
    ]
    for axis in AXES:
        for name, who in (("judge", plan["judge"]), ("searched", searched)):
            lines += ["", f"Cosine under `{who}` by budget ({ACROSS[axis]}):", ""]
            lines += _table(run, axis, lambda line, n=name: _quartiles(line.quartiles[n]))
            for other in run.against if name == "judge" else ():
                lines += [
                    "",
                    f"Mean difference to `{other}` under `{who}`, with the 95 % bootstrap interval",
                    "over scenes (bold where it does not contain 0):",
                    "",
                ]
                lines += _table(run, axis, lambda x, o=other: _gap(x.more.get(o)), skip=other)
    truth = {name: _quartiles(np.quantile(run.truth[name], [0.25, 0.5, 0.75])) for name in READERS}
    lines += ["", f"The true caption scores {truth['judge']} under `{plan['judge']}` and"]
    lines += [f"{truth['searched']} under `{searched}`."]
    for axis in ("passes", "alone"):
        lines += _shares(run, axis)
    return "\n".join(lines) + "\n"


def _shares(run: Run, axis: str) -> list[str]:
    """For each method at its largest budget: the smallest budget at which ours is as good."""
    ours = run.at(run.plan["ours"], axis)
    out = []
    for method in run.methods:
        mine = run.at(method, axis)
        if method == run.plan["ours"] or not mine:
            continue
        most = max(mine)
        reached = mine[most].quartiles["judge"][1]
        enough = [b for b, line in sorted(ours.items()) if line.quartiles["judge"][1] >= reached]
        when = f"within {enough[0]:g}" if enough else "within no budget"
        out.append(f"| {method} | {most:g} | {reached:.3f} | {when} |")
    head = f"| method | {ACROSS[axis]} | judge's median | `{run.plan['ours']}` is as good |"
    return ["", head, "|---|---|---|---|", *out]


def _table(run: Run, axis: str, cell: Any, skip: str = "") -> list[str]:
    budgets = run.budgets(axis)
    rows = ["| method | " + " | ".join(f"{b:g}" for b in budgets) + " |"]
    rows.append("|" + "---|" * (len(budgets) + 1))
    for method in run.methods:
        mine = run.at(method, axis)
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
    text = f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]"
    return f"**{text}**" if more.low > 0 or more.high < 0 else text
