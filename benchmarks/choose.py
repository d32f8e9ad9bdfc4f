"""Settings of every method for benchmarks/factorial.py, chosen by one rule on a split of its own.

    python benchmarks/choose.py --data FOLDER      # writes factorial-chosen.toml and -chosen.csv

Each method has the same number of trials at each start: its own defaults, its authors' settings
where the plan has them, and settings drawn from its grid. All run at the same budgets of passes on
the choosing split, and each budget has settings of its own. The rule: the highest mean cosine under
the choosing judge of the best prompt so far; the first of equals. The judge that reports has no
part in it. ``order`` in the file is that of the methods' best trials at the last start, from which
the plan takes the few that run longest.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks.cells import OWN, Cell, Entry, options_of, plans_ahead  # noqa: E402
from benchmarks.factorial import (  # noqa: E402
    Batch,
    World,
    carry_out,
    weights_of,
    with_readings,
)
from benchmarks.factorial_plan import chosen_file, plan_arguments, read_plan  # noqa: E402
from benchmarks.running import Way, collect, steps_within  # noqa: E402
from pez.search.init import STARTS  # noqa: E402

Trial = tuple[str, str, tuple[str, ...]]  # method, start, settings
Place = tuple[str, str, float]  # method, start, passes
Reached = Mapping[tuple[Trial, float], float]  # a trial at so many passes -> the mean cosine


def trials_of(plan: Mapping[str, Any]) -> list[tuple[Trial, Cell]]:
    """Every trial with its cell."""
    split, models, out = plan["splits"]["choose"], tuple(plan["models"]), []
    style = {k: v for k, v in plan["forms"][split["form"]].items() if k != "starts"}
    for entry in map(Entry.of, plan["methods"]):
        for start in entry.starts(plan["chosen_at"]):
            for settings in entry.trials(split["trials"], split["seed"]):
                own = options_of(
                    plan,
                    method=entry.name,
                    set=(*entry.settings(start), *settings),
                    init=start if start in STARTS else "random",
                    **style,
                )
                budgets = tuple(split["passes"])
                for some in [(b,) for b in budgets] if plans_ahead(own) else [budgets]:
                    steps = steps_within(own, len(models), max(some))
                    way = Way(entry.name, models, replace(own, steps=steps))
                    cell = Cell("choose", entry.name, start, split["form"], way, some)
                    cell = replace(cell, items=entry.items)
                    out.append(((entry.name, start, settings), cell))
    return out


def best_of(reached: Reached, starts: Sequence[str]) -> tuple[dict[Place, Trial], list[str]]:
    """The best trial of each method at each start and number of passes, the first of equals, and
    the methods by the best of the last start, or of their own, at the most passes.
    """
    found: dict[Place, Trial] = {}
    for (trial, passes), value in reached.items():
        place = *trial[:2], passes
        if place not in found or value > reached[found[place], passes]:
            found[place] = trial
    most = max((passes for _, passes in reached), default=0)
    last: dict[str, float] = {}
    for start in (OWN, starts[-1]):
        for (method, own, passes), trial in found.items():
            if own == start and passes == most:
                last[method] = reached[trial, passes]
    return found, sorted(last, key=lambda method: -last[method])


def written(
    chosen: Mapping[Place, Trial], order: Sequence[str], reached: Reached, trials: Sequence[Trial]
) -> str:
    """The file of chosen settings."""
    lines = ["# Written by python benchmarks/choose.py", f"order = {json.dumps(order)}"]
    for (method, start, passes), trial in chosen.items():
        lines += ["", "[[chosen]]", f"method = {json.dumps(method)}"]
        lines += [f"start = {json.dumps(start)}", f"passes = {passes:g}"]
        lines += [f"set = {json.dumps(list(trial[2]))}"]
        lines += [f"cosine = {reached[trial, passes]:.4f} # under the choosing judge"]
        lines += [f"trials = {sum(other[:2] == trial[:2] for other in trials)}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the trials, write what was chosen."""
    args = plan_arguments(__doc__ or "").parse_args()
    plan = read_plan(args.plan, args.rename, args.data)
    split = plan["splits"]["choose"]
    data = json.dumps([plan["data"], split], sort_keys=True)
    world = World(data, args.data, tuple(plan["models"]), split["judge"], args.items)
    weights = weights_of(plan["models"])
    pairs = trials_of(plan)
    if args.method:
        pairs = [pair for pair in pairs if pair[0][0] in args.method]
    batches = [Batch(world, cell, split["seed"], weights) for _, cell in pairs]
    found = collect(batches, carry_out, args.rows, args.workers)
    judged: dict[tuple[Trial, float], list[float]] = {}
    read = iter(with_readings(world, found))
    for (trial, _), rows in zip(pairs, found, strict=True):
        for row in [next(read) for _ in rows]:
            if "error" in row:
                print(f"{', '.join(trial[:2])}: {row['error']}", file=sys.stderr)
            else:
                judged.setdefault((trial, row["budget"]), []).append(row["judge"])
    reached = {place: statistics.fmean(values) for place, values in judged.items()}
    chosen, order = best_of(reached, plan["chosen_at"])
    trials = list(dict.fromkeys(trial for trial, _ in pairs))
    place = args.output / chosen_file(args.plan).name
    args.output.mkdir(parents=True, exist_ok=True)
    place.write_text(written(chosen, order, reached, trials), encoding="utf-8")
    with place.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "start", "settings", "passes", "cosine", "chosen"])
        for trial in trials:
            for passes in split["passes"]:
                value = reached.get((trial, passes))
                mine = "" if value is None else f"{value:.4f}"
                best = chosen.get((*trial[:2], passes)) == trial
                line = [*trial[:2], " ".join(trial[2]), f"{passes:g}", mine]
                writer.writerow([*line, "yes" if best else ""])


if __name__ == "__main__":
    main()
