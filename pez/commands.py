"""What each verb of the command line does: read input, call the function, print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pez.cli import read_options
from pez.errors import PezError
from pez.images import expand_sources
from pez.journal import Journal, journal_for
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.result import Result
from pez.session import Watch, open_reader, run
from pez.show import Bar, InOrder, summary
from pez.verbs import distill as distill_texts
from pez.verbs import image_items
from pez.verbs import mix as mix_targets
from pez.verbs import neighbours as near_words
from pez.verbs import score as score_prompts


def note(text: str) -> None:
    """One line on stderr."""
    print(f"pez: {text}", file=sys.stderr)


def _searched(
    args: argparse.Namespace,
    options: SearchOptions,
    names: Sequence[str],
    work: Callable[[list[int], Watch], None],
) -> int:
    """Run ``work`` on those inputs that the journal does not hold yet, printing in order.

    ``work`` gets the places still to do and a Watch whose result callback counts among them.
    """
    many = len(names) > 1
    journal = journal_for(args.output, names, options) if many or args.output else None
    done = journal.done() if journal else {}
    order = InOrder(len(names), args.json)
    todo = []
    for n, name in enumerate(names):
        if name in done:
            order.add(n, done[name])
        else:
            todo.append(n)
    if done and len(todo) < len(names) and not args.quiet:
        note(f"{len(names) - len(todo)} of {len(names)} were done before; going on with the rest.")
    bar = Bar()
    finished: set[int] = set()
    interrupted = False

    def on_result(place: int, result: Result) -> None:
        nonlocal interrupted
        interrupted |= result.interrupted
        n = todo[place]
        finished.add(n)
        if journal:
            journal.add(result)
        order.add(n, result)
        if not many and not args.quiet:
            bar.close()
            note(summary(result))

    watch = Watch(progress=None if args.quiet else bar, result=on_result)
    try:
        with watch.stop.on_interrupt():
            if todo:
                work(todo, watch)
    finally:
        bar.close()
        order.close()
        if journal:
            journal.close(complete=len(finished) == len(todo) and not interrupted)
    if watch.stop.asked:
        left = len(todo) - len(finished)
        _tell_rest(journal, left, args.quiet)
        return 130
    return 0


def _tell_rest(journal: Journal | None, left: int, quiet: bool) -> None:
    if quiet:
        return
    if left and journal:
        note(f"stopped; {left} inputs are left, the same command goes on with them.")
    else:
        note("stopped early; this is the best prompt so far.")


def invert(args: argparse.Namespace) -> int:
    """``pez invert``."""
    options = read_options(InvertOptions, args)
    sources = expand_sources(args.sources)
    names = ["\n".join(sources)] if options.together else sources
    bad: list[str] = []

    def work(todo: list[int], watch: Watch) -> None:
        reader = open_reader(options)
        chosen = sources if options.together else [sources[n] for n in todo]
        failing = len(chosen) > 1 and not options.together

        def failed(source: Any, error: PezError) -> None:
            bad.append(str(source))
            note(str(error))

        items = image_items(reader, chosen, options.together, failed if failing else None)
        reader.free_vision()
        if not options.together:  # pictures that failed are no items: count past them
            places = {source: place for place, source in enumerate(chosen)}
            tell = watch.result

            def shifted(n: int, result: Result) -> None:
                if tell:
                    tell(places[items[n].names[0]], result)

            watch = Watch(watch.stop, watch.progress, shifted)
        run(reader, items, options, watch)

    code = _searched(args, options, names, work)
    return code or (2 if bad else 0)


def distill(args: argparse.Namespace) -> int:
    """``pez distill``."""
    options = read_options(DistillOptions, args)
    texts = _read_texts(args.text)

    def work(todo: list[int], watch: Watch) -> None:
        distill_texts([texts[n] for n in todo], options=options, watch=watch, warn=note)

    return _searched(args, options, texts, work)


def _read_texts(source: str) -> list[str]:
    """The text itself, or the lines of a file or of stdin."""
    if source == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            is_file = len(source) < 4096 and Path(source).is_file()
        except OSError:
            is_file = False
        if not is_file:
            return [source]
        try:
            lines = Path(source).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise PezError(f"{source} is no text file; give UTF-8 text, one prompt a line.") from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        where = "standard input" if source == "-" else source
        raise PezError(f"{where} holds no text; give one prompt a line.")
    return lines


def mix(args: argparse.Namespace) -> int:
    """``pez mix``."""
    options = read_options(MixOptions, args)
    names = [" + ".join([*options.image, *options.text, *(f"-{n}" for n in options.negative)])]

    def work(_todo: list[int], watch: Watch) -> None:
        mix_targets(options=options, watch=watch)

    return _searched(args, options, names, work)


def score(args: argparse.Namespace) -> int:
    """``pez score``: a line for each prompt, the cosine and the prompt."""
    options = _model_options(args)
    reader = open_reader(options)
    for prompt, value in zip(
        args.prompts, score_prompts(args.image, args.prompts, reader=reader), strict=True
    ):
        if args.json:
            row = {"prompt": prompt, "score": value, "model": reader.name, "image": args.image}
            print(json.dumps(row, ensure_ascii=False))
        else:
            print(f"{value:.4f}  {prompt}")
        over = len(reader.tokens.encode(prompt)) - reader.limit
        if over > 0:
            note(f"the last {over} tokens of a prompt are beyond what {reader.name} reads.")
    return 0


def _model_options(args: argparse.Namespace) -> SearchOptions:
    return SearchOptions(
        model=tuple(args.model or ()),
        generator=args.generator,
        device=args.device,
        dtype=args.dtype,
        vocabulary=getattr(args, "vocabulary", "auto"),
    )


def tokens(args: argparse.Namespace) -> int:
    """``pez tokens``: a line for each token; what lies beyond the limit is marked."""
    from pez.models.openclip import model_tokens

    known = model_tokens(args.model)
    ids = known.encode(args.text)
    pieces = [known.decode([i]) for i in ids]
    back = known.encode(known.decode(ids)) == ids if ids else True
    if args.json:
        row = {"text": args.text, "ids": ids, "tokens": pieces, "count": len(ids)}
        row |= {"limit": known.limit, "read": known.decode(ids[: known.limit]), "round_trip": back}
        print(json.dumps(row, ensure_ascii=False))
        return 0
    for n, (i, piece) in enumerate(zip(ids, pieces, strict=True)):
        print(f"{n + 1:4d}  {i:6d}  {piece}{'' if n < known.limit else '   <- falls off'}")
    note(f"{len(ids)} tokens; the model reads at most {known.limit}.")
    if len(ids) > known.limit:
        note(f"falls off: {known.decode(ids[known.limit :])}")
    return 0


def neighbours(args: argparse.Namespace) -> int:
    """``pez neighbours``: id, cosine and word of the nearest tokens."""
    if args.top < 1:
        raise PezError(f"--top must be 1 or more, not {args.top}.")
    options = _model_options(args)
    reader = open_reader(options)
    for i, text, cosine in near_words(args.word, args.top, reader=reader, vocabulary=args.vocabulary):
        if args.json:
            print(json.dumps({"id": i, "token": text, "cosine": cosine}, ensure_ascii=False))
        else:
            print(f"{i:6d}  {cosine:.4f}  {text}")
    return 0


def models(args: argparse.Namespace) -> int:
    """``pez models``: shipped models, generators, and every open_clip name."""
    from pez.models.catalogue import catalogue

    for row in catalogue():
        if args.json:
            print(json.dumps(row))
        else:
            print(f"{row['name']:<44} {row['note']}")
    return 0


def methods(args: argparse.Namespace) -> int:
    """``pez methods``."""
    from pez.methods import METHODS

    for name, (_, text) in METHODS.items():
        print(json.dumps({"name": name, "about": text}) if args.json else f"{name:<12} {text}")
    return 0


def demo(args: argparse.Namespace) -> int:
    """``pez demo``."""
    from pez.demo import run_demo

    return run_demo(Path(args.output), args.seed)
