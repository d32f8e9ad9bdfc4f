"""``pez evaluate`` and ``pez similarity``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pez.cli.pictures import Pipes
from pez.cli.show import Bar
from pez.cli.streams import answer
from pez.cli.visible import raw_stderr, visible
from pez.evaluation.judges import JUDGE, is_offline, similarity
from pez.evaluation.plan import Plan
from pez.evaluation.plan_file import read_plan
from pez.evaluation.show import Listener, summary
from pez.evaluation.store import Store


class Stages(Listener):
    """A progress bar for each stage of a plan; without a terminal, a line for each."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._bar = quiet, Bar(quiet)
        self._done, self._now, self._total, self._title = 0, 0.0, 0, ""

    def notice(self, text: str, done: int = 0, total: int = 0) -> None:
        """A line that the next one replaces."""
        if self._bar.shown:
            share = f" {done}/{total}" if total else ""
            line = visible(f"{text}{share}", lines=False)
            print(f"\r\033[Kpez: {line}", end="", file=raw_stderr(), flush=True)

    def stage(self, title: str, missing: int) -> None:
        """Begin a bar of ``missing`` units."""
        self._bar.close()
        self._done, self._now, self._total, self._title = 0, 0.0, missing, ""
        if self._bar.shown:
            print("\r\033[K", end="", file=raw_stderr())
            self._show()
        elif not self._quiet:
            print(f"pez: {title}: {missing} to do", file=sys.stderr)

    def begin(self, title: str) -> None:
        """Name the current batch."""
        self._title = title
        self._show(at_once=True)  # a batch may take minutes

    def step(self, failed: bool) -> None:
        """Count a unit."""
        self._done += 1
        self._now = max(self._now, self._done)
        self._show()

    def part(self, units: float) -> None:
        """Move the bar within a batch."""
        self._now = max(self._now, min(self._done + units, self._total))
        self._show()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _show(self, at_once: bool = False) -> None:
        text = f"{self._now:.0f}/{self._total} {self._title}"
        self._bar.show(self._now, self._total, text, at_once)


def run_evaluate(args: argparse.Namespace) -> int:
    """``pez evaluate``: 2 if something failed, 130 for Ctrl-C."""
    plan = read_plan(args.plan)
    folder = args.output or str(Path("pez-evaluate") / Path(args.plan).stem)
    if args.dry_run:
        answer(_count(plan, folder, args.prompts))
        return 0
    from pez.evaluation.run import evaluate

    try:
        rows = evaluate(
            plan,
            folder,
            workers=args.workers,
            prompts=args.prompts,
            retry=args.retry,
            device=args.device,
            listener=Stages(args.quiet),
        )
    except KeyboardInterrupt:
        print(f"pez: stopped; results are in {folder}; run it again to go on.", file=sys.stderr)
        return 130
    if args.json:
        for row in rows:
            answer(json.dumps(row, ensure_ascii=False))
    elif not args.quiet:
        answer(summary(rows))
    failed = [row["error"] for row in rows if row["error"]]
    if failed:
        reasons = sorted(set(failed), key=failed.count, reverse=True)
        print(
            f"pez: {len(failed)} of {len(rows)} rows failed; most common reason: {reasons[0]} "
            "(--retry repeats them)",
            file=sys.stderr,
        )
    if not args.quiet:
        print(f"pez: all results are in {folder}", file=sys.stderr)
    return 2 if failed else 0


def _count(plan: Plan, folder: str, prompts: str) -> str:
    """Units of the plan and the time they take; nothing is drawn, loaded or written."""
    from pez.evaluation.expand import expand
    from pez.evaluation.originals import drawn_before
    from pez.evaluation.sizing import placeholders, sizes, sizing_note
    from pez.evaluation.subjects import subjects
    from pez.models.identity import identities

    store = Store(folder)
    known = drawn_before(plan, store)
    originals = placeholders(plan) if known is None else known
    nodes = expand(plan, subjects(plan, originals), identities())
    note = sizing_note(sizes(nodes, store))
    if known is None:
        told = "these are upper limits"
        if any(data.group for data in plan.data):
            told = "the number of groups is unknown, so one is counted"
        note += f"\nnothing was drawn yet: {told}."
    named = () if plan.task.labelled else (*plan.judges, *plan.readers)
    judges = [judge for judge in named if not is_offline(judge)]
    if judges:
        note += f"\nnot shipped, so downloaded unless cached: {', '.join(judges)}."
    if prompts or plan.prompts:
        note += "\nprompts made elsewhere are not counted."
    return note


def run_similarity(args: argparse.Namespace) -> int:
    """``pez similarity``."""
    pipes = Pipes()
    value = similarity(*map(pipes.read, args.images), judge=args.judge, device=args.device)
    if args.json:
        row = {"images": args.images, "judge": args.judge or JUDGE, "similarity": value}
        answer(json.dumps(row, ensure_ascii=False))
    else:
        answer(f"{value:.4f}")
    return 0
