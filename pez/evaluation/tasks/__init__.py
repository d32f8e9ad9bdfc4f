"""What a prompt is searched for, and what it is compared with then: name -> module:symbol.

invert     a picture                                 with that picture
distill    an item's prompt, else its caption        with that text; pictures with pictures of it
together   several pictures of one group (a style)   with these, the group's name and the thing
mix        two consecutive items                     with each of them, and with the less like one
edit       a picture, then one word is changed       with that picture; the change with what it left
classify   labelled texts                            with their labels, by language models that read

One file for each, with one class (:mod:`task` says what it declares).
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any

from pez.errors import PezError
from pez.evaluation.entries import known_name, text, values
from pez.evaluation.tasks.task import SearchTask

TASKS = {
    "invert": "pez.evaluation.tasks.invert:Invert",
    "distill": "pez.evaluation.tasks.distill:Distill",
    "together": "pez.evaluation.tasks.together:Together",
    "mix": "pez.evaluation.tasks.mix:Mix",
    "edit": "pez.evaluation.tasks.edit:Edit",
    "classify": "pez.evaluation.tasks.classify:Classify",
}
ORIGINAL = ("the original", "the original picture")


def task_class(name: str) -> type[SearchTask]:
    """The class of the task ``name``."""
    module, symbol = TASKS[name].split(":")
    return getattr(import_module(module), symbol)


def read_task(table: dict[str, Any]) -> SearchTask:
    """The task in a plan's ``[task]``. PezError that names what is wrong."""
    name = known_name(text(table.get("name", "invert"), "task.name"), TASKS, "task.name")
    own = {key: value for key, value in table.items() if key != "name"}
    mine = _entries(name)
    for key in own:
        others = [other for other in TASKS if key in _entries(other)]
        if key not in mine and others:
            raise PezError(f"[task]: {key} belongs to the task {' and '.join(others)}, not {name}.")
    task = task_class(name)(name, **values(task_class(name), own, "task."))
    task.check()
    return task


def all_baselines() -> tuple[str, ...]:
    """The baselines of all tasks."""
    return tuple(dict.fromkeys(b for name in TASKS for b in task_class(name).baselines))


def about() -> dict[str, tuple[str, str]]:
    """What each reference says to be compared with: pictures that were drawn, and prompts."""
    found: dict[str, tuple[str, str]] = {"": ORIGINAL}
    for name in TASKS:
        found.update(task_class(name).about)
    return found


def all_edits() -> tuple[str, ...]:
    """The references that are edits of the prompt, of all tasks."""
    return tuple(edit for name in TASKS for edit in task_class(name).edits)


def _entries(name: str) -> list[str]:
    return [field.name for field in fields(task_class(name)) if "read" in field.metadata]
