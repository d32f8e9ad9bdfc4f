"""Step rule x start x form on real photographs, at equal passes and equal seconds.

    python benchmarks/factorial.py --data FOLDER             # writes factorial.csv and factorial.md
    python benchmarks/factorial.py --data FOLDER --cost      # what it would take, measured briefly
    python benchmarks/factorial.py --data FOLDER --rows F --seeds 1 --items 20 --output small

Each cell of factorial.toml runs once at its largest budget of passes, with all photographs as one
batch; for each smaller budget the prompt is the search's result so far, by its *own* score. A
method that plans its steps ahead runs once for each budget. The prompt's text is then scored afresh
by the searched model and by a judge that had no hand in any choice; settings come from
factorial-chosen.toml, which choose.py writes. Seconds are those of the processor in a process with
one thread, divided by the number of photographs; photographs are encoded before. ``--rows FILE``
keeps the searches that are done, so that a killed run continues, and another judge needs no search
again. ``--rename photo=NAME`` takes another model in place of the plan's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks import factorial_page as page  # noqa: E402
from benchmarks.cells import NO_STEP, Cell, cells_of, missing_starts, read_chosen  # noqa: E402
from benchmarks.factorial_plan import BANK, chosen_file, plan_arguments, read_plan  # noqa: E402
from benchmarks.photos import (  # noqa: E402
    Gallery,
    Judge,
    caption_list,
    frequent_words,
    gallery,
    right_words,
)
from benchmarks.running import Rows, Run, best_steps, collect, run, slots_of, spent_by  # noqa: E402
from pez.errors import PezError  # noqa: E402
from pez.methods import open_method, record_of  # noqa: E402
from pez.models import Reader, load_model  # noqa: E402
from pez.models.identity import known_weights  # noqa: E402
from pez.options import InvertOptions  # noqa: E402
from pez.session.drafts import draft_name, with_draft  # noqa: E402
from pez.session.items import Item, picture_items  # noqa: E402
from pez.session.session import Session, Watch, search_items  # noqa: E402

FEW, MARGIN = (
    4,
    1.2,
)  # steps that are timed before a run for some seconds, and how many more it does


@dataclass(frozen=True)
class World:
    """What is searched and who judges: hashable, so that a process opens it once."""

    data: str  # the plan's data and the split, as JSON
    folder: str
    models: tuple[str, ...]
    judge: str
    items: int


@dataclass(frozen=True)
class Batch:
    """A cell with one seed, on the first ``items`` of its world's pictures."""

    world: World
    cell: Cell
    seed: int
    weights: str  # of the models, as their hashes

    @property
    def key(self) -> str:
        """What decides the rows."""
        cell, world = self.cell, self.world
        what = [cell.way.models, record_of(cell.way.options), cell.budgets, cell.timed]
        where = [world.data, world.models, cell.items or world.items, cell.caption]
        names = [cell.block, cell.method, cell.start, cell.form]
        return json.dumps([*names, *what, self.seed, *where, self.weights])

    @property
    def label(self) -> str:
        """The cell and the seed."""
        cell = self.cell
        models = " + ".join(cell.way.models)
        return f"{cell.method}, {cell.start}, {cell.form}, {models}, seed {self.seed}"


@cache
def open_gallery(world: World) -> Gallery:
    """The pictures of a world."""
    data, split = json.loads(world.data)
    return gallery(data, split, world.folder, world.items)


@cache
def open_reader(models: tuple[str, ...]) -> Reader:
    """Models that are searched, or judge."""
    torch.set_num_threads(1)
    return load_model(models, "cpu")


@cache
def open_judge(world: World, name: tuple[str, ...]) -> Judge:
    """A judge of a world's gallery."""
    return Judge.of(open_reader(name), open_gallery(world).pictures)


@cache
def open_items(world: World, models: tuple[str, ...], draft: str) -> list[Item]:
    """The searched pictures as some models, and a draft, encode them."""
    own = InvertOptions(method="gcg", set=(f"draft={draft}",)) if draft else InvertOptions()
    reader = with_draft(open_reader(models), own, open_method(own))
    seen = open_gallery(world)
    found = picture_items(reader, [[seen.pictures[n]] for n in seen.searched])
    return [replace(found[n], seconds=0.0) for n in sorted(found)]


