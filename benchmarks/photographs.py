"""What the models of photographs find on real ones: right content words, and ranks under a judge.

    python benchmarks/photographs.py --data FOLDER          # writes photographs.md and .csv
    python benchmarks/photographs.py --data FOLDER --try 5  # five of each, nothing written
    python benchmarks/photographs.py photographs-edits      # another plan: one word changed

FOLDER holds ``coco_val_mini`` (a small part of COCO's val2017) and ``flickr1000`` (of Flickr8k, of
which the last 200 are taken), each skipped where it is absent, and ``captions`` for the list of
frequent words. The default is ``shared/data`` beside the checkout.
The photographs themselves are not written: they are on the page that `pez report` makes of the
run's folder (``--output``).
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pez
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data
from pez.evaluation.plan_file import read_plan
from pez.evaluation.tasks.edit import Edit

HERE = Path(__file__).parent
PARTS = (
    Data("coco", ("val2017",), "coco_val_mini", count=79, training="captions/coco.tsv"),
    Data("flickr", path="flickr1000", count=200, last=200, training="captions/flickr8k.tsv"),
)
WORDS = ("content_words", "right_words", "right_1", "right_2", "right_3", "precision")
RANKS = ("text_score", "rank_1", "rank_10", "rank")
EDITS = ("before_rank", "after_rank", "before_score", "text_score", "edit_likeness")
EDITS += ("kept_signs", "kept_order")
NAMES = {
    **{"content_words": "words", "right_words": "right words", "precision": "precision"},
    **{f"right_{n}": f"{n} or more right" for n in (1, 2, 3)},
    **{"text_score": "cosine", "rank_1": "first", "rank_10": "in the first ten"},
    **{"rank": "median rank", "before_rank": "rank before", "after_rank": "rank after"},
    **{"before_score": "cosine before", "edit_likeness": "cosine of both prompts"},
    **{"kept_signs": "signs kept", "kept_order": "order kept"},
}
WITH_INTERVAL = ("right_words", "right_1", "rank_1", "text_score", "kept_signs", "kept_order")
COSINES = ("text_score", "before_score", "edit_likeness")
MEDIANS = ("rank", "before_rank", "after_rank")
_MEANS = (
    "means over photographs with 95 % bootstrap intervals, medians of ranks. Ranks are among the "
    "photographs of the data set."
)
_RIGHT = (
    "A right word is a content word that people used of the photograph, in any form; a caption is "
    "counted against the others of its photograph."
)
_FREQUENT = (
    "`frequent` is the same list for all: the {} content words that captions of other photographs "
    "use most."
)
_EDITS = (
    "`docs/comparing-prompts.md` says how words are chosen and what is kept; `cosine` is that of "
    "the changed prompt with the photograph."
)


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


def markdown(rows: Sequence[dict[str, str]], plan: Plan, name: str = "photographs") -> str:
    """For each data set the words once, then what every judge and reader says of the prompts, and
    of what edits left of them.
    """
    command = f"python benchmarks/photographs.py{'' if name == 'photographs' else f' {name}'}"
    about = [f"Written by `{command}`:", _MEANS]
    about += [_RIGHT] if any(row["right_words"] for row in rows) else []
    about += [_FREQUENT.format(plan.frequent)] if "frequent" in plan.baselines else []
    about += [_EDITS] if plan.task.edits else []
    lines = [f"# {plan.title}", "", *textwrap.wrap(" ".join(about), 100)]
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        here = [row for row in rows if row["dataset"] == dataset]
        views = list(dict.fromkeys((row["judge"], row["against"]) for row in here))
        count = max(int(row["items"]) for row in here)
        lines += ["", f"## {dataset}: {count} photographs"]
        if any(row["right_words"] for row in here):
            first = [row for row in here if (row["judge"], row["against"]) == views[0]]
            lines += ["", *table(first, WORDS)]
        for judge, against in views:
            mine = [row for row in here if (row["judge"], row["against"]) == (judge, against)]
            role = "judge" if judge in plan.judges else "searched itself"
            what = f"After the edit `{against}`" if against else "Cosine and rank of the photograph"
            lines += ["", f"{what}, under `{judge}` ({role}):", ""]
            lines += table(mine, EDITS if against else RANKS)
    return "\n".join(lines) + "\n"


def table(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> list[str]:
    """One line for each kind of prompts."""
    shown = [name for name in columns if any(row[name] for row in rows)]
    out = ["| prompts | " + " | ".join(NAMES[name] for name in shown) + " |"]
    out.append("|" + "---|" * (len(shown) + 1))
    for row in rows:
        model = f", {row['search_model']}" if row["search_model"] else ""
        length = " auto" if row["length"] == "0" else f" {row['length']}" if row["length"] else ""
        cells = [cell(row, name) for name in shown]
        out.append(f"| {row['method']}{length}{model} | " + " | ".join(cells) + " |")
    return out


def cell(row: dict[str, str], name: str) -> str:
    """A figure, with its interval where that is shown."""
    if not row[name]:
        return ""
    digits = 3 if name in COSINES else 1 if name in MEDIANS else 2
    ends = [row[f"{name}_{end}"] for end in ("low", "high")]
    text = f"{float(row[name]):.{digits}f}"
    if name not in WITH_INTERVAL or not all(ends):
        return text
    return f"{text} [{', '.join(f'{float(end):.{digits}f}' for end in ends)}]"


def remake(args: argparse.Namespace) -> int:
    """Carry out the plan on what is there, and write or print its tables."""
    plan = read_plan(HERE / f"{args.plan}.toml")
    found, absent = parts_in(args.data, args.tried, args.only)
    for sentence in absent:
        print(sentence, file=sys.stderr)
    if not found:
        return 1
    if "frequent" not in plan.baselines:
        found = [replace(part, training="") for part in found]
    plan = replace(plan, data=tuple(found))
    if args.model:
        plan = replace(plan, models=((args.model,),), readers=plan.readers and (args.model,))
    if args.judge:
        plan = replace(plan, judges=(args.judge,))
    if args.words and isinstance(plan.task, Edit):
        plan = replace(plan, task=replace(plan.task, model=args.words))
    folder = args.output or Path(tempfile.mkdtemp(prefix="pez-photographs-"))
    failed = [row["error"] for row in pez.evaluate(plan, folder) if row["error"]]
    for reason in dict.fromkeys(failed):
        print(f"failed: {reason}", file=sys.stderr)
    made = pez.report(folder, items=args.shown)
    with made.page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        text = markdown(list(csv.DictReader(file)), plan, args.plan)
    print(f"the photographs with their prompts: {made.page}", file=sys.stderr)
    if args.tried or args.model or args.judge or args.words or args.only:
        print(text)
        return int(bool(failed))
    (HERE / f"{args.plan}.md").write_text(text, encoding="utf-8")
    content = made.page.with_suffix(".csv").read_text(encoding="utf-8")
    (HERE / f"{args.plan}.csv").write_text(content, encoding="utf-8")
    return int(bool(failed))


def usual_data() -> Path:
    """``shared/data`` beside the checkout, or one folder higher."""
    beside = [parent / "shared" / "data" for parent in HERE.resolve().parents[1:3]]
    return next((folder for folder in beside if folder.is_dir()), beside[0])


def main() -> int:
    """Run the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    plans = sorted(path.stem for path in HERE.glob("photographs*.toml"))
    parser.add_argument("plan", nargs="?", default="photographs", choices=plans)
    parser.add_argument("--data", type=Path, default=usual_data(), help="where the data sets lie")
    parser.add_argument("--output", type=Path, help="where the run is stored")
    parser.add_argument("--shown", type=int, default=40, help="photographs on the page")
    parser.add_argument("--try", type=int, default=0, dest="tried", metavar="N")
    parser.add_argument("--only", nargs="*", default=[], metavar="DATASET")
    parser.add_argument("--model", default="", help="search this one; nothing is written")
    parser.add_argument("--judge", default="", help="judge by this one; nothing is written")
    parser.add_argument("--words", default="", help="edit with its words; nothing is written")
    args = parser.parse_args()
    try:
        return remake(args)
    except pez.PezError as error:
        print(f"photographs.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
