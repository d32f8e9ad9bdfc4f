"""A prompt for each picture, compared with that picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pez.evaluation.tasks.task import Pictures, SearchTask, plain_subject
from pez.evaluation.units import Original, Subject, Task

if TYPE_CHECKING:
    from pez.session.session import Session, Watch


@dataclass(frozen=True)
class Invert(SearchTask):
    """The default task of a plan."""

    baselines = ("caption", "random-words", "frequent", "original", "soft", "captioner")
    single = True

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each picture."""
        return map(plain_subject, originals)

    def spec(self, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
        """The picture alone: the oldest task has no name in its units."""
        return identity

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        """As ``pez invert`` does, for the first picture of each."""
        super().search(session, tasks, [own[:1] for own in pictures], watch)
