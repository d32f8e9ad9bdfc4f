"""What the searching commands share: resume from a journal, print in order, stop cleanly."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pez.cli.interrupt import on_interrupt
from pez.cli.journal import Journal, journal_for
from pez.cli.show import Bar, InOrder, summary
from pez.cli.streams import Unprinted
from pez.errors import PezError
from pez.files import Lock, check_own, output_path
from pez.options import SearchOptions
from pez.result import Result
from pez.session.embeddings import EMBEDDINGS, save_embeddings
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
) -> int:
    """Run ``work`` on those inputs that the journal does not hold yet, printing in order.

    ``same`` says whether an input's content still has its earlier key; it is called only for
    inputs in the journal. ``work`` gets the places still to do, a Watch, and a function to call
    for an unreadable input; both number inputs within those places. An input given twice is
    searched once.
    """
    places: dict[str, list[int]] = {}
    for n, name in enumerate(names):
        places.setdefault(name, []).append(n)
    many = len(places) > 1
    soft = Embeddings(args.output_embeddings, many, options.method)
    journal = None
    if many or args.output:
        journal = journal_for(args.output, names, options, partial(weights_now, options))
    try:
        return _resume(args, places, names, same, work, journal, soft)
    finally:
        if journal:
            journal.close(complete=False)  # nothing, if it is closed
        soft.close()


def _resume(
    args: argparse.Namespace,
    places: dict[str, list[int]],
    names: Sequence[str],
    same: Callable[[int, str], bool],
    work: Callable[[list[int], Watch, Failed], None],
    journal: Journal | None,
    soft: Embeddings,
) -> int:
    """:func:`resume` with the files it writes; each distinct name has its ``places``."""
    many = len(places) > 1
    if journal and journal.cut:
        note(f"{journal.cut} lines of {journal.path} were cut short by a killed run; removed.")
    order = InOrder(args.json)
    todo: list[int] = []
    known = journal.done() if journal else {}
    for name, alike in places.items():
        done = name in known and soft.has(known[name])
        if done and _unchanged(known[name], same, alike[0]):
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
        first = todo[place]
        (cut if result.interrupted else finished).add(first)
        bar.clear()
        try:  # printed after it is stored, and though it cannot be stored
            if journal:
                for _ in places[names[first]]:
                    journal.add(result)
            soft.add(result)
        finally:
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
        if journal:
            journal.close(complete=len(finished) == len(todo) and not order.failed)
    if order.failed:
        raise _unprinted(order, journal)
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


class Embeddings:
    """Where a run's embeddings go: the file ``output``, for ``many`` inputs a folder of files
    named by the results' keys; nowhere if it is empty. It is locked until it is closed. PezError
    if the method has none, or they cannot be written there.
    """

    def __init__(self, output: str, many: bool, method: str) -> None:
        self._many, self._lock = many, None
        self._base = output_path(output) if output else None
        if not self._base:
            return
        from pez.methods import method_class

        if not method_class(method).finds_embeddings:
            raise PezError(
                f"--output-embeddings: {method} finds words, not embeddings; add --method soft."
            )
        if self._base.exists() and self._base.is_dir() != many:
            kind = "file" if many else "folder"
            wanted = "folder for several inputs" if many else "file for one input"
            raise PezError(f"--output-embeddings {output} is a {kind}; name a {wanted}.")
        remedy = "choose another --output-embeddings"
        if not many:
            check_own(self._base, EMBEDDINGS, remedy)
        self._lock = Lock(self._base, folder=many, remedy=remedy)

    def path(self, result: Result) -> Path:
        """The file of one result."""
        assert self._base is not None
        return self._base / f"{result.key}.safetensors" if self._many else self._base

    def has(self, result: Result) -> bool:
        """Whether everything is written for a result of an earlier run."""
        return not self._base or self.path(result).is_file()

    def add(self, result: Result) -> None:
        """Write one result's embeddings."""
        if self._base:
            save_embeddings(result, self.path(result))

    def close(self) -> None:
        """Let others write there."""
        if self._lock:
            self._lock.release()
