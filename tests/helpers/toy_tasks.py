"""A task of one file, as anyone may add it: words in capitals, compared with the caption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pez.evaluation.entries import entry, number
from pez.evaluation.tasks.task import Pictures, SearchTask
from pez.evaluation.units import Original, Reference, Subject, Task
from pez.session.session import Session, Watch


@dataclass(frozen=True)
class Pairs(SearchTask):
    """A prompt for each picture, compared with its caption; ``every`` leaves items out."""

    every: int = entry(number(1), 1)

    baselines = ("shouted", "random-words")
    about: ClassVar = {"caption": ("the caption, a text", "the caption")}

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        for original in originals[:: self.every]:
            reference = Reference("caption", texts=(original.caption,))
            yield Subject(original, (reference,), (original.file,))

    def text(self, subject: Subject, label: str, ratio: float | None) -> str | None:
        return subject.original.caption.upper() if label == "shouted" else ""

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        assert {task.spec["task"] for task in tasks} == {"pairs"}
        super().search(session, tasks, pictures, watch)
