"""``pez explain`` and ``pez neighbours``: what words add, and what is near them."""

from __future__ import annotations

import argparse
import json

from pez.cli.inputs import read_texts
from pez.cli.pictures import STDIN, Pipes
from pez.cli.resume import note
from pez.cli.streams import answer
from pez.errors import PezError
from pez.files import check_own
from pez.inspect.bars import draw_bars, footer
from pez.inspect.explain import COLUMNS, Explanation
from pez.inspect.files import (
    output_file,
    table_of,
    write_picture,
    write_rows,
)
from pez.inspect.map import draw_map, space_around
from pez.inspect.near import nearest_tokens, word_id
from pez.options import SearchOptions
from pez.session.looks import each_reader, explain
from pez.session.session import reader_vocabulary


def run_explain(args: argparse.Namespace, options: SearchOptions) -> int:
    """A table of what each word adds; bars and a CSV if they are asked for."""
    if args.image == STDIN and args.prompt == STDIN:
        raise PezError("standard input holds the picture or the prompt; give a file for one.")
    bars = output_file(args.output, "--output", ".png") if args.output else None
    table = output_file(args.csv, "--csv", ".csv") if args.csv else None
    if table:
        check_own(table, table_of(COLUMNS), "choose another --csv")
    target = one_text(args.image, "a text") if args.text else Pipes().source(args.image)
    prompt = one_text(args.prompt, "a prompt")
    readers = each_reader(None, options)
    found = explain(target, prompt, text=args.text, margin=args.margin, reader=readers, warn=note)
    if args.json:
        answer(found.to_json())
    else:
        for line in lines_of(found):
            answer(line)
        note(footer(found))
    if table:
        write_rows(COLUMNS, found.rows(), table, "--csv")
    if bars:
        write_picture(draw_bars(found), bars, found.record(), "--output")
    return 0


def one_text(source: str, what: str) -> str:
    """The only text that a word of the command line or a file gives. PezError for several."""
    texts = read_texts(source)
    if len(texts) != 1:
        raise PezError(f"{source} has {len(texts)} texts; give {what} alone.")
    return texts[0]


def lines_of(found: Explanation) -> list[str]:
    """The table of an explanation: numbers first, as words may be long."""
    several = len(found.models) > 1
    names = [f"{model[:18]:>18}" for model in found.models] if several else []
    heads = [f"{'adds':>8}{'gradient':>10}"] * len(found.models)
    out = ["".join(names) + f"{'mean':>9}"] if several else []
    out.append("".join(heads) + (f"{'adds':>9}" if several else "") + "  word")
    for word in found.words:
        cells = [f"{view.adds:8.4f}{view.gradient:10.4f}" for view in word.views]
        mean = f"{word.adds:9.4f}" if several else ""
        unread = not any(view.reads for view in word.views)
        mark = "   not read" if unread else "   redundant" if word.redundant else ""
        out.append(f"{''.join(cells)}{mean}  {word.word}{mark}")
    scores = [f"{score:8.4f}{'':10}" for score in found.scores]
    mean = f"{found.score:9.4f}" if several else ""
    return [*out, f"{''.join(scores)}{mean}  = score"]


def run_neighbours(args: argparse.Namespace, options: SearchOptions) -> int:
    """Id, cosine and word of the nearest tokens; of several words or models each its own."""
    place = output_file(args.map, "--map", ".png") if args.map else None
    if args.top < 1:
        raise PezError(f"--top must be a whole number, 1 or more, not {args.top}.")
    readers = each_reader(None, options)
    words = list(dict.fromkeys(args.word))
    several = len(words) > 1 or len(readers) > 1
    vocabularies = [reader_vocabulary(reader, options, note) for reader in readers]
    pairs = list(zip(readers, vocabularies, strict=True))
    ids = {(reader.name, word): word_id(reader, word) for reader in readers for word in words}
    rows = []
    for word in words:
        for reader, vocabulary in pairs:
            for near in nearest_tokens(vocabulary, ids[reader.name, word], args.top):
                row = {"id": near.id, "token": near.token, "cosine": near.cosine}
                more = {"word": word, "model": reader.name} if several else {}
                rows.append(row | more)
    wide = [max(len(str(row.get(name, ""))) for row in rows) for name in ("word", "model")]
    for row in rows:
        if args.json:
            answer(json.dumps(row, ensure_ascii=False))
            continue
        begins = f"{row['word']:<{wide[0]}}  {row['model']:<{wide[1]}}  " if several else ""
        answer(f"{begins}{row['id']:6d}  {row['cosine']:.4f}  {row['token']}")
    if place:
        spaces = [space_around(reader, v, words, args.top) for reader, v in pairs]
        record = {"words": words, "top": args.top, "models": [space.model for space in spaces]}
        write_picture(draw_map(spaces), place, record, "--map")
    return 0
