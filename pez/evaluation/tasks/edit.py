"""A prompt for each picture, of which one word is then changed: how much of the rest stays?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pez.errors import PezError
from pez.evaluation.entries import SEED, entry, many, number, one_of, text
from pez.evaluation.tasks.invert import Invert
from pez.evaluation.units import Original, Reference, Subject

SWAP, APPEND = "swap", "append"


@dataclass(frozen=True)
class Edit(Invert):
    """Each of ``edits`` changes every prompt: ``swap`` puts another word in the place of the one
    that says most, ``append`` adds one. ``model`` gives the words, and the space in which a word
    is swapped for one of its ``near`` nearest neighbours; ``seed`` draws among them.
    """

    edits: tuple[str, ...] = entry(many(one_of((SWAP, APPEND))), (SWAP, APPEND))
    model: str = entry(text, "")
    near: int = entry(number(1, 1000), 5)
    seed: int = entry(number(0, SEED), 0)

    baselines = ("caption", "random-words", "frequent", "original", "captioner")
    about: ClassVar = {
        SWAP: ("the picture before a word was swapped", "the original, after a word was swapped"),
        APPEND: ("the picture before a word was added", "the original, after a word was added"),
    }
    single = False

    def check(self) -> None:
        """PezError without a model or an edit."""
        if not self.model or not self.edits:
            raise PezError(
                "the task edit takes its words from a model that is neither searched nor the "
                'judge: write model = "mini-b" and edits = ["swap"] below [task].'
            )

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each picture, compared with it, and with what each edit makes of it."""
        for original in originals:
            edits = tuple(Reference(name, drawn=True, edit=True) for name in self.edits)
            references = (Reference("", (original.file,)), *edits)
            yield Subject(original, references, (original.file,))
