"""The page of benchmarks/factorial.py: its figures as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from benchmarks.factorial_table import Gap, Place, Table, write_csv

__all__ = ["Table", "markdown", "write_csv"]


def markdown(table: Table) -> str:
    """The whole page."""
    lines = _head(table)
    lines += _same_start(table)
    for budget in table.plan["passes"]:
        lines += _grid(table, budget)
    lines += _effects(table) + _details(table) + _several(table) + _rivals(table)
    if table.missing or table.errors:
        lines += ["", "## Empty cells", ""]
        lines += [f"- {reason}" for reason in (*table.missing, *table.errors)]
    return "\n".join(lines) + "\n"


def _head(table: Table) -> list[str]:
    plan, split = table.plan, table.plan["splits"]["report"]
    choose = plan["splits"]["choose"]
    count = len({row["item"] for row in table.rows if "item" in row})
    seeds = len({row["seed"] for row in table.rows})
    method, start, form = plan["baseline"]
    world = plan["data"]["kind"] == "world"
    fewer = plan.get("fewer_seeds", {}).items()
    few = "".join(f" ({n} for the start `{s}`)" for s, n in fewer if n < seeds)
    if 0 < plan.get("seconds_seeds", 0) < seeds:
        few += f" ({plan['seconds_seeds']} at equal seconds)"
    seen = "scenes of the synthetic world" if world else "photographs that no training saw"
    most, pictures = max(choose["passes"]), -(-choose["count"] // choose.get("every", 1))
    settings = (
        f"Each method's settings are the best of {choose['trials']} trials (fewer where its grid "
        "has fewer), drawn from its grid in the plan, by the mean cosine under "
        f"`{choose['judge']}` between commas, for {_listed(choose['passes'])} passes each (larger "
        f"budgets and the seconds take those of {most}), on {pictures} other pictures; the starts "
        f"{_listed(plan['chosen_at'])} have settings of their own, other starts those of "
        f"{plan['chosen_at'][-1]}. Settings for several models are those chosen in one."
        if table.chosen
        else "**Settings were not chosen: all are the methods' defaults.**"
    )
    what = (
        f"Written by `python benchmarks/factorial.py`. {count} {seen}, {seeds} seed(s){few}, "
        f"{plan['length']} tokens: as many words in a row (`words`), or words between commas "
        f"(`phrases`). Searched in `{table.one}`; the judge, `{plan['judge']}`, is never searched "
        "and chose nothing."
    )
    how = (
        "Cosines are means over pictures of the means over seeds, of the best prompt within the "
        "budget by the search's own score, scored afresh. Differences are paired by picture and "
        f"taken to `{method}` with the start `{start}` and the form `{form}` at the same budget, "
        "with 95 % bootstrap intervals; p is of a sign-flip test, corrected by Holm for all "
        "comparisons of its table, and **bold** is p ≤ 0.05. A pass is one prompt through one "
        "model, forwards or backwards; those of drafts and language models count like any other. "
        "The rating of single words, which all pictures share, counts in the seconds only. Seconds "
        f"are one core's, for a picture. Ranks are among {split['count']} pictures. A cell is "
        "empty where a method has no step within the budget, or for the reasons at the end."
    )
    lines = ["# Step rule, start and form"]
    for text in (what, settings, how):
        lines += ["", *textwrap.wrap(text, 100)]
    return lines


def _listed(values: Sequence[object]) -> str:
    return " and ".join(map(str, values))


def _same_start(table: Table) -> list[str]:
    """The first question: is a step rule better, given the same start and form?"""
    _, start, form = table.plan["baseline"]
    lines = ["", "## Step rules with the same start and form", ""]
    lines += [f"Start `{start}` (or the method's own), form `{form}`: difference to the baseline."]
    for axis in ("passes", "seconds"):
        block = "cells" if axis == "passes" else "timed"
        budgets = table.budgets(block, axis)
        if not budgets:
            continue
        places = {
            (m, b): _first(table, m, ((start, form), ("own", form)), axis, b, block)
            for m in table.methods
            for b in budgets
        }
        bases = {b: table.baseline(axis, b, block) for b in budgets}
        pairs = {k: (place, bases[k[1]]) for k, place in places.items() if place}
        gaps = table.gaps(pairs.values())
        lines += ["", "| method | " + " | ".join(f"{b:g} {axis}" for b in budgets) + " |"]
        lines += ["|" + "---|" * (len(budgets) + 1)]
        for method in table.methods:
            cells = []
            for b in budgets:
                place = places[method, b]
                mine = table.figures(place) if place else None
                if mine is None:
                    cells.append("")
                elif place == bases[b]:
                    cells.append(f"{mine.judge}")
                else:
                    gap = gaps.get(pairs[method, b])
                    cells.append(_gap(gap) if gap else f"{mine.judge.mean:.3f}")
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def _grid(table: Table, budget: float) -> list[str]:
    """Every cell at one budget."""
    starts, forms = [*table.plan["starts"], "own"], list(table.plan["forms"])
    columns = [
        (s, f)
        for f in forms
        for s in starts
        if any(table.at(m, s, f, "passes", budget) in table.groups for m in table.methods)
    ]
    base = table.baseline("passes", budget)
    gaps = table.gaps(
        (table.at(m, s, f, "passes", budget), base) for m in table.methods for s, f in columns
    )
    lines = ["", f"## Every cell at {budget:g} passes", ""]
    lines += [f"Cosine under `{table.plan['judge']}`; bold differs from the baseline's.", ""]
    lines += ["| method | " + " | ".join(f"{f}, {s}" for s, f in columns) + " |"]
    lines += ["|" + "---|" * (len(columns) + 1)]
    for method in table.methods:
        cells = []
        for s, f in columns:
            place = table.at(method, s, f, "passes", budget)
            found, gap = table.figures(place), gaps.get((place, base))
            text = f"{found.judge.mean:.3f}" if found else ""
            cells.append(f"**{text}**" if gap and gap.sure else text)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def _effects(table: Table) -> list[str]:
    """What start and form are worth."""
    first, *others = table.plan["starts"]
    forms = list(table.plan["forms"])
    asked = [("start", s, first) for s in others]
    asked += [("form", "phrases", f) for f in forms if f != "phrases" and "phrases" in forms]
    budgets = table.budgets("cells", "passes")
    lines = ["", "## What start and form are worth", ""]
    lines += ["Mean over all methods with all else the same, p not corrected.", ""]
    lines += ["| instead of | " + " | ".join(f"{b:g} passes" for b in budgets) + " |"]
    lines += ["|" + "---|" * (len(budgets) + 1)]
    for name, one, other in asked:
        cells = [table.effect(name, one, other, "passes", b) for b in budgets]
        label = f"{name} `{one}` instead of `{other}`"
        lines.append(f"| {label} | " + " | ".join(_gap(c) if c else "" for c in cells) + " |")
    return lines


def _details(table: Table) -> list[str]:
    """The baseline's start and form in all measures, at the largest budget of all cells."""
    _, start, form = table.plan["baseline"]
    budget = max(table.plan["passes"])
    lines = ["", f"## In other measures: start `{start}`, form `{form}`, {budget:g} passes", ""]
    lines += _measures_head("method")
    for method in table.methods:
        place = _first(table, method, ((start, form), ("own", form)), "passes", budget)
        if place:
            lines.append(f"| {method} | " + _measures(table, place) + " |")
    return lines


