"""The verbs of the command line: each reads input, calls the function and prints."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pez.api import score as score_prompts
from pez.api import search_mixes, search_pictures, search_texts
from pez.cli.inputs import read_options, read_texts
from pez.cli.pictures import STDIN, Pictures, Pipes
from pez.cli.resume import note, resume
from pez.cli.spread import search_spread
from pez.cli.streams import answer
from pez.errors import PezError
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.session.items import Failed
from pez.session.session import Session, Watch, open_reader
from pez.sources import Source, mix_key, mix_parts, source_name, text_key
from pez.workers.choose import Workers, read_workers


def invert(args: argparse.Namespace) -> int:
    """``pez invert``."""
    options = read_options(InvertOptions, args)
    workers = read_workers(args.workers)
    pipes = Pipes()
    sources = pipes.sources(args.sources)
    each = [source_name(source, n + 1) for n, source in enumerate(sources)]
    names = ["\n".join(each)] if options.together else each
    groups: list[list[Source]] = [sources] if options.together else [[s] for s in sources]
    pictures = Pictures()

    def same(n: int, key: str) -> bool:
        return pictures.same(groups[n], key, options.together)

    def work(todo: list[int], watch: Watch, failed: Failed) -> None:
        if _spread(workers, todo, watch, options.together):
            chosen = [each[n] for n in todo]
            search_spread(workers, options, chosen, watch, _by_text(failed), pipes.data)
            return
        some = [groups[n] for n in todo]
        watch = replace(watch, failed=failed if len(names) > 1 else None)
        with watch.stop.at_once():
            session = Session.open(options)
        search_pictures(session, some, watch, read=pictures.read, free=True)

    return resume(args, options, names, same, work, pictures=True)


def distill(args: argparse.Namespace) -> int:
    """``pez distill``."""
    options = read_options(DistillOptions, args)
    workers = read_workers(args.workers)
    texts = read_texts(args.text)

    def work(todo: list[int], watch: Watch, failed: Failed) -> None:
        chosen = [texts[n] for n in todo]
        watch = replace(watch, failed=failed if len(texts) > 1 else None)
        if _spread(workers, todo, watch):
            search_spread(workers, options, chosen, watch, _by_text(failed))
            return
        with watch.stop.at_once():
            session = Session.open(options)
        session.reader.free_vision()
        search_texts(session, chosen, watch, note)

    return resume(args, options, texts, lambda n, key: key == text_key(texts[n]), work)


def _spread(workers: Workers, todo: list[int], watch: Watch, together: bool = False) -> bool:
    """Whether there is work to distribute; a note where ``--workers`` has no effect."""
    if not workers.several:
        return False
    if not together and (workers.ray or len(todo) > 1):
        return True
    if watch.note:
        watch.note("--workers has no effect: one prompt is searched, in this process.")
    return False


def _by_text(failed: Failed) -> Callable[[int, str], None]:
    """``failed`` for callers that have the reason as text."""
    return lambda place, why: failed(place, PezError(why))


def mix(args: argparse.Namespace) -> int:
    """``pez mix``."""
    options = read_options(MixOptions, args)
    parts = mix_parts(options.image, options.text, options.negative, Pipes().read)

    def work(_todo: list[int], watch: Watch, _failed: Failed) -> None:
        with watch.stop.at_once():
            session = Session.open(options)
        search_mixes(session, [parts], watch, free=True, warn=note)

    names = ["\n".join(name for _, _, name in parts)]
    return resume(args, options, names, lambda _, key: key == mix_key(parts), work)


def classify(args: argparse.Namespace) -> int:
    """``pez classify``."""
    from pez.cli.classify import run_classify

    return run_classify(args)


def score(args: argparse.Namespace) -> int:
    """``pez score``: a line for each prompt, the cosine and the prompt."""
    options = _model_options(args)
    if args.image == STDIN and STDIN in args.prompts:
        raise PezError("standard input holds the picture or the prompts; give a file for one.")
    picture = Pipes().source(args.image)
    prompts = [prompt for source in args.prompts for prompt in read_texts(source)]
    reader = open_reader(options)
    values = score_prompts(picture, prompts, reader=reader, warn=note)
    for prompt, value in zip(prompts, values, strict=True):
        if args.json:
            row = {"prompt": prompt, "score": value, "model": reader.name, "image": args.image}
            answer(json.dumps(row, ensure_ascii=False))
        else:
            answer(f"{value:.4f}  {prompt}")
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
    """``pez tokens``: a line for each token; chunks, and those beyond the limit, are marked."""
    from pez.cli.tokens import show_tokens
    from pez.models import model_tokens

    texts = read_texts(args.text)
    known = model_tokens(args.model)
    for text in texts:
        show_tokens(text, known, args.json)
    return 0


def explain(args: argparse.Namespace) -> int:
    """``pez explain``: what each word of a prompt adds."""
    from pez.cli.looks import run_explain

    return run_explain(args, _model_options(args))


def neighbours(args: argparse.Namespace) -> int:
    """``pez neighbours``: the nearest tokens, and a map of them."""
    from pez.cli.looks import run_neighbours

    return run_neighbours(args, _model_options(args))


def models(args: argparse.Namespace) -> int:
    """``pez models``: shipped models, generators, every open_clip name, and other judges."""
    from pez.evaluation.judges import judge_rows
    from pez.models.families import catalogue

    for row in [*catalogue(), *judge_rows()]:
        if args.json:
            answer(json.dumps(row))
        else:
            answer(f"{row['name']:<44} {row['note']}")
    return 0


def methods(args: argparse.Namespace) -> int:
    """``pez methods``: what each does, its paper and its options with their defaults."""
    from pez.methods import METHODS, method_class
    from pez.methods.settings import defaults

    for name, (_, text) in METHODS.items():
        method = method_class(name)
        options = defaults(method)
        if args.json:
            notes = (sys.modules[method.__module__].__doc__ or "").strip()
            row = {"name": name, "about": text, "options": options, "notes": notes}
            answer(json.dumps(row, ensure_ascii=False))
            continue
        answer(f"{name:<12} {text}")
        listed = [f"{k}={_listed(v)}" for k, v in options.items()]
        for line in textwrap.wrap("  ".join(listed), 86, break_on_hyphens=False):
            answer(f"{'':<12} {line}")
    return 0


def comfy(args: argparse.Namespace) -> int:
    """``pez comfy``: the folder with the nodes."""
    from pez.comfy.install import install

    answer(str(install(args.folder)))
    note("start ComfyUI again; the nodes are under pez, an example under its templates.")
    return 0


def datasets(args: argparse.Namespace) -> int:
    """``pez datasets``."""
    from pez.datasets import DATASETS

    for name, (_, text) in DATASETS.items():
        answer(json.dumps({"name": name, "about": text}) if args.json else f"{name:<12} {text}")
    return 0


def generate(args: argparse.Namespace) -> int:
    """``pez generate``: pictures of prompts."""
    from pez.cli.generate import run as draw

    return draw(args)


def attention(args: argparse.Namespace) -> int:
    """``pez attention``: where in a picture each word is attended to."""
    from pez.cli.attention import run_attention

    return run_attention(args)


def _listed(value: Any) -> str:
    """A default as ``--set`` takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def evaluate(args: argparse.Namespace) -> int:
    """``pez evaluate``."""
    from pez.cli.evaluate import run_evaluate

    return run_evaluate(args)


