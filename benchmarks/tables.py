"""The small tables, remade by one command each and compared with the committed ones.

    python benchmarks/tables.py table1            # writes table1.md and table1.csv
    python benchmarks/tables.py transfer --check  # are the committed means within the intervals?

There are table1, transfer, length, distill, style and mix; any other plan is given by its path, and
its table is written beside it. A table comes from `pez evaluate` and `pez report`; a run
already in the folder (``--output``) is continued. ``--check`` returns 1 if something differs,
and prints what.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import pez
from pez.evaluation.tasks import about

HERE = Path(__file__).parent
KEYS = ("dataset", "method", "length", "ratio", "search_model", "generator", "judge", "against")
FIGURES = ("similarity", "text_score")
OTHERS = {"methods", "factorial", "factorial-chosen"}  # plans of other scripts
ROUNDING = 1e-3  # of a figure whose interval has no width: batches differ in their last digits


def rows_of(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of a report's CSV by what identifies them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [dict.fromkeys(KEYS, "") | row for row in csv.DictReader(file)]
    return {tuple(row[k] for k in KEYS): row for row in rows}


def differences(old: Path, new: Path) -> list[str]:
    """Rows that are missing, or whose committed mean is outside the new interval."""
    before, after = rows_of(old), rows_of(new)
    out = [f"{label(row)}: no longer there" for key, row in before.items() if key not in after]
    out += [
        f"{label(row)}: not among the committed" for key, row in after.items() if key not in before
    ]
    for key, was in before.items():
        now = after.get(key, {})
        for name in FIGURES if now else ():
            if bool(was[name]) != bool(now[name]):
                out.append(
                    f"{label(was)}: {name} was {was[name] or 'empty'}, now {cell(now, name)}"
                )
            elif was[name] and not within(float(was[name]), now, name):
                out.append(
                    f"{label(was)}: {name} was {float(was[name]):.3f}, now {cell(now, name)}"
                )
    return out


def within(value: float, row: dict[str, str], name: str) -> bool:
    """Whether ``value`` is in a row's interval; for one item, whether it is the item's figure."""
    low, high = (float(row[name + end] or row[name]) for end in ("_low", "_high"))
    return low - ROUNDING <= value <= high + ROUNDING


def label(row: dict[str, str]) -> str:
    """A row's data set, method, judge, generator and what it was compared with."""
    seen = [f"{row['judge']} as judge"] if row["judge"] else []
    seen += [f"drawn by {row['generator']}"] if row["generator"] else []
    seen += [f"against the {row['against']}"] if row["against"] else []
    return ", ".join([row["dataset"], title_of(row, True), *seen])


def cell(row: dict[str, str], name: str) -> str:
    """A mean with its interval, which a single item does not have."""
    ends = [f"{float(row[name + end]):.3f}" for end in ("_low", "_high") if row[name + end]]
    mean = f"{float(row[name]):.3f}" if row[name] else ""
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def title_of(row: dict[str, str], many: bool) -> str:
    """A method with its length or ratio, and its model if there are several."""
    name = f"{row['method']} {row['length'] or row['ratio']}".strip()
    return f"{name}, searched {row['search_model']}" if many and row["search_model"] else name


def heading(figure: str, judge: str, generator: str, against: str) -> str:
    """The line above a table: which figure it shows."""
    pictures, prompts = about()[against]
    if figure == "text_score":
        other = prompts if against else "original"
        return f"Cosine of prompt and {other} under {judge}:"
    if against:
        return f"Cosine of the pictures that {generator} draws and {pictures}, under {judge}:"
    return f"Cosine of the pictures that {generator} draws and the originals, under {judge}:"


def markdown(name: str, path: Path) -> str:
    """One table for each judge and figure: one line per method, one column per data set."""
    rows = rows_of(path)
    models = {row["search_model"] for row in rows.values() if row["search_model"]}
    sets = list(dict.fromkeys(row["dataset"] for row in rows.values()))
    lines = [
        f"# {name}",
        "",
        f"Written by `python benchmarks/tables.py {name}`: means with 95 % bootstrap intervals",
        "over the shipped samples. All models are small and know only a synthetic world; this",
        "shows that the machinery works, not how good prompts are on Stable Diffusion.",
    ]
    views = dict.fromkeys((r["judge"], r["generator"], r["against"]) for r in rows.values())
    for view in views:
        mine = [r for r in rows.values() if (r["judge"], r["generator"], r["against"]) == view]
        for figure in FIGURES:
            if not any(r[figure] for r in mine):
                continue
            lines += ["", heading(figure, *view), ""]
            lines += ["| prompts | " + " | ".join(sets) + " |", "|" + "---|" * (len(sets) + 1)]
            for title in dict.fromkeys(title_of(r, len(models) > 1) for r in mine):
                by_set = {r["dataset"]: r for r in mine if title_of(r, len(models) > 1) == title}
                cells = [cell(by_set[s], figure) if s in by_set else "" for s in sets]
                if any(cells):
                    lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def remake(plan: Path, output: Path | None = None, check: bool = False) -> int:
    """Carry out a plan and write its table beside it, or compare the table with the committed one.

    Returns 1 if they differ.
    """
    if not plan.is_file():
        names = ", ".join(sorted({p.stem for p in HERE.glob("*.toml")} - OTHERS))
        raise pez.PezError(f"{plan} is not a plan; name one of {names}, or give a plan's path.")
    folder = output or Path(tempfile.mkdtemp(prefix=f"pez-{plan.stem}-"))
    committed, page = plan.with_suffix(".csv"), plan.with_suffix(".md")
    if check and not committed.is_file():
        print(f"there is no {committed} to compare with; run this without --check first")
        return 1
    rows = pez.evaluate(plan, folder)
    for reason in dict.fromkeys(row["error"] for row in rows if row["error"]):
        print(f"failed: {reason}", file=sys.stderr)
    pez.report(folder)
    made = folder / "report.csv"
    if check:
        wrong = differences(committed, made)
        print("\n".join(wrong) or f"{committed.name}: every committed mean is within its interval")
        return int(bool(wrong))
    committed.write_text(made.read_text(encoding="utf-8"), encoding="utf-8")
    page.write_text(markdown(plan.stem, made), encoding="utf-8")
    return 0


def main() -> int:
    """Run the plan, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="table1, or a plan's path")
    parser.add_argument("--output", type=Path, help="where the run is stored")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    own = HERE / f"{args.name}.toml"
    try:
        return remake(own if own.is_file() else Path(args.name), args.output, args.check)
    except pez.PezError as error:
        print(f"tables.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
