"""One prompt for several pictures of a group, such as a style, with which new things are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pez.errors import PezError
from pez.evaluation.entries import entry, many, number, text
from pez.evaluation.tasks.task import SearchTask, by_group, joined
from pez.evaluation.units import Original, Reference, Subject


@dataclass(frozen=True)
class Together(SearchTask):
    """``of`` pictures of a group make a prompt; compared with these, the group's name and the
    thing.
    """

    of: int = entry(number(2), 4)
    things: tuple[str, ...] = entry(many(text), ())
    frame: str = entry(text, "{thing} in the style of {}")

    baselines = ("no-prompt", "group-name", "random-words")
    settings: ClassVar = {"together": True}
    about: ClassVar = {
        "style": ("the pictures that were searched", "the pictures that were searched"),
        "style name": ("the style's name, a text", "the style's name"),
        "thing": ("the name of the thing to be drawn, a text", ""),
    }
    grouped = True

    @property
    def takes(self) -> int:
        """``of``."""
        return self.of

    def check(self) -> None:
        """The frame has room for both the thing and the prompt."""
        if self.things and ("{}" not in self.frame or "{thing}" not in self.frame):
            raise PezError(
                "task.frame must hold {thing} and {}, where the thing and the prompt go, not "
                f"{self.frame!r}."
            )

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each ``of`` items of a group."""
        for (dataset, split, group), items in by_group(originals):
            name = group or split or dataset
            for n, start in enumerate(range(0, len(items) - self.of + 1, self.of)):
                part = items[start : start + self.of]
                files = tuple(original.file for original in part)
                references = [Reference("style", files)]
                references += [Reference("style name", texts=(name,))] if group or split else []
                references += [Reference("thing", thing=True)] if self.things else []
                known = joined(part, f"{name} {n + 1}", name)
                yield Subject(known, tuple(references), files, group=name)

    def text(self, subject: Subject, label: str, ratio: float | None) -> str | None:
        """The group's name, or nothing."""
        return subject.group if label == "group-name" else ""
