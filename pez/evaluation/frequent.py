"""The baseline ``frequent``: the same words for every picture, those that captions use most.

Whoever counts right words must know how many come from knowing what photographs usually show.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pez.errors import PezError
from pez.evaluation.lemmas import content_words, lemma, words
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data
from pez.evaluation.store import Record, Store
from pez.evaluation.units import Original, Unit
from pez.files import user_path
from pez.formats.documents import read_json
from pez.formats.tables import read_table
from pez.formats.text import read_text

FREQUENT = "frequent"
VERSION = 1  # of the lemmas and function words: a new one counts anew
_FILES = (".txt", ".csv", ".tsv", ".json")
_GIVE = "give captions as .txt (one a line), .csv or .tsv (a column caption), or COCO's .json"


def with_frequent(plan: Plan, originals: Sequence[Original], store: Store) -> list[Original]:
    """Items with the ``plan.frequent`` most frequent content words of the training captions of
    their data set, between commas, if the plan asks for them; the run's folder keeps the words.

    Captions that the plan's own pictures have are left out. PezError for captions that cannot be
    read.
    """
    found: dict[tuple[str, str], str] = {}
    for data, unit in _units(plan, originals):
        record = store.get(unit.kind, unit.key)
        words = record.out.get("words") if record else None
        if not isinstance(words, str) or not words:
            words = _read(data, plan.frequent, _own(originals))
            store.put(Record(unit.kind, unit.key, unit.spec, {"words": words}))
        for split in data.split:
            if found.setdefault((data.dataset, split), words) != words:
                where = f"{data.dataset} {split}".strip()
                raise PezError(f"the plan names two different training captions for {where}.")
    return [replace(o, frequent=found.get((o.dataset, o.split), "")) for o in originals]


def knows_frequent(plan: Plan, originals: Sequence[Original], store: Store) -> bool:
    """Whether :func:`with_frequent` needs to read no captions."""
    return all(store.get(unit.kind, unit.key) for _, unit in _units(plan, originals))


def _units(plan: Plan, originals: Sequence[Original]) -> Iterator[tuple[Data, Unit]]:
    """What decides the words of each data set; nothing if the plan does not ask for them."""
    own = hashlib.sha256("\0".join(sorted(_own(originals))).encode(errors="surrogatepass"))
    for data in plan.data if FREQUENT in plan.baselines else ():
        spec = {"dataset": data.dataset, "path": data.path, "training": data.training}
        spec |= {"count": plan.frequent, "without": own.hexdigest(), "version": VERSION}
        yield data, Unit(FREQUENT, spec)


def _own(originals: Sequence[Original]) -> set[str]:
    return {text.strip() for original in originals for text in original.captions}


def _read(data: Data, count: int, own: set[str]) -> str:
    texts = (text for text in training_captions(data) if text.strip() not in own)
    words = ", ".join(most_frequent(texts, count))
    if not words:
        raise PezError(f"{data.training} holds no words beside the plan's own; {_GIVE}.")
    return words


def most_frequent(captions: Iterable[str], count: int) -> list[str]:
    """The content words that occur in most captions, each in its most frequent form; in case of
    ties in alphabetical order.
    """
    lemmas: Counter[str] = Counter()
    forms: dict[str, Counter[str]] = {}
    for caption in captions:
        lemmas.update(content_words(caption))
        for word in words(caption):
            forms.setdefault(lemma(word), Counter())[word] += 1

    def first(counted: Counter[str], most: int) -> list[str]:
        return sorted(counted, key=lambda word: (-counted[word], word))[:most]

    return [first(forms[word], 1)[0] for word in first(lemmas, count)]


def training_captions(data: Data) -> Iterator[str]:
    """The captions in the file ``data.training``, or of that split of the data set."""
    from pez.datasets import open_dataset

    file = user_path(data.training)
    if file.suffix.lower() not in _FILES:
        for item in open_dataset(data.dataset, split=data.training, path=data.path):
            yield from item.captions
    elif file.suffix.lower() == ".txt":
        yield from read_text(file, _GIVE).splitlines()
    elif file.suffix.lower() == ".json":
        yield from _of_coco(file)
    elif file.suffix.lower() == ".tsv":  # lists of captions rarely quote as CSV does
        lines = [line.split("\t") for line in read_text(file, _GIVE).splitlines()]
        place = _column(lines[0] if lines else (), file)
        yield from (cells[place] for cells in lines[1:] if len(cells) > place)
    else:
        rows = read_table(file, _GIVE)
        _column(list(next(rows)[1]), file)
        yield from (row["caption"] for _, row in rows)


def _column(names: Sequence[str], file: Path) -> int:
    """The place of the column of captions."""
    if "caption" not in names:
        raise PezError(f"{file} has no column caption; {_GIVE}.")
    return names.index("caption")


def _of_coco(file: Path) -> Iterator[str]:
    """The captions in ``{"annotations": [{"caption": ...}]}``."""
    whole = read_json(file, _GIVE)
    told = whole.get("annotations") if isinstance(whole, dict) else None
    for row in told if isinstance(told, list) else ():
        if isinstance(row, dict) and isinstance(row.get("caption"), str):
            yield row["caption"]
