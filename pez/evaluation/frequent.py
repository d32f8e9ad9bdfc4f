"""The baseline ``frequent``: the same words for every picture, those that captions use most.

Whoever counts right words must know how many come from knowing what photographs usually show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pez.errors import PezError
from pez.evaluation.lemmas import content_words, lemma, words
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data
from pez.evaluation.units import Original
from pez.files import user_path
from pez.formats.documents import read_json
from pez.formats.tables import read_table
from pez.formats.text import read_text

FREQUENT = "frequent"
_FILES = (".txt", ".csv", ".tsv", ".json")
_GIVE = "give captions as .txt (one a line), .csv or .tsv (a column caption), or COCO's .json"


def frequent_words(plan: Plan, originals: Sequence[Original]) -> dict[tuple[str, str], str]:
    """The ``plan.frequent`` most frequent content words of the training captions of each data set
    and split, between commas. PezError for captions that cannot be read.

    Captions that the plan's own pictures have are left out.
    """
    own = {text.strip() for original in originals for text in original.captions}
    found: dict[tuple[str, str], str] = {}
    known: dict[tuple[str, str, str], str] = {}
    for data in plan.data:
        name = data.dataset, data.path, data.training
        if name not in known:
            texts = (text for text in training_captions(data) if text.strip() not in own)
            known[name] = ", ".join(most_frequent(texts, plan.frequent))
        if not known[name]:
            raise PezError(f"{data.training} holds no words beside the plan's own; {_GIVE}.")
        for split in data.split:
            if found.setdefault((data.dataset, split), known[name]) != known[name]:
                where = f"{data.dataset} {split}".strip()
                raise PezError(f"the plan names two different training captions for {where}.")
    return found


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
