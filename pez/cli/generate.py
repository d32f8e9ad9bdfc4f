"""``pez generate``: prompts in, PNG files out; existing files are not drawn again."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from os.path import isdir
from pathlib import Path

from PIL import Image
from torch import Tensor

from pez.cli.again import take_from
from pez.cli.each_picture import by_picture, opener, with_picture
from pez.cli.inputs import read_options, read_texts
from pez.cli.resume import note
from pez.cli.show import Bar
from pez.cli.streams import Unprinted, answer
from pez.errors import PezError
from pez.files import output_path, user_path
from pez.files.lock import Lock
from pez.formats.embeddings import ENDS, joined, read_embeddings
from pez.formats.prompts import file_or_text
from pez.generation.files import (
    ENDINGS,
    check_picture,
    is_drawn,
    make_folder,
    picture_key,
    picture_path,
    save_caption,
    save_grid,
    save_picture,
)
from pez.generation.names import check_pattern, made_name
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.generation.pipelines import Setup, make_setup, open_painter
from pez.generation.spread import Wanted, draw_spread, words_told
from pez.generation.wildcards import drawn_by_lot
from pez.session.embeddings import holds_embeddings
from pez.workers.choose import Workers, read_workers


def run(args: argparse.Namespace) -> int:
    """Draw every prompt from every seed; print each picture's path as soon as it is written."""
    prompts: list[tuple[str, str | Tensor]] = []
    pattern = check_pattern(args.name, ENDINGS[args.format]) if args.name else ""
    if args.source is not None:
        text = take_from(args)
        prompts = [(text, text)]
    options = read_options(GenerateOptions, args)
    workers = read_workers(args.workers)
    if options.image and isdir(user_path(options.image)):
        return _each(args, options, workers, pattern)
    prompts += [prompt for source in args.prompts for prompt in read_prompts(source)]
    if not prompts:
        raise PezError("there is nothing to draw; give a prompt, a file of prompts, or --from.")
    setup = make_setup(options)
    folder = output_path(args.output)
    make_folder(folder)
    with ExitStack() as locks:
        return _run(args, options, workers, _work(prompts, options), setup, folder, pattern, locks)


def _each(
    args: argparse.Namespace, options: GenerateOptions, workers: Workers, pattern: str
) -> int:
    """:func:`run` where each prompt of a file has a picture of its own in a folder."""
    if args.source is not None:
        raise PezError("--from draws one picture again; with it --image is a picture.")
    found = by_picture(args.prompts, options.image)
    if not found:
        raise PezError(
            f"--image {options.image} is a folder; give a file of prompts, or a picture."
        )
    if workers.several:
        note("--workers has no effect where --image is a folder.")
    folder = output_path(args.output)
    make_folder(folder)
    work = []
    for picture, texts in found.items():  # all are looked at before the first is drawn
        own = with_picture(options, picture)
        work.append((own, make_setup(own), _work([(text, text) for text in texts], own)))
    opened, worst = opener(), 0
    for own, setup, pictures in work:
        with ExitStack() as locks:
            code = _run(args, own, Workers(), pictures, setup, folder, pattern, locks, opened)
        if code == 130:
            return code
        worst = max(worst, code)
    return worst


@dataclass(frozen=True, eq=False)
class _Picture:
    """One to draw: ``label`` names its prompt, as it is drawn; ``typed`` is what was typed, with
    what is left to the lot.
    """

    label: str
    prompt: str | Tensor
    seed: int
    typed: str


def _work(prompts: list[tuple[str, str | Tensor]], options: GenerateOptions) -> list[_Picture]:
    """The pictures of all prompts, each with its own variant of what is left to the lot."""
    work = []
    for label, prompt in prompts:
        for seed in options.seeds:
            said = prompt
            if isinstance(prompt, str) and not options.literal:
                said = drawn_by_lot(prompt, seed, options.wildcards)
            work.append(_Picture(said if isinstance(said, str) else label, said, seed, label))
    return work


def _paths(work: list[_Picture], folder: Path, setup: Setup, pattern: str, end: str) -> list[Path]:
    """Where each picture goes. PezError if two of them would have one name."""
    own = setup.settings
    if not pattern:
        return [picture_path(folder, one.label, one.seed, own, end) for one in work]
    keys = [picture_key(one.label, one.seed, own) for one in work]
    paths = [
        folder / f"{made_name(pattern, one.label, one.seed, n, key, own)}{end}"
        for n, (one, key) in enumerate(zip(work, keys, strict=True), 1)
    ]
    held: dict[Path, str] = {}
    for path, key in zip(paths, keys, strict=True):
        if held.setdefault(path, key) != key:
            raise PezError(
                f"--name gives {path.name} to two pictures; add {{seed}}, {{n}} or {{key}}."
            )
    return paths


def _run(
    args: argparse.Namespace,
    options: GenerateOptions,
    workers: Workers,
    work: list[_Picture],
    setup: Setup,
    folder: Path,
    pattern: str,
    locks: ExitStack,
    opened: Callable[[GenerateOptions], Painter] | None = None,
) -> int:
    """:func:`run` in its folder, which is locked if there is something to draw."""
    paths = _paths(work, folder, setup, pattern, ENDINGS[args.format])

    def look() -> list[bool]:
        pairs = zip(paths, work, strict=True)
        return [is_drawn(path, one.label, one.seed, setup.settings) for path, one in pairs]

    ready = look()
    if not all(ready):
        locks.enter_context(Lock(folder, folder=True))
        ready = look()  # another run may just have ended
        for path in {path for path, drawn in zip(paths, ready, strict=True) if not drawn}:
            check_picture(path, bool(pattern))
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
                one = work[shown]
                row = {"path": str(paths[shown]), "prompt": one.label, "seed": one.seed}
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
            one = work[n]
            save_picture(picture, paths[n], one.label, one.seed, setup.settings, one.typed)
            if args.txt:
                save_caption(paths[n], one.label, setup.settings)
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

        wanted = [
            Wanted(place, work[n].prompt, work[n].seed, work[n].label)
            for place, n in enumerate(todo)
        ]
        try:
            if workers.several:
                progress = bar.draw if bar.shown else None
                draw_spread(workers, options, wanted, save, fail, note, progress, args.quiet)
            else:
                painter = (opened or open_painter)(options)
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
        sheet = [
            (path, work[n].label, work[n].seed) for path, n in sorted(first.items(), key=_place)
        ]
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
