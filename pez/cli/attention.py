"""``pez attention``: a prompt in, a sheet of heat maps out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np

from pez.cli.generate import read_prompts
from pez.cli.inputs import read_options
from pez.cli.resume import note
from pez.cli.show import Bar
from pez.cli.streams import answer
from pez.errors import PezError
from pez.generation.options import GenerateOptions
from pez.generation.pipelines import open_painter
from pez.generation.spread import words_told
from pez.inspect.attention import Attention, attention
from pez.inspect.files import output_file, write_arrays, write_picture
from pez.inspect.heatmaps import draw_maps


def run_attention(args: argparse.Namespace) -> int:
    """Draw a prompt; the sheet's path on stdout."""
    options = read_options(GenerateOptions, args)
    sheet = output_file(args.output, "--output", ".png")
    arrays = output_file(args.arrays, "--arrays", ".npz") if args.arrays else None
    prompts = read_prompts(args.prompt)
    if len(prompts) != 1:
        raise PezError(f"{args.prompt} has {len(prompts)} prompts; give one alone.")
    label, prompt = prompts[0]
    painter = open_painter(options)
    if painter.words and not args.quiet:
        note(words_told(painter))
    bar = Bar(args.quiet)
    try:
        found = attention(prompt, painter=painter, progress=bar.draw, warn=note, options=options)
    finally:
        bar.close()
    records = [one.record() | {"prompt": label} for one in found]
    write_picture(draw_maps(found), sheet, {"attention": records}, "--output")
    if arrays:
        write_arrays(joined_arrays(found), {"attention": records}, arrays, "--arrays")
    if args.json:
        for record in records:
            paths = {"path": str(sheet)} | ({"arrays": str(arrays)} if arrays else {})
            answer(json.dumps(paths | record, ensure_ascii=False))
    else:
        answer(str(sheet))
    if not args.quiet:
        for record in records:
            pairs = zip(record["words"], record["shares"], strict=True)
            shares = ", ".join(f"{word} {share:.2%}" for word, share in pairs)
            note(f"seed {record['seed']}: mean share of the attention: {shares}.")
    return 0


def joined_arrays(found: Sequence[Attention]) -> dict[str, np.ndarray]:
    """The arrays of several pictures, each in a first dimension of its own; ``words`` have none."""
    each = [one.arrays() for one in found]
    out = {name: np.stack([one[name] for one in each]) for name in ("maps", "every", "picture")}
    return {"words": each[0]["words"], **out}
