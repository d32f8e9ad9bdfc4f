"""Prompts that classify: the tables of benchmarks/classify.toml and classify-transfer.toml.

    python benchmarks/classify.py classify --data FOLDER            # writes classify.md and .csv
    python benchmarks/classify.py classify-transfer --data FOLDER
    python benchmarks/classify.py classify --data FOLDER --output RUN --only-table

FOLDER is what the paths of the plans are below; the default is ``shared/data`` beside the checkout.
A run already in the folder ``--output`` goes on where it stopped. ``--only-table`` runs nothing and
writes what is there. ``--results NAME=FILE`` adds what `pez classify --json` found for the data set
NAME of the plan, if it drew the same texts. A prompt "by validation" is the one of several (manual
ones, random ones, seeds of a method) with the lowest loss on the validation texts; the test texts
choose nothing, but where a line says so.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pez
from pez.evaluation.kinds.labels import WAYS
from pez.evaluation.labelled import from_bytes
from pez.evaluation.plan import Plan
from pez.evaluation.plan_file import read_plan
from pez.evaluation.run import prepare
from pez.evaluation.store import Store
from pez.evaluation.table import read_rows
from pez.result import Result

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks.classify_tables import WITH, Row, page, transfer  # noqa: E402

PROMPTS = "{}-prompts.csv"  # by hand, and of pez classify
COLUMNS = (
    *("dataset", "method", "length", "search_model", "seed", "prompt", "judge", "against"),
    *(f"{name}{end}" for name in WAYS for end in ("", "_low", "_high")),
    *("label_loss", "texts", "valid_accuracy", "valid_calibrated", "valid_shifted"),
    *("valid_loss", "valid_texts", "perplexity", "search_score", "seconds"),
    *("forwards", "backwards"),
)


def results_of(given: Sequence[str], folder: Path) -> list[Row]:
    """Rows of results of ``pez classify``, each ``NAME=FILE`` a data set and JSON lines: its prompt
    and the best of its random ones. PezError for those of other texts than the run's.
    """
    out: list[Row] = []
    for name, _, file in (text.partition("=") for text in given):
        keys = {from_bytes(path.read_bytes()).key for path in folder.glob("originals/*/*.json")}
        for line in Path(file).read_text(encoding="utf-8").splitlines():
            found = Result.from_json(line)
            if found.key not in keys:
                raise pez.PezError(f"{file} is of other texts than the run in {folder}.")
            told = found.figures
            method = f"{WITH}{found.method}"
            out.append(
                _row(name, method, found, told["test"]["prompt"], told["validation"]["prompt"])
            )
            if "random" in told["test"]:
                of = f"best of {found.options['random']} random by validation"
                parts = (told[part]["random"] for part in ("test", "validation"))
                none = {"seconds": None, "search_score": None, "forwards": None, "backwards": None}
                out.append(_row(name, of, found, *parts) | none)
    return list({(row["method"], row["prompt"]): row for row in out}.values())


def _row(name: str, method: str, found: Result, test: Row, valid: Row) -> Row:
    """Figures of a result as a row of a plan has them."""
    row: Row = dict.fromkeys(COLUMNS) | {"error": ""}
    row |= {"dataset": name, "method": method, "length": found.options["length"]}
    row |= {"search_model": found.model, "seed": found.seed, "judge": found.model}
    row |= {"prompt": test.get("prompt", found.prompt), "against": found.figures["template"]}
    row |= {"label_loss": test["loss"], "valid_loss": valid["loss"]}
    row |= {
        f"{part}texts": found.figures["texts"][key]
        for part, key in (("", "test"), ("valid_", "validation"))
    }
    row |= {"seconds": found.seconds, "search_score": found.score}
    row |= {"forwards": found.passes.get("forward"), "backwards": found.passes.get("backward")}
    for column, way in WAYS.items():
        way = way or next(key for key in ("median", "batch") if key in test)
        row |= {column: test[way]["accuracy"], f"valid_{column}": valid[way]["accuracy"]}
        row |= {f"{column}_low": test[way]["low"], f"{column}_high": test[way]["high"]}
    return row


def write(name: str, plan: Plan, rows: Sequence[Row]) -> None:
    """The CSV of all rows and the page."""
    with (HERE / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if row["accuracy"] is not None)
    made = transfer if len(plan.readers) > 1 or name.endswith("transfer") else page
    (HERE / f"{name}.md").write_text(made(name, plan, rows), encoding="utf-8")


def _there(plan: Plan, folder: Path, prompts: Path) -> list[Row]:
    """The rows of a plan as far as a run's folder has them."""
    store = Store(folder)
    store.create()
    with store.locked():
        prepare(plan, store, prompts)
    return read_rows(store)


def main() -> int:
    """Run a plan and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["classify", "classify-transfer"])
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--output", type=Path, help="where the run is stored")
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--results", action="append", default=[], metavar="NAME=FILE")
    args = parser.parse_args()
    plan = read_plan(HERE / f"{args.name}.toml")
    folder = (args.output or Path(tempfile.mkdtemp(prefix=f"pez-{args.name}-"))).absolute()
    os.chdir(args.data)
    try:
        prompts = HERE / PROMPTS.format(args.name)
        if args.only_table:
            rows = _there(plan, folder, prompts)
        else:
            rows = pez.evaluate(plan, folder, prompts=prompts, device="cpu")
        known = {(row["dataset"], row["method"]) for row in rows if row["accuracy"] is not None}
        found = results_of(args.results, folder)
        rows += [row for row in found if (row["dataset"], row["method"]) not in known]
    except pez.PezError as error:
        print(f"classify.py: {error}", file=sys.stderr)
        return 2
    for reason in dict.fromkeys(row["error"] for row in rows if row["error"]):
        print(f"failed: {reason}", file=sys.stderr)
    write(args.name, plan, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
