"""Methods at equal cost: the best prompt so far against passes and seconds.

    python benchmarks/methods.py                     # writes methods.csv, methods.md, methods.png
    python benchmarks/methods.py --split choose      # settings compared: methods-choose.*
    python benchmarks/methods.py --items 3 --seeds 1 --most 200 --output small

Each method of methods.toml runs once at the largest budget, with all pictures as one batch. For
each smaller budget the prompt is the search's result so far: the best by its *own* score. Its text
is then scored afresh by the searched model and by a judge that is never searched. Passes are those
for one picture; a pass through several models counts once for each, and those of a draft and of a
language model count like any other. They are reported without and (``alone``) with the scoring
before the first step that all pictures share (words, a bank). Seconds are the batch's, on one core,
divided by its number of pictures; ``--workers`` batches run in parallel. With ``--rows FILE`` a
killed run continues where it stopped. Needs the font that data/world.py draws with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks import curves, plot, quality  # noqa: E402
from benchmarks.running import Way, best_steps, collect, run, with_steps  # noqa: E402
from pez.api import search_pictures  # noqa: E402
from pez.methods import record_of  # noqa: E402
from pez.models import Reader, load_model  # noqa: E402
from pez.options import InvertOptions  # noqa: E402
from pez.session.session import Session, Watch  # noqa: E402


@dataclass(frozen=True, eq=False)
class Scenes:
    """The pictures, and the judge's and the searched model's features (n, e) of them."""

    pictures: list[Image.Image]
    captions: list[str]
    readers: dict[str, Reader]  # searched, judge
    looks: dict[str, Tensor]

    def read(self, prompts: Sequence[str], items: Sequence[int]) -> dict[str, list[float]]:
        """Cosines (p,) of prompts with their items' pictures, by reader."""
        out = {}
        places = {text: n for n, text in enumerate(dict.fromkeys(prompts))}
        rows = [places[text] for text in prompts]
        for name, reader in self.readers.items():
            listed = list(places)
            chunks = [listed[n : n + 256] for n in range(0, len(listed), 256)]
            features = torch.cat([reader.encode_text(chunk) for chunk in chunks])
            out[name] = (features[rows] * self.looks[name][list(items)]).sum(1).tolist()
        return out


def ways_of(plan: dict[str, Any], longest: int, choosing: bool) -> list[Way]:
    """The lines of a plan, each with as many steps as its ``most`` passes allow, or
    ``longest`` if that is less.
    """
    ways = []
    for entry in plan["methods"]:
        alternatives = entry.get("alternatives", []) if choosing else []
        for extra in [{}, *alternatives]:
            options = plan.get("options", {}) | entry.get("options", {}) | extra.get("options", {})
            if "restarts" in options or "steps" in options:
                raise SystemExit(
                    f"{entry['name']}: budgets set the steps, and a history is one row"
                )
            settings = (*entry.get("set", ()), *extra.get("set", ()))
            models = tuple(extra.get("models") or entry.get("models") or plan["models"])
            differs = [f"{k}={v}" for k, v in extra.get("options", {}).items()]
            differs += [*extra.get("set", ()), *extra.get("models", ())]
            label = " ".join([entry.get("label", entry["name"]), *differs])
            own = InvertOptions(
                method=entry["name"], set=settings, length=plan["length"], history=True, **options
            )
            most = min(entry.get("most", plan["most"]), longest)
            ways.append(with_steps(Way(label, models, own), most))
    return ways


@dataclass(frozen=True)
class Task:
    """One batch: a way and a seed on ``count`` scenes of ``scenes``."""

    way: Way
    seed: int
    models: tuple[str, ...]  # these and the judge read the found prompts
    judge: str
    scenes: int
    count: int
    budgets: dict[str, list[float]]
    truth: dict[str, list[float]]  # scores of true captions, which tell one model from another

    @property
    def key(self) -> str:
        """What decides the rows."""
        way = [self.way.label, self.way.models, record_of(self.way.options)]
        return json.dumps([*way, self.seed, self.budgets, self.truth])

    @property
    def label(self) -> str:
        """The way and the seed."""
        return f"{self.way.label}, seed {self.seed}"


