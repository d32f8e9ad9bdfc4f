"""A prompt for each picture, compared with that picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pez.evaluation.tasks.task import Pictures, SearchTask, plain_subject
from pez.evaluation.units import Original, Subject, Task

if TYPE_CHECKING:
    from pez.models import Reader
    from pez.session.session import Item


@dataclass(frozen=True)
class Invert(SearchTask):
    """What is done where a plan names no task."""

    baselines = ("caption", "random-words", "original", "soft", "captioner")
    single = True

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each picture."""
        return map(plain_subject, originals)

    def spec(self, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
        """The picture alone: the oldest task has no name in its units."""
        return identity

    @classmethod
    def items(cls, reader: Reader, tasks: Sequence[Task], pictures: Pictures) -> list[Item]:
        """A picture each."""
        from pez.api import image_items

        return image_items(reader, [own[0] for own in pictures])
