"""Originals beside the pictures drawn from the prompts found for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from pez.evaluation.report.pictures import Picture, load_picture
from pez.evaluation.report.rows import (
    NOT_SEARCHED,
    Row,
    by_dataset,
    by_setting,
    item_of,
    number,
    settings,
    unique,
)
from pez.evaluation.report.summary import has_prompt
from pez.evaluation.report.tables import against_text, written

SHOTS = 2  # pictures shown of one prompt
MOST_SHOTS = 6  # if each shows a different thing
MOST_BYTES = 24_000_000  # of all pictures: what a phone still opens


@dataclass(frozen=True)
class Card:
    """One prompt for an item, and the first pictures drawn from it."""

    name: str
    prompt: str
    soft: bool  # a soft prompt; the text is only the words nearest to its embeddings
    figures: tuple[str, ...]
    pictures: tuple[Picture, ...]
    more: int  # pictures that are not shown
    error: str


@dataclass(frozen=True)
class Exhibit:
    """One item: its original, or several, and a card for each setting."""

    dataset: str
    item: str
    caption: str
    originals: tuple[Picture, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Gallery:
    """The first items of each data set; ``left_out`` counts those not shown by setting."""

    exhibits: tuple[Exhibit, ...]
    total: int
    left_out: tuple[tuple[str, int], ...]
    everywhere: bool  # whether each setting has some that are not shown


def make_gallery(
    rows: Sequence[Row], folder: Path, items: int, most_bytes: int = MOST_BYTES
) -> Gallery:
    """The first ``items`` items, alternating between data sets, with their first seeds:
    nothing is hand-picked.

    ``folder`` is what the rows' paths are relative to. Fewer items are shown where their
    pictures would take more than ``most_bytes``.
    """
    order = settings(rows)
    many = len({s.search_model for s in order} - {NOT_SEARCHED}) > 1
    groups = {name: _by_item(group) for name, group in by_dataset(rows).items()}
    turns = zip_longest(*([(name, item) for item in group] for name, group in groups.items()))
    places = [place for place in chain.from_iterable(turns) if place]
    exhibits: list[Exhibit] = []
    shown: list[Row] = []
    room = most_bytes
    for name, item in places[:items]:
        mine = groups[name][item]
        exhibit = _exhibit(name, mine, order, folder, many)
        room -= _size(exhibit)
        if room < 0:
            break
        exhibits.append(exhibit)
        shown += mine
    left = []
    for setting, group in by_setting(rows).items():
        seen = {item_of(row) for row in by_setting(shown).get(setting, [])}
        left.append((setting.name(many), len({item_of(row) for row in group} - seen)))
    some = tuple((label, count) for label, count in left if count)
    return Gallery(tuple(exhibits), len(places), some, len(some) == len(left))


def _by_item(rows: Sequence[Row]) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(item_of(row), []).append(row)
    return found


def _exhibit(
    dataset: str, rows: Sequence[Row], order: Sequence[Any], folder: Path, many: bool
) -> Exhibit:
    first, groups = rows[0], by_setting(rows)
    item = str(first.get("item"))
    caption = str(first.get("caption") or "")
    sources = first.get("sources") or [first["source"]] * bool(first.get("source"))
    alt = f"original {item}" + (f": {caption}" if caption else "")
    originals = tuple(load_picture(folder / source, alt) for source in sources)
    cards = tuple(_card(s.name(many), item, groups[s], folder) for s in order if s in groups)
    return Exhibit(dataset, item, caption, originals, cards)


def _card(name: str, item: str, rows: Sequence[Row], folder: Path) -> Card:
    """The setting's first seed: its prompt, its first pictures and their scores."""
    mine = [row for row in rows if row.get("seed") == rows[0].get("seed")]
    things = {row["picture"]: _shows(row) for row in mine if row.get("picture")}
    paths = sorted(things, key=lambda path: _turn(path, things))  # each thing once, then repeats
    shots = max(SHOTS, min(MOST_SHOTS, len(set(things.values()))))
    alt = f"drawn from the prompt of {name} for {item}"
    pictures = tuple(
        load_picture(folder / path, f"{things[path]}, {alt}" if things[path] else alt)
        for path in paths[:shots]
    )
    figures = []
    for judge, against in unique((r["judge"], r.get("against")) for r in mine if r.get("judge")):
        for metric, word in (("similarity", "similarity"), ("text_score", "text score")):
            judged = [r for r in mine if (r.get("judge"), r.get("against")) == (judge, against)]
            values = [v for r in judged if (v := number(r.get(metric))) is not None]
            if values:
                mean = written(sum(values) / len(values), 3)
                word += f" {against_text(against)}" if against else ""
                figures.append(f"{word} {mean} ({judge})")
                break
    figures += _measured(mine)
    found = next((row for row in mine if has_prompt(row)), {})
    error = next((str(row["error"]) for row in mine if row.get("error")), "")
    return Card(
        name,
        str(found.get("prompt") or ""),
        bool(found.get("soft")),
        tuple(figures),
        pictures,
        len(paths[shots:]),
        error,
    )


def _measured(rows: Sequence[Row]) -> list[str]:
    """How many words of the prompt are right, where its picture ranks, and how it was changed."""
    found = [
        f"{row['right_words']} of {row['content_words']} content words right"
        for row in rows
        if row.get("right_words") is not None
    ]
    found += [
        f"rank {row['rank']} of {row['among']} ({row['judge']})"
        for row in rows
        if row.get("rank") is not None
    ]
    changed = [(row["against"], row["edited"]) for row in rows if row.get("edited")]
    return unique(found + [f"{against_text(against)}: {edited}" for against, edited in changed])


def _shows(row: Row) -> str:
    """What a picture of a prompt shows beside it: a thing, or an edit."""
    return str(row.get("thing") or (against_text(row["against"]) if row.get("edited") else ""))


def _turn(path: str, things: dict[str, str]) -> int:
    """How many pictures of the same thing come before this one."""
    listed = list(things)
    return sum(things[other] == things[path] for other in listed[: listed.index(path)])


def _size(exhibit: Exhibit) -> int:
    pictures = [p for card in exhibit.cards for p in card.pictures]
    pictures += exhibit.originals
    return sum(len(picture.uri) for picture in pictures)
