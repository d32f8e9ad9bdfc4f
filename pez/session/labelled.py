"""Labelled texts as the data of a search: examples, texts to choose by, texts to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pez.datasets.labelled import (
    HUB,
    Row,
    Split,
    draw_any,
    draw_rows,
    known_labels,
    numbered,
    read_labelled,
    texts_key,
)
from pez.errors import PezError
from pez.models.causal import Speaker
from pez.models.lines import check_words, contexts, cut_texts, frames
from pez.objectives.labels import Labelled, output_scale
from pez.session.classify_options import ClassifyOptions
from pez.session.items import Item


@dataclass(frozen=True)
class Texts:
    """Texts with their right labels, places among the label words."""

    texts: list[str]
    right: list[int]


@dataclass(frozen=True)
class Data:
    """What a search is given: ``train`` examples, ``valid`` to choose by, ``test`` to measure on;
    the ``labels`` as a user reads them and the ``words`` that stand for them. ``notes`` say what
    was left out and how labels are read.
    """

    name: str
    labels: tuple[str, ...]
    words: tuple[str, ...]
    train: Texts
    valid: Texts
    test: Texts
    key: str
    notes: tuple[str, ...]


def read_data(source: str | Sequence[tuple[str, str]], options: ClassifyOptions) -> Data:
    """Read and draw the texts of ``source``, a file, a name of :data:`pez.datasets.labelled.HUB`
    or pairs of text and label. PezError for bad input, as of :mod:`pez.datasets.labelled`.
    """
    notes: list[str] = []
    columns = options.text_column, options.label_column
    name = source if isinstance(source, str) else "the given texts"
    if isinstance(source, str):
        split = read_labelled(source, *columns)
        asked = options.names(options.labels) or known_labels(source)
    else:
        split, asked = _pairs(source), options.names(options.labels)
    notes += _left_out(split, name)
    right, own = numbered(split.rows, asked, name)
    labels = asked or tuple(own)
    words = options.names(options.label_words) or labels
    if len(words) != len(labels):
        raise PezError(f"--label-words has {len(words)} words for {len(labels)} labels.")
    if any(label.casefold() != there.casefold() for label, there in zip(labels, own, strict=True)):
        pairs = ", ".join(f"{there} is {label}" for there, label in zip(own, labels, strict=True))
        notes.append(f"the labels of {name}: {pairs}.")
    if other := sum(place < 0 for place in right):
        notes.append(f"{other} rows of {name} have other labels and are left out.")
    seed = options.data_seed
    train, valid = draw_rows(split.rows, right, (options.shots, options.validation), seed)
    if len(set(right[n] for n in valid)) < len(labels):
        raise PezError(
            f"{name} has too few rows for {options.shots} examples of each label and more to "
            "choose by; choose a smaller --shots."
        )
    apart = _test_split(source, options)
    if apart is None:
        rows, places = split.rows, right
        test = draw_any(rows, places, options.test_size, seed, [*train, *valid])
        if not test:
            raise PezError(f"{name} has no row left to measure on; choose a smaller --validation.")
    else:
        notes += _left_out(apart, options.test_file or f"the test split of {name}")
        seen = {split.rows[n].text for n in (*train, *valid)}
        rows = [row for row in apart.rows if row.text not in seen]
        places = _placed(rows, own)
        test = draw_any(rows, places, options.test_size, seed)
        if not test:
            raise PezError(f"{options.test_file or name} has no row with one of these labels.")
    parts = [[split.rows[n] for n in (*train, *valid)], [rows[n] for n in test]]
    key = texts_key([row for part in parts for row in part])
    return Data(
        name,
        labels,
        words,
        _texts(split.rows, right, train),
        _texts(split.rows, right, valid),
        _texts(rows, places, test),
        key,
        tuple(notes),
    )


def _pairs(source: Sequence[tuple[str, str]]) -> Split:
    rows: dict[Row, None] = {}
    for pair in source:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise PezError("data must be a file, a name, or pairs of text and label.")
        text, label = (str(part).strip() for part in pair)
        if text and label:
            rows[Row(text, label)] = None
    if not rows:
        raise PezError("data holds no text; give pairs of text and label.")
    return Split(list(rows), 0, len(source) - len(rows))


def _test_split(source: str | Sequence[tuple[str, str]], options: ClassifyOptions) -> Split | None:
    """The rows to measure on, where they are apart."""
    columns = options.text_column, options.label_column
    if options.test_file:
        return read_labelled(options.test_file, *columns)
    if isinstance(source, str) and source in HUB and known_labels(source):
        return read_labelled(source, *columns, split="test")
    return None


def _placed(rows: Sequence[Row], own: Sequence[str]) -> list[int]:
    place = {name: n for n, name in enumerate(own)}
    return [place.get(row.label, -1) for row in rows]


def _left_out(split: Split, name: str) -> list[str]:
    notes = []
    if split.empty:
        notes.append(f"{split.empty} rows of {name} without a text or a label are left out.")
    if split.copies:
        notes.append(f"{split.copies} rows of {name} are copies of others and are left out.")
    return notes


def _texts(rows: Sequence[Row], right: Sequence[int], places: Sequence[int]) -> Texts:
    return Texts([rows[n].text for n in places], [right[n] for n in places])


def fitted(speaker: Speaker, data: Data, options: ClassifyOptions) -> Data:
    """The data as the model can read them: texts cut to its context, which a note says. PezError
    for label words that it cannot tell apart.
    """
    (sample,) = contexts(speaker, options.wording, "", ["a"], data.words)
    notes = [check_words(sample.tails, data.words)]
    prompt = max(options.length, len(speaker.tokens.encode(options.prompt or "")))
    parts, cut = [], 0
    for part in (data.train, data.valid, data.test):
        texts, some = cut_texts(speaker, options.wording, part.texts, data.words, prompt)
        parts.append(replace(part, texts=texts))
        cut += some
    if cut:
        notes.append(f"{cut} texts are longer than {speaker.name} reads and were cut at their end.")
    train, valid, test = parts
    told = (*data.notes, *filter(None, notes))
    return replace(data, train=train, valid=valid, test=test, notes=told)


def labelled_item(speaker: Speaker, data: Data, options: ClassifyOptions) -> Item:
    """The examples as the goal of a search. Texts that the tokenizer joins with a prompt's words
    cannot be searched with; PezError if all are so.
    """
    found = frames(speaker, options.wording, data.train.texts, data.words)
    kept = [n for n, frame in enumerate(found) if frame is not None]
    if not kept:
        raise PezError(
            f"the tokenizer of {speaker.name} joins words of the prompt with what is beside them; "
            "put blanks around {prompt} in --template."
        )
    if options.fluency:
        output_scale(speaker)
    notes = data.notes
    if lost := len(found) - len(kept):
        notes = (*notes, f"{lost} examples are read joined with the prompt and are left out.")
    goal = Labelled(
        options.wording,
        data.words,
        [data.train.texts[n] for n in kept],
        [frame for frame in found if frame is not None],
        [data.train.right[n] for n in kept],
        options.fluency,
    )
    return Item(data.key, [data.name], goal, notes=notes)
