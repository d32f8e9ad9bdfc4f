"""``pez classify``: one prompt for labelled texts, and what it reaches."""

from __future__ import annotations

import argparse
from functools import cache

from pez.cli.inputs import read_options
from pez.cli.resume import note, resume
from pez.errors import PezError
from pez.session.classify_options import ClassifyOptions
from pez.session.classifying import classify_data
from pez.session.items import Failed
from pez.session.labelled import Data, read_data
from pez.session.session import Session, Watch


def run_classify(args: argparse.Namespace) -> int:
    """Read the texts before the model, search or measure, and print the prompt."""
    options = read_options(ClassifyOptions, args)
    if args.output_embeddings and options.prompt is not None:
        raise PezError("--output-embeddings is for a search; omit it, or --prompt.")

    @cache
    def data() -> Data:
        return read_data(args.data, options)

    def work(_todo: list[int], watch: Watch, _failed: Failed) -> None:
        texts = data()
        with watch.stop.at_once():
            session = Session.open(options)
        told = None if args.quiet else note
        watch.note = told
        classify_data(session, texts, watch)

    return resume(args, options, [args.data], lambda _, key: key == data().key, work)
