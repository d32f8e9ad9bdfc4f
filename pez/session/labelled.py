"""Labelled texts as the data of a search: examples, texts to choose by, texts to measure on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pez.datasets.labelled import (
    Row,
    Split,
    draw_any,
    draw_rows,
    given_labelled,
    known_labels,
    read_labelled,
    texts_key,
)
from pez.datasets.labels import numbered, placed
from pez.errors import PezError
from pez.models.causal import Speaker
from pez.models.lines import check_words, contexts, cut_texts, frames
from pez.objectives.labels import Labelled, output_scale
from pez.session.classify_options import ClassifyOptions
from pez.session.given import given_prompt
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


def read_data(source: str | Iterable[Any], options: ClassifyOptions) -> Data:
    """Read and draw the texts of ``source``, a file, a name of :data:`pez.datasets.labelled.HUB`
    or rows of :func:`pez.datasets.labelled.given_labelled`. PezError for bad input, as there.
    """
    columns = options.text_column, options.label_column
    name, asked = "the given texts", options.names(options.labels)
    if isinstance(source, str):
        name, asked = source, asked or known_labels(source)
        split = read_labelled(source, *columns)
    else:
        split = given_labelled(source, *columns)
    right, own = numbered(split.rows, asked, name)
    labels = asked or tuple(own)
    words = options.names(options.label_words) or labels
    notes: list[str] = []
    if len(words) != len(labels):
        raise PezError(f"--label-words has {len(words)} words for {len(labels)} labels.")
    if any(label.casefold() != there.casefold() for label, there in zip(labels, own, strict=True)):
        pairs = ", ".join(f"{there} is {label}" for there, label in zip(own, labels, strict=True))
        notes.append(f"the labels of {name}: {pairs}.")
    seed = options.data_seed
    train, valid = draw_rows(split.rows, right, (options.shots, options.validation), seed)
    if len(set(right[n] for n in valid)) < len(labels):
        raise PezError(
            f"{name} has too few rows for {options.shots} examples of each label and more to "
            "choose by; choose a smaller --shots."
        )
    seen = {split.rows[n].text for n in (*train, *valid)}
    apart = _test_split(source, options)
    if apart is None:
        rows, places = split.rows, right
        known = [n for n, row in enumerate(rows) if row.text in seen]
        notes += _left_out(split, right, name, len(known) - len(train) - len(valid))
        test = draw_any(rows, places, options.test_size, seed, known)
        if not test:
            raise PezError(f"{name} has no row left to measure on; choose a smaller --validation.")
    else:
        where = options.test_file or f"the test split of {name}"
        rows = [row for row in apart.rows if row.text not in seen]
        there = {row.label.casefold() for row in apart.rows}
        called = labels if there.isdisjoint(map(str.casefold, own)) else own  # 0, or what 0 is
        places = placed(rows, called)
        known = len(apart.rows) - len(rows)
        notes += _left_out(split, right, name) + _left_out(apart, places, where, known)
        test = draw_any(rows, places, options.test_size, seed)
        if not test:
            why = "no text that is not searched with or chosen by"
            if there.isdisjoint(map(str.casefold, called)):
                why = f"no row with one of the labels {', '.join(own)}"
            raise PezError(f"{where} has {why}; name another --test-file.")
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


def _test_split(source: Any, options: ClassifyOptions) -> Split | None:
    """The rows to measure on, where they are apart."""
    columns = options.text_column, options.label_column
    if options.test_file:
        return read_labelled(options.test_file, *columns, split="test")
    if isinstance(source, str) and known_labels(source):
        return read_labelled(source, *columns, split="test")
    return None


def _left_out(split: Split, places: Sequence[int], name: str, known: int = 0) -> list[str]:
    """What is told of rows that are not used; ``known`` have a text that is searched with."""
    counts = {
        "without a text or a label": split.empty,
        "as copies of others": split.copies,
        "with other labels": sum(place < 0 for place in places),
        "not measured on, as their texts are searched with or chosen by": known,
    }
    told = "; ".join(f"{count} {why}" for why, count in counts.items() if count)
    notes = [f"rows of {name} that are left out: {told}."] if told else []
    if split.others:
        notes.append(f"files of {name} that are of other splits and not read: {split.others}.")
    return notes


def _texts(rows: Sequence[Row], right: Sequence[int], places: Sequence[int]) -> Texts:
    return Texts([rows[n].text for n in places], [right[n] for n in places])


def fitted(speaker: Speaker, data: Data, options: ClassifyOptions) -> Data:
    """The data as the model can read them: texts cut to its context, which a note says. PezError
    for label words that it cannot tell apart.
    """
    (sample,) = contexts(speaker, options.wording, "", ["a"], data.words)
    notes = [check_words(sample.tails, data.words)]
    own = 0 if options.prompt is None else given_prompt(options.prompt, speaker).size(speaker)
    prompt = max(options.length, own)
    parts, cut = [], 0
    for part in (data.train, data.valid, data.test):
        texts, some = cut_texts(speaker, options.wording, part.texts, data.words, prompt)
        parts.append(replace(part, texts=texts))
        cut += some
    if cut:
        few = "1 text is" if cut == 1 else f"{cut} texts are"
        notes.append(f"{few} longer than {speaker.name} reads and cut at the end.")
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
        few = "1 example is" if lost == 1 else f"{lost} examples are"
        notes = (*notes, f"{few} read joined with the prompt, and left out.")
    goal = Labelled(
        options.wording,
        data.words,
        [data.train.texts[n] for n in kept],
        [frame for frame in found if frame is not None],
        [data.train.right[n] for n in kept],
        options.fluency,
    )
    return Item(data.key, [data.name], goal, notes=notes)
