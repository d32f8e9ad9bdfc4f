"""Labelled texts as items of a plan: drawn once and stored in the run's folder as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from typing import Any

from pez.errors import PezError
from pez.evaluation.entries import known_name
from pez.evaluation.plan_entries import Data
from pez.evaluation.store import Store
from pez.evaluation.units import Original
from pez.formats.documents import as_json
from pez.session.classify_options import ClassifyOptions
from pez.session.labelled import Data as Drawn
from pez.session.labelled import Texts, read_data

SUFFIX = ".json"
# options of pez classify that say which texts are read; label words belong to the task
OPTIONS = ("labels", "text_column", "label_column", "test_file")
OPTIONS += ("shots", "validation", "test_size")


def draw_options(data: Data) -> ClassifyOptions:
    """How the texts of ``data`` are drawn. PezError for options that do not say that, and for
    entries of data sets of pictures.
    """
    for name in data.options:
        known_name(name, OPTIONS, f"options of the data set {data.dataset}")
    usual = Data()
    for name in ("split", "count", "manifest", "group", "last", "training"):
        if getattr(data, name) != getattr(usual, name):
            raise PezError(f"data.{name} is for pictures; {data.dataset} is of labelled texts.")
    if not data.dataset:
        raise PezError("the labelled texts have no name; write dataset = NAME below [data].")
    return ClassifyOptions(**data.options, data_seed=data.seed)


def keep_labelled(data: Data, store: Store) -> Original:
    """Draw the texts of ``data``, a file at its ``path`` or a data set of the hub, into the store.
    PezError for bad input, as :func:`pez.session.labelled.read_data` raises it.
    """
    drawn = read_data(data.path or data.dataset, draw_options(data))
    content = as_bytes(replace(drawn, name=data.dataset))
    sha256 = hashlib.sha256(content).hexdigest()
    file = store.put_original(content, sha256, SUFFIX)
    return Original(data.dataset, "", data.dataset, sha256, file, "", "", data.seed)


def as_bytes(data: Drawn) -> bytes:
    """Drawn texts as JSON."""
    return json.dumps(asdict(data), ensure_ascii=False, sort_keys=True).encode()


def from_bytes(content: bytes, words: tuple[str, ...] = ()) -> Drawn:
    """Drawn texts from JSON, with ``words`` that stand for the labels, else the labels' names.
    PezError for damaged ones, and for another number of words.
    """
    try:
        row: dict[str, Any] = as_json(content.decode())
        row |= {name: tuple(row[name]) for name in ("labels", "words", "notes")}
        row |= {name: Texts(**row[name]) for name in ("train", "valid", "test")}
        data = Drawn(**{field.name: row[field.name] for field in fields(Drawn)})
    except (ValueError, KeyError, TypeError):
        raise PezError("the stored texts were lost or damaged; run the plan again.") from None
    if words and len(words) != len(data.labels):
        raise PezError(
            f"task.label_words has {len(words)} words for the {len(data.labels)} labels of "
            f"{data.name}."
        )
    return replace(data, words=words or data.labels)
