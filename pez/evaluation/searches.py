"""Searches of a plan's subjects by the functions that the verbs are made of."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pez.api import distill, image_items, mix_item
from pez.errors import PezError
from pez.evaluation.bench import Report
from pez.evaluation.units import Task
from pez.models import Reader
from pez.options import DistillOptions, SearchOptions
from pez.session.runs import run
from pez.session.session import Item, Watch


def searchable(
    reader: Reader, tasks: Sequence[Task], pictures: Sequence[list[Image.Image]], report: Report
) -> tuple[list[Task], list[list[Image.Image]]]:
    """Those tasks that can be searched for, with their pictures; a text of no tokens is told
    as failed.
    """
    out, kept = [], []
    for task, own in zip(tasks, pictures, strict=True):
        if all(reader.tokens.encode(text) for text in task.texts):
            out.append(task)
            kept.append(own)
        else:
            report.failed(task, PezError("the model reads no token in the text."))
    return out, kept


def search_all(
    reader: Reader,
    tasks: Sequence[Task],
    pictures: Sequence[list[Image.Image]],
    options: SearchOptions,
    watch: Watch,
) -> None:
    """A prompt for each task, told to ``watch`` by its place."""
    if isinstance(options, DistillOptions):
        texts = [task.texts[0] for task in tasks]
        distill(texts, reader=reader, options=options, watch=watch)
        return
    kind = tasks[0].spec.get("task", "invert") if tasks else ""
    items: list[Item] = []
    if kind == "invert":
        items = image_items(reader, [own[0] for own in pictures])
    elif kind == "together":
        items = [image_items(reader, own, together=True)[0] for own in pictures]
    elif kind == "mix":
        for task, own in zip(tasks, pictures, strict=True):
            parts = zip(task.texts or own, task.spec["weights"], strict=True)
            listed = [
                (what, weight, f"{n + 1}={weight:g}") for n, (what, weight) in enumerate(parts)
            ]
            items.append(mix_item(reader, listed))
    run(reader, items, options, watch)
