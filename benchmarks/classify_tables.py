"""The tables of prompts that classify: rows of a run as Markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from pez.evaluation.kinds.labels import WAYS
from pez.evaluation.plan import Plan
from pez.evaluation.stats import Interval, paired_difference

NONE, RANDOM, BY_HAND = "no-prompt", "random words", "manual"
WITH = "pez classify with "
_WITH = (
    "`pez classify with ...` are prompts that the command found with its defaults: the best by "
    "validation of twelve finalists of three searches, each of about 200 passes. The plan's own "
    "searches have about 100 passes each."
)
Row = dict[str, Any]


def chosen(rows: Sequence[Row]) -> Row:
    """The prompt of the lowest validation loss."""
    return min(rows, key=lambda row: row["valid_loss"])


def share(row: Row, name: str) -> str:
    """``75.7 [70.5, 80.2]``: an accuracy in percent with Wilson's interval."""
    low, high = (100 * row[f"{name}_{end}"] for end in ("low", "high"))
    return f"{100 * row[name]:.1f} [{low:.1f}, {high:.1f}]"


def spread(rows: Sequence[Row], name: str) -> str:
    """The mean in percent, with the least and the most."""
    values = [100 * row[name] for row in rows]
    mean = sum(values) / len(values)
    return f"{mean:.1f} ({min(values):.1f} to {max(values):.1f})"


def perplexity(rows: Sequence[Row]) -> str:
    """The geometric mean."""
    known = [math.log(row["perplexity"]) for row in rows if row["perplexity"]]
    return f"{math.exp(sum(known) / len(known)):,.0f}" if known else ""


def difference(one: Row, other: Row, name: str) -> Interval:
    """Of two prompts' accuracies on the same texts, in points, text by text."""
    hits = [[100.0 * int(hit) for hit in row[f"{name}_hits"]] for row in (one, other)]
    places = range(len(hits[0]))
    return paired_difference(hits[0], list(places), hits[1], list(places))


def lines_of(rows: Sequence[Row]) -> list[tuple[str, str, Callable[[str], str], list[Row]]]:
    """Lines of the table: which prompts, the prompt itself, a cell by the way to decide, and the
    rows that it is of.
    """
    found: list[tuple[str, str, Callable[[str], str], list[Row]]] = []

    def one(name: str, row: Row, cost: bool = False) -> None:
        shown = f"`{row['prompt']}`" if row["prompt"] else ""
        found.append((name, shown, lambda way: share(row, way), [row]))

    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        if len(own) == 1:
            one(method, own[0])
            continue
        what = "seeds" if method not in (RANDOM, BY_HAND) else ""
        title = f"{method}, mean of {len(own)} {what}".strip()
        found.append((title, "", lambda way, own=own: spread(own, way), own))
        one(f"{method}, by validation", chosen(own))
        if method == BY_HAND:
            best = max(own, key=lambda row: row["calibrated"])
            one("manual, the best after calibration on the test texts", best)
    return found


def table(rows: Sequence[Row]) -> list[str]:
    """One data set, read by one model in one form."""
    third = "median" if rows[0]["against"] and _two_labels(rows[0]) else "batch"
    lines = [
        f"| prompts | prompt | raw | calibrated | {third} | perplexity | seconds | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, prompt, cell, own in lines_of(rows):
        searched = [row for row in own if row["forwards"]]
        time = _mean([row["seconds"] for row in searched])
        passes = _mean([row["forwards"] + (row["backwards"] or 0) for row in searched])
        cells = [cell(way) for way in WAYS]
        lines.append(
            f"| {name} | {prompt} | " + " | ".join([*cells, perplexity(own), time, passes]) + " |"
        )
    return lines


def _two_labels(row: Row) -> bool:
    return row["dataset"] == "SST-2"


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):,.0f}" if values else ""


