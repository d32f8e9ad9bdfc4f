"""What the searching commands share: resume from a journal, print in order, stop cleanly."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os.path import realpath

from pez.cli.interrupt import on_interrupt
from pez.cli.journal import Journal, journal_for
from pez.cli.outputs import Captions, Embeddings, Output, Table
from pez.cli.show import Bar, InOrder, short_names, summary, totals
from pez.cli.streams import Unprinted, answers
from pez.errors import PezError
from pez.options import SearchOptions
from pez.result import Result
from pez.session.items import Failed
from pez.session.session import Watch, weights_now


def note(text: str) -> None:
    """One line on stderr."""
    print(f"pez: {text}", file=sys.stderr)


def resume(
    args: argparse.Namespace,
    options: SearchOptions,
    names: Sequence[str],
    same: Callable[[int, str], bool],
    work: Callable[[list[int], Watch, Failed], None],
    pictures: bool = False,
) -> int:
    """Run ``work`` on those inputs that the journal does not hold yet, printing in order. Their
    ``names`` are those of ``pictures``, or texts.

    ``same`` says whether an input's content still has its earlier key; it is called only for
    inputs in the journal. ``work`` gets the places still to do, a Watch, and a function to call
    for an unreadable input; both number inputs within those places. An input given twice is
    searched once.
    """
    places: dict[str, list[int]] = {}
    for n, name in enumerate(names):
        places.setdefault(name, []).append(n)
    many = len(places) > 1
    table = getattr(args, "csv", "")
    if table and args.output and realpath(args.output) == realpath(table):
        raise PezError(f"--csv and --output both name {table}; give each its own file.")
    journal = None
    outputs: list[Output] = []
    try:
        if args.output_embeddings:
            soft = Embeddings(args.output_embeddings, list(places), options.method, pictures)
            outputs.append(soft)
            if not args.quiet:
                for text in soft.renamed:
                    note(text)
        if many or args.output:
            journal = journal_for(args.output, names, options, partial(weights_now, options))
        known = journal.done() if journal else {}
        if table:
            outputs.append(Table(table, list(places), note))
        if getattr(args, "txt", False):
            found = journal.prompts if journal else {}
            outputs.append(Captions(list(places), found, args.overwrite))
        return _resume(args, places, names, same, work, options, journal, known, outputs, pictures)
    finally:
        for output in outputs:
            output.close()
        if journal:
            journal.close(complete=False)  # nothing, if it is closed


def _resume(
    args: argparse.Namespace,
    places: dict[str, list[int]],
    names: Sequence[str],
    same: Callable[[int, str], bool],
    work: Callable[[list[int], Watch, Failed], None],
    options: SearchOptions,
    journal: Journal | None,
    known: Mapping[str, Result],
    outputs: Sequence[Output],
    pictures: bool,
) -> int:
    """:func:`resume` with what the journal knows and the files it writes; each distinct name has
    its ``places``.
    """
    begin = time.monotonic()
    many = len(places) > 1
    if journal and journal.cut:
        note(f"{journal.cut} lines of {journal.path} were cut short by a killed run; removed.")
    labels = None
    if many and answers().isatty() and not args.json:
        labels = short_names(names) if pictures else [""] * len(names)
    order = InOrder(args.json, labels, options.top if many else 1)
    todo: list[int] = []
    scores: dict[int, float] = {}  # of all results, by their first places
    fewer = 0  # results with fewer alternatives than asked for
    for name, alike in places.items():
        done = name in known and all(output.has(name, known[name]) for output in outputs)
        if done and _unchanged(known[name], same, alike[0]):
            scores[alike[0]] = known[name].score
            fewer += _fewer(known[name], options)
            for output in outputs:
                output.add(name, known[name])
            for n in alike:
                order.add(n, known[name])
        else:
            todo.append(alike[0])
    if len(todo) < len(places) and not args.quiet:
        note(f"{len(places) - len(todo)} of {len(places)} were done before.")
    older = [journal.older[names[n]] for n in todo if names[n] in journal.older] if journal else []
    if older and not args.quiet:
        note(_older(older, len(places)))
    bar = Bar()
    finished: set[int] = set()
    cut: set[int] = set()  # finished early, by Ctrl-C
    bad: set[int] = set()

    def on_result(place: int, result: Result) -> None:
        nonlocal fewer
        first = todo[place]
        (cut if result.interrupted else finished).add(first)
        bar.clear()
        try:  # printed after it is stored, and though it cannot be stored
            if journal:
                for _ in places[names[first]]:
                    journal.add(result)
            for output in outputs:
                output.add(names[first], result)
        finally:
            scores[first] = result.score
            fewer += _fewer(result, options)
            for n in places[names[first]]:
                order.add(n, result)
        if order.failed and not args.output:
            watch.stop.asked = True  # nobody would see more
        if not many and not args.quiet:
            bar.close()
            note(summary(result))

    def on_failure(place: int, why: PezError) -> None:
        note(str(why))
        bad.add(todo[place])
        for n in places[names[todo[place]]]:
            order.add(n, None)

    watch = Watch(progress=None if args.quiet else bar, result=on_result, note=note)
    try:
        with on_interrupt(watch.stop):
            if todo:
                work(todo, watch, on_failure)
    except PezError:
        if not watch.stop.asked:  # else a stop before the first prompt
            raise
    except KeyboardInterrupt:
        if not watch.stop.broke_off:  # else a download or the like, where nothing is lost
            raise
    finally:
        bar.close()
        order.close()
        for output in outputs:
            output.close()
        if journal:
            journal.close(complete=len(finished) == len(todo) and not order.failed)
    if order.failed:
        raise _unprinted(order, journal)
    if fewer and not args.quiet:
        some = f" for {fewer} of {len(places)} inputs" if many else ""
        note(f"{options.restarts} restarts found fewer than {options.top} different prompts{some}.")
    if many and not args.quiet:
        note(totals(list(scores.values()), len(bad), time.monotonic() - begin))
    if watch.stop.asked:
        if not args.quiet:
            left = len(todo) - len(finished) - len(bad)
            note(_stopped(left, len(cut), bool(journal and journal.kept)))
        return 130
    return 2 if bad else 0


def _unprinted(order: InOrder, journal: Journal | None) -> BaseException:
    """Why prompts were not printed, and where they are now."""
    if not isinstance(order.failed, Unprinted):
        return order.failed or BrokenPipeError()
    if not journal or not journal.kept:
        found = f"the prompt is: {order.lost[0]}" if len(order.lost) == 1 else "they are lost"
        return PezError(f"cannot write to standard output ({order.failed.why}); {found}")
    where = f"what was found is in {journal.path}"
    if journal.temporary:
        where = "run the same command again to print what was found"
    return PezError(f"cannot write to standard output ({order.failed.why}); {where}.")


def _fewer(result: Result, options: SearchOptions) -> bool:
    """Whether restarts found the same, so that there are fewer prompts than asked for."""
    return options.top > 1 and len(result.alternatives) < options.top


def _unchanged(result: Result, same: Callable[[int, str], bool], n: int) -> bool:
    """Whether a stored result is for the current content of its input."""
    try:
        return same(n, result.key)
    except PezError:
        return False  # reported when it is searched


def _older(results: Sequence[Result], places: int) -> str:
    """Why existing results are not used."""
    told = all(result.weights is not None and "settings" in result.options for result in results)
    why = "with other weights" if told else "by an earlier version of pez"
    what = f"{len(results)} of {places} were found {why}"
    return f"{what}; they are searched again; the older results stay in the file."


def _stopped(left: int, cut: int, kept: bool) -> str:
    """The note after a stop."""
    if not left:
        return "stopped; everything was done."
    found = "the best so far is printed" if cut else "nothing was found yet"
    if left == 1:
        return f"stopped early; {found}."
    return f"stopped early; {found}, {left} inputs are left" + (
        "; run the same command to continue." if kept else "."
    )