@cache
def best_captions(world: World, models: tuple[str, ...]) -> list[str]:
    """For each searched picture the best of a list of captions of others, as a captioner that only
    looks captions up.
    """
    data, _ = json.loads(world.data)
    listed = caption_list(data, world.folder, BANK)
    judge, seen = open_judge(world, models), open_gallery(world)
    features = torch.cat(
        [judge.reader.encode_text(listed[n : n + 256]) for n in range(0, len(listed), 256)]
    )
    best = (judge.looks[list(seen.searched)] @ features.T).argmax(1)
    return [listed[n].lower().strip(" .") for n in best.tolist()]


def searched(batch: Batch) -> Run:
    """The search of a batch."""
    cell, world = batch.cell, batch.world
    options = cell.way.options
    items = open_items(world, cell.way.models, draft_name(options))
    items = items[: cell.items or len(items)]
    own = replace(options, seed=batch.seed, rows=len(items), device="cpu")
    reader = open_reader(cell.way.models)
    if not cell.caption:

        def at_once(session: Session, watch: Watch) -> list[Any]:
            return search_items(session, items, watch)

        def ran(some: InvertOptions) -> Run:
            session = Session.of(reader, some)
            return run(session, len(cell.way.models), len(items), at_once, time.process_time)

        if cell.timed:
            own = replace(own, steps=steps_for(ran(replace(own, steps=FEW)), max(cell.budgets)))
        return ran(own)
    parts = []
    for item, caption in zip(items, best_captions(world, cell.way.models), strict=False):
        form = begun(caption, reader, options.length)

        def alone(session: Session, watch: Watch, one: Item = item) -> list[Any]:
            return search_items(session, [one], watch)

        session = Session.of(reader, replace(own, template=form, style="", rows=1))
        parts.append(run(session, len(cell.way.models), 1, alone, time.process_time))
    seconds = [sum(times) / len(parts) for times in zip(*(p.seconds for p in parts), strict=True)]
    results = [result for part in parts for result in part.results]
    return Run(results, parts[0].passes, parts[0].alone, seconds)


def steps_for(short: Run, seconds: float) -> int:
    """About how many steps take so many seconds a picture, and a few more, from a short run."""
    first, last = short.seconds[0], short.seconds[-1]
    each = max(1e-6, (last - first) / (len(short.seconds) - 1))
    return FEW + max(1, int(MARGIN * (seconds - first) / each))


