"""What the models of photographs find on real ones: right content words, and ranks under a judge.

    python benchmarks/photographs.py --data FOLDER          # writes photographs.md and .csv
    python benchmarks/photographs.py --data FOLDER --try 5  # five of each, nothing written

FOLDER holds ``coco_val_mini`` (a small part of COCO's val2017) and ``flickr1000`` (of Flickr8k, of
which the last 200 are taken), each skipped where it is absent, and ``captions`` for the list of
frequent words. The default is ``shared/data`` beside the checkout. The plan is photographs.toml.
The photographs themselves are not written: they are on the page that `pez report` makes of the
run's folder (``--output``).
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pez
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data
from pez.evaluation.plan_file import read_plan

HERE = Path(__file__).parent
PARTS = (
    Data(
        "coco", ("val2017",), "coco_val_mini", count=79, training="captions/coco.tsv"
    ),  # no model was trained on any of them
    Data("flickr", path="flickr1000", count=200, last=200, training="captions/flickr8k.tsv"),
)
WORDS = ("content_words", "right_words", "right_1", "right_2", "right_3", "precision")
RANKS = ("text_score", "rank_1", "rank_10", "rank")
NAMES = {
    **{"content_words": "words", "right_words": "right words", "precision": "precision"},
    **{f"right_{n}": f"{n} or more right" for n in (1, 2, 3)},
    **{"text_score": "cosine", "rank_1": "first", "rank_10": "in the first ten"},
    "rank": "median rank",
}
WITH_INTERVAL = ("right_words", "right_1", "rank_1", "text_score")


def parts_in(folder: Path, count: int, names: Sequence[str]) -> tuple[list[Data], list[str]]:
    """The data sets that lie in a folder, ``count`` pictures of each at most (0: all), and a
    sentence for each that does not.
    """
    found, absent = [], []
    for part in PARTS:
        if names and part.dataset not in names:
            continue
        if not (folder / part.path).is_dir() or not (folder / part.training).is_file():
            absent.append(
                f"{part.dataset} is skipped: {folder} has no {part.path} or no {part.training}."
            )
            continue
        places = {"path": str(folder / part.path), "training": str(folder / part.training)}
        found.append(replace(part, **places, count=min(count or part.count, part.count)))
    return found, absent


def markdown(rows: Sequence[dict[str, str]], plan: Plan) -> str:
    """For each data set the words once, and the ranks under every judge and reader."""
    lines = [
        "# Photographs",
        "",
        "Written by `python benchmarks/photographs.py`: means over photographs with 95 % bootstrap",
        "intervals, medians of ranks. A right word is a content word that people used of the",
        "photograph, in any form; a caption is counted against the others of its photograph.",
        f"`frequent` is the same list for all: the {plan.frequent} content words that captions of",
        "other photographs use most. Ranks are among the photographs of the data set.",
    ]
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        here = [row for row in rows if row["dataset"] == dataset]
        judges = list(dict.fromkeys(row["judge"] for row in here if row["judge"]))
        count = max(int(row["items"]) for row in here)
        lines += ["", f"## {dataset}: {count} photographs", ""]
        lines += table([row for row in here if row["judge"] == judges[0]], WORDS)
        for judge in judges:
            role = "judge" if judge in plan.judges else "searched itself"
            lines += ["", f"Cosine and rank of the photograph under `{judge}` ({role}):", ""]
            lines += table([row for row in here if row["judge"] == judge], RANKS)
    return "\n".join(lines) + "\n"


def table(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> list[str]:
    """One line for each kind of prompts."""
    shown = [name for name in columns if any(row[name] for row in rows)]
    out = ["| prompts | " + " | ".join(NAMES[name] for name in shown) + " |"]
    out.append("|" + "---|" * (len(shown) + 1))
    for row in rows:
        model = f", {row['search_model']}" if row["search_model"] else ""
        length = f" {row['length']}" if row["length"] else ""
        cells = [cell(row, name) for name in shown]
        out.append(f"| {row['method']}{length}{model} | " + " | ".join(cells) + " |")
    return out


def cell(row: dict[str, str], name: str) -> str:
    """A figure, with its interval where that is shown."""
    if not row[name]:
        return ""
    digits = 3 if name == "text_score" else 1 if name == "rank" else 2
    ends = [row[f"{name}_{end}"] for end in ("low", "high")]
    text = f"{float(row[name]):.{digits}f}"
    if name not in WITH_INTERVAL or not all(ends):
        return text
    return f"{text} [{', '.join(f'{float(end):.{digits}f}' for end in ends)}]"


def remake(args: argparse.Namespace) -> int:
    """Carry out the plan on what is there, and write or print its tables."""
    plan = read_plan(HERE / "photographs.toml")
    found, absent = parts_in(args.data, args.tried, args.only)
    for sentence in absent:
        print(sentence, file=sys.stderr)
    if not found:
        return 1
    plan = replace(plan, data=tuple(found))
    if args.model:
        plan = replace(plan, models=((args.model,),), readers=(args.model,))
    if args.judge:
        plan = replace(plan, judges=(args.judge,))
    folder = args.output or Path(tempfile.mkdtemp(prefix="pez-photographs-"))
    failed = [row["error"] for row in pez.evaluate(plan, folder) if row["error"]]
    for reason in dict.fromkeys(failed):
        print(f"failed: {reason}", file=sys.stderr)
    made = pez.report(folder, items=args.shown)
    with made.page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        text = markdown(list(csv.DictReader(file)), plan)
    print(f"the photographs with their prompts: {made.page}", file=sys.stderr)
    if args.tried or args.model or args.judge or args.only:
        print(text)
        return int(bool(failed))
    (HERE / "photographs.md").write_text(text, encoding="utf-8")
    content = made.page.with_suffix(".csv").read_text(encoding="utf-8")
    (HERE / "photographs.csv").write_text(content, encoding="utf-8")
    return int(bool(failed))


def usual_data() -> Path:
    """``shared/data`` beside the checkout, or one folder higher."""
    beside = [parent / "shared" / "data" for parent in HERE.resolve().parents[1:3]]
    return next((folder for folder in beside if folder.is_dir()), beside[0])


def main() -> int:
    """Run the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=usual_data(), help="where the data sets lie")
    parser.add_argument("--output", type=Path, help="where the run is stored")
    parser.add_argument("--shown", type=int, default=40, help="photographs on the page")
    parser.add_argument("--try", type=int, default=0, dest="tried", metavar="N")
    parser.add_argument("--only", nargs="*", default=[], metavar="DATASET")
    parser.add_argument("--model", default="", help="search this one; nothing is written")
    parser.add_argument("--judge", default="", help="judge by this one; nothing is written")
    args = parser.parse_args()
    try:
        return remake(args)
    except pez.PezError as error:
        print(f"photographs.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
