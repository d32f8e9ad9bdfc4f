"""Searches at a cost: how many passes a step takes, and the best prompt within a budget.

Shared by the benchmarks that compare methods (methods.py, choose.py, factorial.py). A pass is one
prompt through one model, forwards or backwards: of the text towers that are searched, of a draft
and of a language model alike. Where a method's steps differ in cost (vgd), each counts as it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pez.methods import open_method
from pez.options import InvertOptions, SearchOptions
from pez.result import Result
from pez.search.method import Method
from pez.search.template import read_slots
from pez.session.prompt_form import style_of
from pez.session.session import Session, Watch
from pez.session.styles import styled

Search = Callable[[Session, Watch], Sequence[Any]]


@dataclass(frozen=True)
class Way:
    """A method with its settings, as one line of the figures."""

    label: str
    models: tuple[str, ...]
    options: InvertOptions


def step_cost(method: Method, models: int) -> int:
    """Passes per row and step through that many models at once, and through a draft; those of a
    language model come to it.
    """
    return models * (method.forwards + method.backwards) + method.drafts


def slots_of(options: SearchOptions) -> int:
    """How many places are searched in a prompt of these options."""
    style = style_of(options, options.length)
    form = styled(options.template, style, options.length) if style else options.template
    return sum(read_slots(form, options.length)[1])


def spent_by(method: Method, models: int, slots: int, steps: int, fluency: bool = False) -> int:
    """Passes of a row in its first ``steps`` steps; with ``fluency`` the language model reads what
    the text tower reads.
    """
    each = step_cost(method, models) + fluency * (method.forwards + method.backwards)
    return each * steps + method.continuations(slots, steps)


def steps_within(own: SearchOptions, models: int, most: float) -> int:
    """The most steps that ``most`` passes pay for; at least one."""
    method, slots, fluent = open_method(own), slots_of(own), own.fluency > 0
    steps = max(1, int(most) // spent_by(method, models, slots, 1, fluent))
    while spent_by(method, models, slots, steps + 1, fluent) <= most:
        steps += 1
    while steps > 1 and spent_by(method, models, slots, steps, fluent) > most:
        steps -= 1
    return steps


def best_steps(
    scores: Sequence[float], spent: Sequence[float], budgets: Sequence[float]
) -> list[int | None]:
    """For each budget the step with the best score among those it covers (the first, if several
    are equal); None if it covers no step, or more steps than the run had.

    ``spent`` (s,) is the cost up to the end of each step, ``scores`` (s,) what each found.
    """
    out: list[int | None] = []
    step = (spent[-1] - spent[0]) / (len(spent) - 1) if len(spent) > 1 else spent[0]
    for budget in budgets:
        paid = sum(cost <= budget for cost in spent)
        whole = spent[-1] + step > budget
        out.append(max(range(paid), key=lambda n: scores[n]) if paid and whole else None)
    return out


@dataclass(frozen=True, eq=False)
class Run:
    """One batch: each item's result with its history, and the cost of a picture up to the end of
    each step: ``passes`` and ``seconds``, and with what was rated once for all, ``alone``.
    """

    results: Sequence[Result]
    passes: Sequence[int]
    alone: Sequence[int]
    seconds: Sequence[float]


def run(
    session: Session, models: int, items: int, search: Search, clock: Callable[[], float]
) -> Run:
    """Search ``items`` pictures as one batch by ``search``. ``clock`` tells the time in seconds."""
    options, method = session.options, session.method
    stamps: list[float] = []
    begin = clock()
    found = search(session, Watch(progress=lambda *_: stamps.append(clock())))
    results = [r for r in found if isinstance(r, Result)]
    told = results[0].passes
    start = told["forward"] + told.get("cached", 0) - options.steps * method.forwards
    slots, fluent = slots_of(options), options.fluency > 0
    passes = [spent_by(method, models, slots, n + 1, fluent) for n in range(options.steps)]
    alone = [models * start + n for n in passes]
    return Run(results, passes, alone, [(stamp - begin) / items for stamp in stamps])


class Task(Protocol):
    """A batch of the plan that a process works on. Its key names all that decides the rows."""

    @property
    def key(self) -> str: ...

    @property
    def label(self) -> str: ...


T = TypeVar("T", bound=Task)
Rows = list[dict[str, Any]]


def collect(
    tasks: Sequence[T], work: Callable[[T], Rows], file: Path | None, workers: int
) -> list[Rows]:
    """The rows of each task, in their order; those in ``file`` are not recomputed."""
    done: dict[str, Rows] = {}
    if file and file.exists():
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        done = {line["key"]: line["rows"] for line in lines}
    todo = [task for task in tasks if task.key not in done]
    begin = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for n, (task, rows) in enumerate(zip(todo, pool.map(work, todo), strict=True), 1):
            done[task.key] = rows
            if file:
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps({"key": task.key, "rows": rows}) + "\n")
            spent = time.perf_counter() - begin
            print(f"{n}/{len(todo)}, {spent:.0f} s: {task.label}: {len(rows)} rows", flush=True)
    return [done[task.key] for task in tasks]


def with_steps(way: Way, most: float) -> Way:
    """The way with as many steps as ``most`` passes pay for."""
    steps = steps_within(way.options, len(way.models), most)
    return replace(way, options=replace(way.options, steps=steps))