def _several(table: Table) -> list[str]:
    places = [p for p in table.groups if p[0] == "several"]
    if not places:
        return []
    gaps = table.gaps((p, table.baseline("passes", p[6], "several")) for p in places)
    lines = ["", f"## Searched in `{table.several}` together", ""]
    lines += ["The difference is to the baseline in the same models.", ""]
    lines += ["| method | start | passes | cosine | difference |", "|---|---|---|---|---|"]
    for place in sorted(places, key=lambda p: (p[6], p[2])):
        base = table.baseline("passes", place[6], "several")
        found, gap = table.figures(place), gaps.get((place, base))
        assert found is not None
        cells = [place[1], place[2], f"{place[6]:g}", str(found.judge), _gap(gap) if gap else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _rivals(table: Table) -> list[str]:
    """Rows of their own, beside the baseline at the largest budget, and prompts of no search."""
    budgets = table.budgets("cells", "passes")
    places = [p for p in table.groups if p[0] in ("rivals", "long", "marks")]
    if not places or not budgets:
        return []
    base = table.baseline("passes", max(budgets))
    gaps = table.gaps((p, base) for p in places)

    def pictures(place: Place) -> int:
        return len({row["item"] for row in table.groups.get(place, ())})

    lines = ["", "## Rivals as their authors run them, and prompts that no search found", ""]
    lines += [f"Differences are to the baseline at {max(budgets):,.0f} passes.", ""]
    lines += _measures_head("prompts", ("budget", "difference"))
    for place in [base, *places] if base in table.groups else places:
        name = place[1] if place != base else f"{place[1]}, the baseline"
        few = pictures(place)
        name += f" ({few} photographs)" if few < pictures(base) else ""
        gap = gaps.get((place, base))
        more = [f"{place[6]:,.0f}" if place[6] else "", _gap(gap) if gap else ""]
        lines.append(f"| {name} | " + " | ".join([*more, _measures(table, place)]) + " |")
    return lines


MEASURES = (
    "cosine",
    "searched cosine",
    "right words",
    "1 right",
    "median rank",
    "ranked first",
    "language-model passes",
    "draft passes",
    "passes in all",
    "seconds",
)


def _measures_head(first: str, more: Sequence[str] = ()) -> list[str]:
    names = [first, *more, *MEASURES]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def _measures(table: Table, place: Place) -> str:
    f = table.figures(place)
    assert f is not None
    right = ["", ""] if f.right is None else [f"{f.right:.2f}", f"{f.one_right:.0%}"]
    own = "" if f.searched is None else f"{f.searched:.3f}"
    cells = [str(f.judge), own, *right, f"{f.rank:g}", f"{f.first:.0%}"]
    cells += [f"{f.language:.0f}", f"{f.drafts:.0f}", f"{f.passes:,.0f}"]
    return " | ".join([*cells, "" if f.seconds is None else f"{f.seconds:.3f}"])


def _first(
    table: Table,
    method: str,
    places: Sequence[tuple[str, str]],
    axis: str,
    budget: float,
    block: str = "cells",
) -> Place | None:
    """The first of a method's places that has prompts."""
    found = (table.at(method, start, form, axis, budget, block) for start, form in places)
    return next((place for place in found if place in table.groups), None)


def _gap(gap: Gap) -> str:
    more = gap.more
    p = f"p {gap.p:.3f}" if gap.p >= 0.001 else "p < 0.001"
    text = f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}], {p}"
    return f"**{text}**" if gap.sure else text