@cache
def open_scenes(models: tuple[str, ...], judge: str, seed: int, count: int) -> Scenes:
    """Held-out scenes with the models that read their prompts."""
    pictures, _, captions = quality.scenes(count, seed)
    readers = {"searched": load_model(models, "cpu"), "judge": load_model(judge, "cpu")}
    looks = {name: reader.encode_images(pictures) for name, reader in readers.items()}
    return Scenes(pictures, captions, readers, looks)


@cache
def open_searched(models: tuple[str, ...]) -> Reader:
    """The models that a way searches."""
    return load_model(models, "cpu")


def carry_out(task: Task) -> list[dict[str, Any]]:
    """A row for each item and budget: the prompt, its step, and how it is read."""
    torch.set_num_threads(1)
    scenes = open_scenes(task.models, task.judge, task.scenes, task.count)
    reader = open_searched(task.way.models)
    count = len(scenes.pictures)
    options = replace(task.way.options, seed=task.seed, rows=count, device="cpu")
    session = Session.of(reader, options)
    groups = [[picture] for picture in scenes.pictures]

    def searched(own: Session, watch: Watch) -> list[Any]:
        return list(search_pictures(own, groups, watch))

    found = run(session, len(task.way.models), count, searched, time.perf_counter)
    rows = []
    for item, result in enumerate(found.results):
        history = result.history or []
        scores = [step["score"] for step in history]
        for axis, listed in task.budgets.items():
            for budget, n in zip(
                listed, best_steps(scores, getattr(found, axis), listed), strict=True
            ):
                if n is None:
                    continue
                row = {"method": task.way.label, "axis": axis, "budget": budget, "item": item}
                row |= {"seed": task.seed, "step": n}
                rows.append(row | {"prompt": reader.tokens.decode(history[n]["ids"])})
    if rows:
        read = scenes.read([row["prompt"] for row in rows], [row["item"] for row in rows])
        for n, row in enumerate(rows):
            row |= {name: round(values[n], 5) for name, values in read.items()}
    return rows


def main() -> None:
    """Run the plan, write the figures."""
    with (HERE / "methods.toml").open("rb") as file:
        plan = tomllib.load(file)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=sorted(plan["splits"]), default="report")
    parser.add_argument("--method", action="append", help="only these, in addition to ours")
    parser.add_argument("--items", type=int, help="fewer pictures")
    parser.add_argument("--seeds", type=int, help="fewer seeds")
    parser.add_argument("--most", type=int, help="omit budgets of more passes")
    parser.add_argument("--rows", type=Path, help="store results in this file and continue from it")
    parser.add_argument("--workers", type=int, default=2, help="batches in parallel (2)")
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER")
    args = parser.parse_args()
    split = plan["splits"][args.split]
    seeds = split["seeds"][: args.seeds]
    budgets = {axis: plan.get(axis, plan["passes"]) for axis in curves.AXES}
    if args.most:
        for axis in ("passes", "alone"):
            budgets[axis] = [n for n in budgets[axis] if n <= args.most]
    against = curves.compared_with(plan)
    ways = ways_of(plan, max(budgets["passes"]), args.split == "choose")
    if args.method:
        ways = [w for w in ways if w.options.method in args.method or w.label in against]
    count, models = args.items or split["items"], tuple(plan["models"])
    begin = time.perf_counter()
    scenes = open_scenes(models, plan["judge"], split["scenes"], count)
    truth = scenes.read(scenes.captions, range(count))
    tasks = [
        Task(way, seed, models, plan["judge"], split["scenes"], count, budgets, truth)
        for way in ways
        for seed in seeds
    ]
    rows = [row for rows in collect(tasks, carry_out, args.rows, args.workers) for row in rows]
    run = curves.Run(args.split, plan, count, seeds, truth, curves.lines_of(rows, against))
    args.output.mkdir(parents=True, exist_ok=True)
    name = "methods" if args.split == "report" else f"methods-{args.split}"
    curves.write_csv(args.output / f"{name}.csv", run.lines, against)
    (args.output / f"{name}.md").write_text(curves.markdown(run), encoding="utf-8")
    plot.draw(run).save(args.output / f"{name}.png", optimize=True)
    print(f"{time.perf_counter() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
