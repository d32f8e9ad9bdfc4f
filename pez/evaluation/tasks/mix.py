"""One prompt for two consecutive items, compared with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pez.evaluation.entries import above_zero, entry, one_of, pair
from pez.evaluation.tasks.task import Pictures, SearchTask, by_group, hash_of, joined
from pez.evaluation.units import Original, Reference, Subject, Task
from pez.options import MixOptions

if TYPE_CHECKING:
    from pez.session.session import Session, Watch


@dataclass(frozen=True)
class Mix(SearchTask):
    """``sources`` are the items' pictures or their texts, mixed by ``weights``."""

    sources: str = entry(one_of(("pictures", "texts")), "pictures")
    weights: tuple[float, ...] = entry(pair(above_zero(1e6)), (1.0, 1.0))

    baselines = ("joined", "random-words", "soft")
    options = MixOptions
    about: ClassVar = {
        "first source": ("the first source", "the first source"),
        "second source": ("the second source", "the second source"),
        "weaker source": ("the source that is less like it", "the source that is less like it"),
    }

    @property
    def takes(self) -> int:
        """Two."""
        return 2

    @property
    def by_text(self) -> bool:
        """As ``sources`` says."""
        return self.sources == "texts"

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for two consecutive items."""
        for _, items in by_group(originals):
            for one, two in zip(items[::2], items[1::2], strict=False):
                texts = tuple(o.prompt or o.caption for o in (one, two))
                known = joined((one, two), f"{one.item} + {two.item}", " | ".join(texts))
                files = (one.file, two.file)
                if not self.by_text:
                    yield Subject(known, _of_two(files), files, texts)
                    continue
                blank = "an item has neither a prompt nor a caption."
                why = "" if all(map(str.strip, texts)) else blank
                known = replace(known, sha256=hash_of(texts), error=why)
                yield Subject(known, _of_two(texts=texts), texts=texts)

    def spec(self, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
        """The weights, too."""
        return super().spec(subject, identity) | {"weights": list(self.weights)}

    def text(self, subject: Subject, label: str, ratio: float | None) -> str | None:
        """Both texts in one."""
        if label == "joined":
            return " and ".join(subject.texts) if all(map(str.strip, subject.texts)) else None
        return ""

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        """As ``pez mix`` does, for two pictures or texts each."""
        from pez.api import search_mixes

        mixes = []
        for task, own in zip(tasks, pictures, strict=True):
            parts = zip(task.texts or own, task.spec["weights"], strict=True)
            named = enumerate(parts, 1)
            mixes.append([(what, weight, f"{n}={weight:g}") for n, (what, weight) in named])
        search_mixes(session, mixes, watch)


def _of_two(files: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> tuple[Reference, ...]:
    return (
        Reference("first source", files[:1], texts[:1]),
        Reference("second source", files[1:], texts[1:]),
        Reference("weaker source", files, texts, least=True),
    )
