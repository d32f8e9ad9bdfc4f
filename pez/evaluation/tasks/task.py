"""What a task declares: a class of its own for each, its fields the entries of ``[task]``.

@dataclass(frozen=True)
class Captions(SearchTask):
    baselines = ("caption",)

    def subjects(self, originals):
        for original in originals:
            yield Subject(original, (Reference("caption", texts=(original.caption,)),), ...)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from pez.evaluation.units import Original, Reference, Subject, Task
from pez.options import InvertOptions, SearchOptions

if TYPE_CHECKING:
    from PIL import Image

    from pez.session.session import Session, Watch

Pictures = Sequence[list["Image.Image"]]


@dataclass(frozen=True)
class SearchTask:
    """What prompts are searched for.

    ``baselines`` are the prompts to compare its own with, ``options`` those of the verb that
    searches, of which it sets ``settings`` itself. ``about`` says, for each reference, what
    pictures and prompts are compared with. With ``by_ratio`` lengths are ratios to a long
    prompt's, with ``grouped`` items are taken by the group of [data], and with ``single`` subjects
    are single pictures, to which others may be added. ``things`` are drawn with each prompt, put
    into ``frame``; ``edits`` are names of changes to each prompt (:mod:`pez.evaluation.edits`).
    With ``labelled`` the items are labelled texts, searched one after the other and read by
    language models: no judges, no pictures. ``taken`` are options that no method may set.
    """

    name: str = "invert"

    baselines: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[type[SearchOptions]] = InvertOptions
    settings: ClassVar[Mapping[str, Any]] = {}
    about: ClassVar[Mapping[str, tuple[str, str]]] = {}
    by_ratio: ClassVar[bool] = False
    grouped: ClassVar[bool] = False
    single: ClassVar[bool] = False
    labelled: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ()
    things = ()
    frame = "{}"
    edits = ()

    @property
    def takes(self) -> int:
        """How many items one prompt takes."""
        return 1

    @property
    def by_text(self) -> bool:
        """Whether the search is for texts, not for pictures."""
        return False

    def check(self) -> None:
        """PezError for entries that are valid alone but not together."""

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """The subjects of items, in their order."""
        raise NotImplementedError

    def spec(self, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
        """What a search is for; ``identity`` is the subject's pictures by their content. Its
        "task" is this task's name, so that the worker knows it.
        """
        return {"task": self.name} | ({"texts": list(subject.texts)} if self.by_text else identity)

    def text(self, subject: Subject, label: str, ratio: float | None) -> str | None:
        """The text of a baseline that needs no search; None where the subject has none."""
        original = subject.original
        if label in ("caption", "original"):
            return (original.caption if label == "caption" else original.prompt) or None
        if label == "frequent":
            return original.frequent or None
        return ""

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        """A prompt for each unit, reported to ``watch`` by its place: here one for its pictures."""
        from pez.api import search_pictures

        search_pictures(session, pictures, watch)


def plain_subject(original: Original) -> Subject:
    """One picture, compared with itself."""
    return Subject(original, (Reference("", (original.file,)),), (original.file,))


def by_group(
    originals: Sequence[Original],
) -> Iterator[tuple[tuple[str, str, str], list[Original]]]:
    """Items by data set, split and group, in the order in which these first come."""
    places: dict[tuple[str, str, str], int] = {}
    for o in originals:
        places.setdefault((o.dataset, o.split, o.group), len(places))
    listed = sorted(originals, key=lambda o: places[o.dataset, o.split, o.group])
    for where, items in groupby(listed, lambda o: (o.dataset, o.split, o.group)):
        yield where, list(items)


def joined(items: Sequence[Original], name: str, caption: str) -> Original:
    """Several items as one; an error of one is an error of all."""
    error = next((f"{o.item}: {o.error}" for o in items if o.error), "")
    sha256 = "" if error else hash_of([o.sha256 for o in items])
    captions = tuple(dict.fromkeys(text for o in items for text in o.captions))
    whole = replace(items[0], item=name, caption=caption, captions=captions, prompt="", file="")
    return replace(whole, sha256=sha256, error=error)


def hash_of(parts: Sequence[str]) -> str:
    """64 hex digits of texts in their order."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
