"""A shorter prompt for each item's text, compared with that text; pictures with pictures of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pez.evaluation.tasks.task import Pictures, SearchTask, hash_of
from pez.evaluation.units import Original, Reference, Subject, Task
from pez.options import DistillOptions

if TYPE_CHECKING:
    from pez.session.session import Session, Watch


@dataclass(frozen=True)
class Distill(SearchTask):
    """The text is the item's prompt, else its caption."""

    baselines = ("long-prompt", "beginning", "random-words", "soft")
    options = DistillOptions
    about: ClassVar = {
        "long prompt": ("a picture of the long prompt, from other noise", "the long prompt")
    }
    by_ratio = True

    @property
    def by_text(self) -> bool:
        """Always."""
        return True

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each text."""
        for original in originals:
            text = original.prompt or original.caption
            blank = "the item has neither a prompt nor a caption to shorten."
            why = "" if text.strip() else blank
            known = replace(original, file="", sha256=hash_of([text]), caption=text, error=why)
            known = replace(known, captions=(text,) if text.strip() else ())
            reference = Reference("long prompt", texts=(text,), drawn=True)
            yield Subject(known, (reference,), texts=(text,))

    def text(self, subject: Subject, label: str, ratio: float | None) -> str | None:
        """The text itself or its beginning."""
        if label == "beginning":
            return _beginning(subject.texts[0], ratio or 1.0)
        return subject.texts[0] if label == "long-prompt" else ""

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        """As ``pez distill`` does."""
        from pez.api import search_texts

        search_texts(session, [task.texts[0] for task in tasks], watch)


def _beginning(text: str, ratio: float) -> str:
    """As many of a text's first tokens as a distilled prompt has."""
    from pez.evaluation.readable import tokens

    ids = tokens().encode(text)
    return tokens().decode(ids[: max(1, round(ratio * min(len(ids), tokens().limit)))])