def against_manual(rows: Sequence[Row]) -> list[str]:
    """How far each method's chosen prompt is from the chosen manual one, and from random words."""
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    rivals = [name for name in (NONE, RANDOM, BY_HAND) if name in by_method]
    searched = [name for name in by_method if name not in (NONE, RANDOM, BY_HAND)]
    lines = [
        "| chosen prompt of | less that of | raw | calibrated |",
        "|---|---|---|---|",
    ]
    for name in searched:
        for rival in rivals:
            pair = chosen(by_method[name]), chosen(by_method[rival])
            cells = [_signed(difference(*pair, way)) for way in ("accuracy", "calibrated")]
            lines.append(f"| {name} | {rival} | " + " | ".join(cells) + " |")
    return lines if searched and rivals else []


def _signed(found: Interval) -> str:
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def page(name: str, plan: Plan, rows: Sequence[Row]) -> str:
    """The tables of all data sets, readers and forms."""
    read = [row for row in rows if row["accuracy"] is not None]
    missing = len(rows) - len(read)
    out = [
        f"# {plan.title}",
        "",
        f"Written by `python benchmarks/classify.py {name}`. Accuracies are shares of the test",
        "texts in percent, with intervals of 95 % (Wilson); behind means stand the least and the",
        "most. `calibrated` divides by what the model says of texts without content, `median` and",
        "`batch` by what it says of the test texts on the whole. A prompt by validation is the one",
        "with the lowest loss on the validation texts. Seconds are of one search, on one core that",
        "other work shared; passes are forward and backward ones of a prompt with all examples.",
        "Perplexity is of the prompt alone.",
    ]
    if any(row["method"].startswith(WITH) for row in read):
        out += ["", *textwrap.wrap(_WITH, 96)]
    if missing:
        out += ["", f"{missing} rows of the plan were not run, or failed, and are left out."]
    views = dict.fromkeys((r["dataset"], r["judge"], r["against"]) for r in read)
    for dataset, reader, form in views:
        own = [
            r for r in read if (r["dataset"], r["judge"], r["against"]) == (dataset, reader, form)
        ]
        sizes = f"{own[0]['texts']} test texts, {own[0]['valid_texts']} for validation"
        out += ["", f"## {dataset}, read by {reader} as `{form}`", "", f"{sizes}.", ""]
        out += table(own)
        if more := against_manual([row for row in own if row.get("accuracy_hits")]):
            out += ["", "Differences in points, text by text (bootstrap over texts):", "", *more]
    return "\n".join(out) + "\n"


def transfer(name: str, plan: Plan, rows: Sequence[Row]) -> str:
    """One table a data set: prompts by readers and forms."""
    read = [row for row in rows if row["accuracy"] is not None]
    out = [
        f"# {plan.title}",
        "",
        f"Written by `python benchmarks/classify.py {name}`: accuracy of each prompt, raw /",
        "calibrated / median (two labels) or batch, in percent, when another model reads it, in",
        "another template or with other label words. The prompts were searched with the first",
        "template and the first words.",
    ]
    for dataset in dict.fromkeys(row["dataset"] for row in read):
        own = [row for row in read if row["dataset"] == dataset]
        views = list(dict.fromkeys((row["judge"], row["against"]) for row in own))
        out += ["", f"## {dataset}, {own[0]['texts']} test texts", ""]
        head = [f"{reader}, `{form}`" for reader, form in views]
        out += ["| prompts | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
        keys = dict.fromkeys((r["method"], r["search_model"], r["seed"], r["prompt"]) for r in own)
        for key in keys:
            mine = {
                (r["judge"], r["against"]): r
                for r in own
                if (r["method"], r["search_model"], r["seed"], r["prompt"]) == key
            }
            title = f"{key[0]}{f' of {key[1]}' if key[1] else ''}"
            title += f": `{key[3]}`" if key[3] else ""
            cells = [_three(mine[view]) if view in mine else "" for view in views]
            out.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def _three(row: Row) -> str:
    return " / ".join(f"{100 * row[way]:.1f}" for way in WAYS)
