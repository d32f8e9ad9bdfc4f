"""Settings of every method for benchmarks/factorial.py, chosen by one rule on a split of its own.

    python benchmarks/choose.py --data FOLDER      # writes factorial-chosen.toml and -chosen.csv

Each method has the same number of trials at each start: its own defaults, its authors' settings
where the plan has them, and settings drawn from its grid. All run at the same budget of passes on
the choosing split. The rule: the highest mean cosine under the choosing judge of the best prompt so
far; the first of equals. The judge that reports has no part in it. ``order`` in the file is that of
the methods' best trials at the last start, from which the plan takes the few that run longest.
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
from benchmarks.cells import OWN, Cell, Entry  # noqa: E402
from benchmarks.factorial import (  # noqa: E402
    Batch,
    World,
    carry_out,
    chosen_file,
    plan_arguments,
    read_plan,
    weights_of,
)
from benchmarks.running import Way, collect, steps_within  # noqa: E402
from pez.options import InvertOptions  # noqa: E402
from pez.search.init import STARTS  # noqa: E402

Trial = tuple[str, str, tuple[str, ...]]  # method, start, settings


def trials_of(plan: Mapping[str, Any]) -> list[tuple[Trial, Cell]]:
    """Every trial with its cell."""
    split, models, out = plan["splits"]["choose"], tuple(plan["models"]), []
    style = {k: v for k, v in plan["forms"][split["form"]].items() if k != "starts"}
    options = {"length": plan["length"], **plan.get("options", {}), **style}
    for entry in map(Entry.of, plan["methods"]):
        for start in entry.starts(plan["chosen_at"]):
            for settings in entry.trials(split["trials"], split["seed"]):
                own = InvertOptions(
                    method=entry.name,
                    set=(*entry.settings(start), *settings),
                    init=start if start in STARTS else "random",
                    history=True,
                    **options,
                )
                steps = steps_within(own, len(models), split["passes"])
                way = Way(entry.name, models, replace(own, steps=steps))
                budgets = (float(split["passes"]),)
                cell = Cell("choose", entry.name, start, split["form"], way, budgets)
                out.append(((entry.name, start, settings), cell))
    return out


def best_of(
    reached: Mapping[Trial, float | None], starts: Sequence[str]
) -> tuple[dict[tuple[str, str], Trial], list[str]]:
    """The best trial of each method and start, the first of equals, and the methods by the best
    of their last start, or of their own. A trial without a prompt is none.
    """
    found: dict[tuple[str, str], Trial] = {}
    for trial, value in reached.items():
        place = trial[:2]
        if value is not None and (place not in found or value > (reached[found[place]] or 0.0)):
            found[place] = trial
    last: dict[str, float] = {}
    for start in (OWN, starts[-1]):
        last |= {m: reached[t] or 0.0 for (m, s), t in found.items() if s == start}
    return found, sorted(last, key=lambda method: -last[method])


def written(
    chosen: Mapping[tuple[str, str], Trial], order: Sequence[str], reached: Mapping[Trial, Any]
) -> str:
    """The file of chosen settings."""
    lines = ["# Written by python benchmarks/choose.py", f"order = {json.dumps(order)}"]
    for (method, start), trial in chosen.items():
        count = sum(other[:2] == trial[:2] for other in reached)
        lines += [
            "",
            "[[chosen]]",
            f"method = {json.dumps(method)}",
            f"start = {json.dumps(start)}",
        ]
        lines += [f"set = {json.dumps(list(trial[2]))}"]
        lines += [f"cosine = {reached[trial]:.4f} # under the choosing judge"]
        lines += [f"trials = {count}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the trials, write what was chosen."""
    args = plan_arguments(__doc__ or "").parse_args()
    plan = read_plan(args.plan, args.rename)
    split = plan["splits"]["choose"]
    data = json.dumps([plan["data"], split], sort_keys=True)
    world = World(data, args.data, tuple(plan["models"]), split["judge"], args.items)
    weights = weights_of(plan["models"], split["judge"])
    pairs = trials_of(plan)
    if args.method:
        pairs = [pair for pair in pairs if pair[0][0] in args.method]
    batches = [Batch(world, cell, split["seed"], (), weights) for _, cell in pairs]
    found = collect(batches, carry_out, args.rows, args.workers)
    reached: dict[Trial, float | None] = {}
    for (trial, _), rows in zip(pairs, found, strict=True):
        judged = [row["judge"] for row in rows if "error" not in row]
        reached[trial] = statistics.fmean(judged) if judged else None
        for reason in {row["error"] for row in rows if "error" in row}:
            print(f"{', '.join(trial[:2])}: {reason}", file=sys.stderr)
    chosen, order = best_of(reached, plan["chosen_at"])
    place = args.output / chosen_file(args.plan).name
    args.output.mkdir(parents=True, exist_ok=True)
    place.write_text(written(chosen, order, reached), encoding="utf-8")
    with place.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "start", "settings", "cosine", "chosen"])
        for trial, value in reached.items():
            mine = "" if value is None else f"{value:.4f}"
            best = chosen.get(trial[:2]) == trial
            writer.writerow([*trial[:2], " ".join(trial[2]), mine, "yes" if best else ""])


if __name__ == "__main__":
    main()
