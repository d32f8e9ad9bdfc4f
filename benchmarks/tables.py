"""The small tables, remade by one command each and compared with the committed ones.

    python benchmarks/tables.py table1            # writes table1.md and table1.csv
    python benchmarks/tables.py transfer --check  # are the committed means within the intervals?

A table comes from `pez evaluate benchmarks/NAME.toml` and `pez report`; a folder that already
holds the run (``--output``) is gone on with.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import pez

HERE = Path(__file__).parent
KEYS = ("dataset", "method", "length", "search_model", "generator", "judge")
FIGURES = ("similarity", "text_score")


def rows_of(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of a report's CSV by what identifies them."""
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[k] for k in KEYS): row for row in csv.DictReader(file)}


def differences(old: Path, new: Path) -> list[str]:
    """What is missing, or whose committed mean lies outside the new interval."""
    before, after = rows_of(old), rows_of(new)
    out = [f"not in both: {key}" for key in before.keys() ^ after.keys()]
    for key in before.keys() & after.keys():
        for name in FIGURES:
            value, low, high = before[key][name], after[key][f"{name}_low"], after[key][name]
            if bool(value) != bool(high):
                out.append(f"{key}: {name} is {value or 'empty'}, now {high or 'empty'}")
            elif value and not (
                float(low) - 1e-6 <= float(value) <= float(after[key][f"{name}_high"]) + 1e-6
            ):
                out.append(f"{key}: {name} was {value}, now {high}")
    return out


def cell(row: dict[str, str], name: str) -> str:
    """A mean with its interval."""
    if not row[name]:
        return ""
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    return f"{float(row[name]):.3f} [{low:.3f}, {high:.3f}]"


def title_of(row: dict[str, str], many: bool) -> str:
    """A method with its length, and its model where there are several."""
    name = f"{row['method']} {row['length']}".strip()
    return f"{name}, searched {row['search_model']}" if many and row["search_model"] else name


def markdown(name: str, path: Path) -> str:
    """One table for each judge and figure: a line a method, a column a data set."""
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
    views = dict.fromkeys((r["judge"], r["generator"]) for r in rows.values())
    for judge, generator in views:
        mine = [r for r in rows.values() if (r["judge"], r["generator"]) == (judge, generator)]
        for figure in FIGURES:
            if not any(r[figure] for r in mine):
                continue
            what = (
                f"likeness of the pictures that {generator} draws to the originals under {judge}"
                if figure == "similarity"
                else f"cosine of prompt and original under {judge}"
            )
            lines += ["", what[0].upper() + what[1:] + ":", ""]
            lines += ["| prompts | " + " | ".join(sets) + " |", "|" + "---|" * (len(sets) + 1)]
            for title in dict.fromkeys(title_of(r, len(models) > 1) for r in mine):
                by_set = {r["dataset"]: r for r in mine if title_of(r, len(models) > 1) == title}
                cells = [cell(by_set[s], figure) if s in by_set else "" for s in sets]
                if any(cells):
                    lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the plan, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted({p.stem for p in HERE.glob("*.toml")} - {"methods"}))
    parser.add_argument("--output", type=Path, help="where the run is kept")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    folder = args.output or Path(tempfile.mkdtemp(prefix=f"pez-{args.name}-"))
    pez.evaluate(HERE / f"{args.name}.toml", folder)
    pez.report(folder)
    made, kept = folder / "report.csv", HERE / f"{args.name}.csv"
    if args.check:
        wrong = differences(kept, made)
        print("\n".join(wrong) or f"{kept.name}: every committed mean lies within its interval")
        return int(bool(wrong))
    kept.write_text(made.read_text(encoding="utf-8"), encoding="utf-8")
    (HERE / f"{args.name}.md").write_text(markdown(args.name, made), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