def begun(caption: str, reader: Reader, length: int) -> str:
    """A template of ``length`` tokens: the caption, and words between commas behind it; of a long
    caption only what leaves room for two.
    """
    words = caption.replace("{", "").replace("}", "").split()
    while words and len(reader.tokens.encode(" ".join(words))) > length - 4:
        words = words[:-1]
    room = length - len(reader.tokens.encode(" ".join(words)))
    return " ".join(words) + " , {1}" * (room // 2)


def carry_out(batch: Batch) -> list[dict[str, Any]]:
    """A row for each picture and budget: the prompt and what it cost. A cell that cannot be
    searched has one row with the reason.
    """
    torch.set_num_threads(1)
    cell = batch.cell
    place = {"block": cell.block, "method": cell.method, "start": cell.start, "form": cell.form}
    place |= {"models": " + ".join(cell.way.models), "seed": batch.seed}
    try:
        found = searched(batch)
    except PezError as error:
        return [place | {"error": str(error)}]
    axis = "seconds" if cell.timed else "passes"
    options, method = cell.way.options, open_method(cell.way.options)
    fluent, many = options.fluency > 0, len(cell.way.models)
    reader, rows = open_reader(cell.way.models), []
    for item, result in enumerate(found.results):
        history = result.history or []
        scores = [step["score"] for step in history]
        spent = getattr(found, axis)
        for budget, n in zip(cell.budgets, best_steps(scores, spent, cell.budgets), strict=True):
            if cell.method == NO_STEP:
                n = 0  # whatever else could be paid for
            if n is None:
                continue
            steps = max(1, sum(cost <= budget for cost in spent))
            mine = {"axis": axis, "budget": budget, "item": item, "step": n}
            mine |= {"prompt": reader.tokens.decode(history[n]["ids"])}
            told = spent_by(method, many, slots_of(options), steps, fluent)
            told -= steps * (many * (method.forwards + method.backwards) + method.drafts)
            mine |= {"language": told, "drafts": steps * method.drafts}
            mine |= {"searched": round(scores[n], 5), "passes": found.passes[steps - 1]}
            rows.append(place | mine | {"seconds": round(found.seconds[steps - 1], 5)})
    return rows


def with_readings(world: World, found: Sequence[Rows]) -> list[dict[str, Any]]:
    """All rows of searches, with what is said of their prompts. It is done afresh, for searches of
    earlier runs too: another judge needs no search again.
    """
    rows = [dict(row) for some in found for row in some]
    whole = [row for row in rows if "error" not in row]
    read = read_rows(world, whole, open_gallery(world).searched)
    for row, more in zip(whole, read, strict=True):
        row |= more
    return rows


def read_rows(
    world: World, rows: Sequence[Mapping[str, Any]], places: Sequence[int]
) -> list[dict[str, Any]]:
    """What the judge and the captions say of rows' prompts."""
    if not rows:
        return []
    prompts = [row["prompt"] for row in rows]
    where: list[int] = [places[row["item"]] for row in rows]
    judge = open_judge(world, (world.judge,)).read(prompts, where)
    captions = open_gallery(world).captions
    return [
        {"judge": round(cosine, 5), "rank": rank, "right": right_words(prompt, captions[place])}
        for prompt, place, (cosine, rank) in zip(prompts, where, judge, strict=True)
    ]


def marks(world: World, frequent: int) -> list[dict[str, Any]]:
    """Rows of prompts that no search found: the pictures' own first captions, those looked up among
    captions of others, and the most frequent words for all pictures alike.
    """
    seen, own = open_gallery(world), open_reader(world.models)
    count = len(seen.searched)
    same = frequent_words(seen.captions, own.own_words or (), frequent)
    first = [seen.captions[n][0] for n in seen.searched]
    named = {
        "a caption of the picture": first,
        "the best caption of other pictures": best_captions(world, world.models),
        f"the {frequent} most frequent words": [same] * count,
    }
    rows = []
    for name, prompts in named.items():
        some = [{"item": n, "prompt": text} for n, text in enumerate(prompts)]
        read = read_rows(world, some, seen.searched)
        place = {"block": "marks", "method": name, "start": "", "form": "", "models": ""}
        place |= {"axis": "passes", "budget": 0, "seed": 0, "language": 0, "drafts": 0}
        place |= {"passes": 0, "searched": None, "seconds": None}
        rows += [place | one | more for one, more in zip(some, read, strict=True)]
    return rows


def weights_of(models: Sequence[str]) -> str:
    """Hashes of the models' weights."""
    return json.dumps(sorted(known_weights(models).items()))


def main() -> None:
    """Run the plan, write the figures."""
    parser = plan_arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=0, help="fewer seeds")
    parser.add_argument(
        "--block", action="append", help="cells, timed, several, rivals; long by name only"
    )
    parser.add_argument("--cost", action="store_true", help="measure briefly what the plan takes")
    args = parser.parse_args()
    plan = read_plan(args.plan, args.rename, args.data)
    split = plan["splits"]["report"]
    chosen, order = read_chosen(chosen_file(args.plan))
    data = json.dumps([plan["data"], split], sort_keys=True)
    world = World(data, args.data, tuple(plan["models"]), plan["judge"], args.items)
    blocks = args.block or ["cells", "timed", "several", "rivals"]
    cells = [c for c in cells_of(plan, chosen, order) if c.block in blocks]
    if args.method:
        cells = [c for c in cells if c.method in (*args.method, plan["baseline"][0])]
    batches = [
        Batch(world, cell, seed, weights_of(cell.way.models))
        for cell in cells
        for seed in plan["seeds"][: cell.seeds or None][: args.seeds or None]
    ]
    if args.cost:
        from benchmarks.cost import table

        print(table(batches, carry_out, len(open_gallery(world).searched)))
        return
    begin = time.perf_counter()
    rows = with_readings(world, collect(batches, carry_out, args.rows, args.workers))
    rows += marks(world, plan["frequent"])
    args.output.mkdir(parents=True, exist_ok=True)
    whole = page.Table(plan, rows, missing_starts(plan), bool(chosen), args.items)
    page.write_csv(args.output / f"{args.plan.stem}.csv", whole)
    (args.output / f"{args.plan.stem}.md").write_text(page.markdown(whole), encoding="utf-8")
    print(f"{time.perf_counter() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