def similarity(args: argparse.Namespace) -> int:
    """``pez similarity``: a cosine (for lpips 1 - distance)."""
    from pez.cli.evaluate import run_similarity

    return run_similarity(args)


def report(args: argparse.Namespace) -> int:
    """``pez report``: the page's path on stdout."""
    from pez.evaluation.report import report as write_report

    done = write_report(args.folder, output=args.output, baseline=args.baseline, items=args.items)
    answer(str(done.page))
    note(f"beside it {', '.join(path.name for path in done.files[1:])}")
    for line in done.notes:
        note(line)
    return 0


def serve(args: argparse.Namespace) -> int:
    """``pez serve``: the page's address on stdout; it runs until Ctrl-C."""
    import webbrowser

    from pez.web.options import ServeOptions
    from pez.web.server import serve as serve_page

    options = ServeOptions(
        host=args.host,
        port=args.port,
        password=args.password,
        model=tuple(args.model or ()),
        generator=tuple(args.generator or ()),
        control_model=args.control_model,
        device=args.device,
        dtype=args.dtype,
    )

    def ready(address: str) -> None:
        answer(address)
        note("the page is there; Ctrl-C ends it.")
        if args.open:
            webbrowser.open(address)

    serve_page(options, ready)
    return 0


def demo(args: argparse.Namespace) -> int:
    """``pez demo``."""
    from pez.cli.demo import run_demo

    return run_demo(Path(args.output), args.seed)
