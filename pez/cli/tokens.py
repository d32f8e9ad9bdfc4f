"""``pez tokens``: how a text is split into tokens and chunks, and what no model reads of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pez.cli.colour import BOLD, FAINT, LOST, TURNS, answer_painted, colours_wanted, paint
from pez.cli.resume import note
from pez.cli.streams import answer
from pez.inspect.words import chunk_ranges
from pez.search.tokens import Tokens


def show_tokens(text: str, known: Tokens, as_json: bool) -> None:
    """A line for each token, coloured on a terminal, where the text follows with its tokens."""
    ids = known.encode(text)
    chunks = chunk_ranges(known.encode, text, known.limit)
    pieces = [known.decode([i]) for i in ids]
    if as_json:
        back = known.encode(known.decode(ids)) == ids if ids else True
        row = {"text": text, "ids": ids, "tokens": pieces, "count": len(ids)}
        row |= {"limit": known.limit, "read": known.decode(ids[: known.limit]), "round_trip": back}
        row["chunks"] = [[chunk.start, chunk.stop] for chunk in chunks]
        answer(json.dumps(row, ensure_ascii=False))
        return
    coloured = colours_wanted()
    begins = {chunk.start: n for n, chunk in enumerate(chunks, 1) if n > 1}
    for n, (i, piece) in enumerate(zip(ids, pieces, strict=True)):
        marks = [f"chunk {begins[n]} begins"] if n in begins else []
        marks += ["falls off"] if n >= known.limit else []
        mark = f"   <- {', '.join(marks)}" if marks else ""
        if not coloured:
            answer(f"{n + 1:4d}  {i:6d}  {piece}{mark}")
            continue
        word = paint(piece, LOST if n >= known.limit else TURNS[n % 2])
        answer_painted(f"{paint(f'{n + 1:4d}  {i:6d}', FAINT)}  {word}{paint(mark, FAINT)}")
    if coloured:
        for line in painted_chunks(ids, chunks, known):
            answer_painted(line)
    note(f"{len(ids)} tokens; the model reads at most {known.limit}.")
    if len(ids) > known.limit:
        spans = ", ".join(f"{chunk.start + 1}-{chunk.stop}" for chunk in chunks)
        note(f"pez generate reads {len(chunks)} chunks where it can: tokens {spans}.")
        note(f"falls off: {known.decode(ids[known.limit :])}")


def painted_chunks(ids: list[int], chunks: list[range], known: Tokens) -> Iterator[str]:
    """Each chunk as text, its tokens in two colours by turns; struck through beyond the limit."""
    for n, chunk in enumerate(chunks, 1):
        if not len(chunk):
            return
        yield paint(f"chunk {n}: tokens {chunk.start + 1} to {chunk.stop}", BOLD)
        line, before = "", ""
        for place in chunk:
            now = known.decode(ids[chunk.start : place + 1])
            piece = (
                now[len(before) :] if now.startswith(before) else f" {known.decode([ids[place]])}"
            )
            line += paint(piece, LOST if place >= known.limit else TURNS[place % 2])
            before = now
        yield line
