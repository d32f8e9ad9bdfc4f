"""Searches of a plan's subjects by their task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from pez.errors import PezError
from pez.evaluation.bench import Report
from pez.evaluation.tasks import task_class
from pez.evaluation.units import Task
from pez.models import Reader
from pez.options import SearchOptions
from pez.session.session import Session, Watch


def searchable(
    reader: Reader, tasks: Sequence[Task], pictures: Sequence[list[Image.Image]], report: Report
) -> tuple[list[Task], list[list[Image.Image]]]:
    """Those tasks that can be searched for, with their pictures; a text without tokens is
    reported as failed.
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
    session: Session, tasks: Sequence[Task], pictures: Sequence[list[Image.Image]], watch: Watch
) -> None:
    """A prompt for each task, reported to ``watch`` by its place."""
    if tasks:
        kind = task_class(tasks[0].spec.get("task", "invert"))
        kind.search(session, tasks, pictures, watch)


@dataclass(eq=False)
class Searched:
    """Models that are searched, with the session of the last options."""

    reader: Reader
    _session: Session | None = None

    def session(self, options: SearchOptions) -> Session:
        """The session of ``options``, made anew if the last were different."""
        if self._session is None or self._session.options != options:
            self._session = Session.of(self.reader, options)
        return self._session
