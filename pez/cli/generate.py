"""``pez generate``: prompts in, PNG files out; existing files are not drawn again."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from torch import Tensor

from pez.cli.again import take_from
from pez.cli.inputs import read_options, read_texts
from pez.cli.resume import note
from pez.cli.show import Bar
from pez.cli.streams import Unprinted, answer
from pez.errors import PezError
from pez.files import output_path
from pez.files.lock import Lock
from pez.formats.embeddings import ENDS, joined, read_embeddings
from pez.formats.prompts import file_or_text
from pez.generation.files import (
    ENDINGS,
    check_picture,
    is_drawn,
    make_folder,
    picture_path,
    save_caption,
    save_grid,
    save_picture,
)
from pez.generation.options import GenerateOptions
from pez.generation.pipelines import Setup, make_setup, open_painter
from pez.generation.spread import Wanted, draw_spread, words_told
from pez.session.embeddings import holds_embeddings
from pez.workers.choose import Workers, read_workers


def run(args: argparse.Namespace) -> int:
    """Draw every prompt from every seed; print each picture's path as soon as it is written."""
    prompts: list[tuple[str, str | Tensor]] = []
    if args.source is not None:
        text = take_from(args)
        prompts = [(text, text)]
    options = read_options(GenerateOptions, args)
    workers = read_workers(args.workers)
    prompts += [prompt for source in args.prompts for prompt in read_prompts(source)]
    if not prompts:
        raise PezError("there is nothing to draw; give a prompt, a file of prompts, or --from.")
    setup = make_setup(options)
    folder = output_path(args.output)
    make_folder(folder)
    with ExitStack() as locks:
        return _run(args, options, workers, prompts, setup, folder, locks)


def _run(
    args: argparse.Namespace,
    options: GenerateOptions,
    workers: Workers,
    prompts: list[tuple[str, str | Tensor]],
    setup: Setup,
    folder: Path,
    locks: ExitStack,
) -> int:
    """:func:`run` in its folder, which is locked if there is something to draw."""
    work = [(label, prompt, seed) for label, prompt in prompts for seed in options.seeds]
    end = ENDINGS[args.format]
    paths = [picture_path(folder, label, seed, setup.settings, end) for label, _, seed in work]

    def look() -> list[bool]:
        pairs = zip(paths, work, strict=True)
        return [is_drawn(path, label, seed, setup.settings) for path, (label, _, seed) in pairs]

    ready = look()
    if not all(ready):
        locks.enter_context(Lock(folder, folder=True))
        ready = look()  # another run may just have ended
        for path in {path for path, drawn in zip(paths, ready, strict=True) if not drawn}:
            check_picture(path)
    first = {path: n for n, path in reversed(list(enumerate(paths)))}  # a prompt given twice
    todo = [n for n, path in enumerate(paths) if not ready[n] and first[path] == n]
    if any(ready) and not args.quiet:
        note(f"{sum(ready)} of {len(work)} were drawn before.")
    failed: set[int] = set()
    shown = 0
    unprinted: list[Unprinted | BrokenPipeError] = []  # why paths are no longer printed

    def show() -> None:
        nonlocal shown
        while shown < len(work):
            n = first[paths[shown]]
            if n in failed:
                line = ""
            elif ready[n]:
                label, _, seed = work[shown]
                row = {"path": str(paths[shown]), "prompt": label, "seed": seed}
                row |= {"settings": setup.settings}
                line = json.dumps(row, ensure_ascii=False) if args.json else str(paths[shown])
            else:
                return
            try:
                if (line or not args.json) and not unprinted:
                    answer(line)
            except (Unprinted, BrokenPipeError) as error:
                unprinted.append(error)  # told when everything is drawn
            shown += 1

    show()
    if workers.several and len(todo) == 1 and not workers.ray:
        note("--workers has no effect: one picture is drawn, in this process.")
        workers = Workers()
    if todo:
        bar = Bar(args.quiet)

        def save(place: int, picture: Image.Image) -> None:
            n = todo[place]
            label, _, seed = work[n]
            save_picture(picture, paths[n], label, seed, setup.settings)
            if args.txt:
                save_caption(paths[n], label, setup.settings)
            ready[n] = True
            bar.clear()
            show()

        def fail(place: int, why: str) -> None:
            failed.add(todo[place])
            bar.clear()
            note(why)
            show()

        def remark(text: str) -> None:
            bar.clear()
            note(text)

        wanted = [Wanted(place, work[n][1], work[n][2], work[n][0]) for place, n in enumerate(todo)]
        try:
            if workers.several:
                progress = bar.draw if bar.shown else None
                draw_spread(workers, options, wanted, save, fail, note, progress, args.quiet)
            else:
                painter = open_painter(options)
                if painter.words and not args.quiet:
                    note(words_told(painter))
                painter.paint(
                    [one.prompt for one in wanted],
                    [one.seed for one in wanted],
                    progress=bar.draw,
                    done=save,
                    spoilt=fail,
                    warn=remark,
                )
        except KeyboardInterrupt:
            bar.close()
            left = sum(not ready[n] for n in todo)
            note(f"stopped; {left} of {len(work)} pictures are left; run it again to draw them.")
            return 130
        finally:
            bar.close()
    if unprinted:
        raise unprinted[0]
    if failed:
        return 2
    if len(first) > 1:
        columns = options.count if options.count > 1 else math.ceil(math.sqrt(len(first)))
        sheet = [(path, work[n][0], work[n][2]) for path, n in sorted(first.items(), key=_place)]
        grid = save_grid(sheet, columns, setup.settings)
        if not args.quiet:
            note(f"all together: {grid}")
    return 0


def _place(item: tuple[Path, int]) -> int:
    return item[1]


def read_prompts(source: str) -> list[tuple[str, str | Tensor]]:
    """Prompts with their labels: a text, the lines of a file or of stdin, or the rows (k, w) of a
    file of embeddings.
    """
    path = file_or_text(source, "")
    if path is None or not (path.suffix.lower() in ENDS or holds_embeddings(path)):
        return [(text, text) for text in read_texts(source)]
    found = read_embeddings(path)
    if len(found) != 1:
        words = ", ".join(one.word for one in found)
        raise PezError(
            f"{source} holds {len(found)} words ({words[:80]}), and a soft prompt is one; give it "
            "as --embedding and write them."
        )
    soft = joined(found[0])
    digest = hashlib.sha256(soft.numpy().tobytes()).hexdigest()[:12]
    return [(f"{path.stem} (soft {digest})", soft)]
