"""What a plan asks for, as units: each is named by a hash of all that decides its outcome.

A subject (an item, see tasks/) and a way make a prompt, a prompt and a generator pictures;
what is measured of either depends on the kinds of units (kinds/).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pez.evaluation.plan_entries import GeneratorPlan
    from pez.options import SearchOptions

SOFT = "soft"  # the method whose prompts are embeddings, not text
VERSION = 1  # of what a unit's outcome means; a new version redoes everything


@dataclass(frozen=True)
class Unit:
    """One thing to do; ``spec`` is plain JSON and holds everything that decides the outcome."""

    kind: str
    spec: dict[str, Any] = field(hash=False)

    @cached_property
    def key(self) -> str:
        """64 hex digits."""
        text = json.dumps([VERSION, self.kind, self.spec], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Original:
    """A picture of a data set. ``file`` is its path within the run's folder; ``sha256`` is "" and
    ``error`` says why if it could not be read. ``group`` is what the plan groups items by.
    ``captions`` are all that people wrote about it, ``caption`` is the first. ``frequent`` are the
    words that captions of other pictures like it use most, if the plan asks for them.
    """

    dataset: str
    split: str
    item: str
    sha256: str
    file: str
    caption: str
    prompt: str
    seed: int
    error: str = ""
    group: str = ""
    captions: tuple[str, ...] = ()
    frequent: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """The item by its content; by its name if it could not be read."""
        if self.sha256:
            return {"item": self.sha256}
        return {"item": "", "name": [self.dataset, self.split, self.item]}


@dataclass(frozen=True)
class Reference:
    """What pictures and prompts are compared with: pictures by their files in the run's folder
    or texts; their mean counts, or with ``least`` their minimum.

    ``drawn``: pictures are compared with those drawn from the text, not with the text itself.
    ``thing``: only pictures are compared, each with the thing it should show.
    ``edit``: its name is that of an edit; pictures of the edited prompt are compared with those of
    the prompt.
    """

    name: str
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    least: bool = False
    drawn: bool = False
    thing: bool = False
    edit: bool = False


@dataclass(frozen=True)
class Subject:
    """What one prompt is searched for: the pictures in ``files``, or ``texts``. ``original``
    is how tables name it; its ``sha256`` stands for all of its content.
    """

    original: Original
    references: tuple[Reference, ...]
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Given:
    """A prompt made elsewhere, for the item at ``place`` of the subjects; ``number`` distinguishes
    several of one method.
    """

    place: int
    prompt: str
    method: str
    number: int = 0


@dataclass(frozen=True)
class Way:
    """How a prompt is obtained: a search with ``options``, or ``text`` or ``captioner`` as
    ``how`` says. ``length``, ``ratio`` and ``seed`` are None if they do not apply.
    """

    label: str
    how: str
    model: tuple[str, ...] = ()
    length: int | None = None
    seed: int | None = None
    options: SearchOptions | None = None
    record: dict[str, Any] = field(default_factory=dict, hash=False)  # of ``options``
    ratio: float | None = None

    @property
    def is_text(self) -> bool:
        """Whether the prompts are texts, not embeddings."""
        return self.options is None or self.options.method != SOFT


# units of one kind for a prompt or picture, by who does them (a judge, or "" for the only
# one) and the name of the reference they compare with
Asked = dict[tuple[str, str], Unit]


@dataclass(frozen=True)
class Drawn:
    """A picture of a prompt, put into ``frame`` at ``{}`` to show ``thing``, and what is
    measured of it, by kind. ``beside`` is the picture it is compared with if that is drawn too,
    ``edited`` the unit of the edit called ``edit``, whose text is drawn in the prompt's place.
    """

    unit: Unit
    generator: GeneratorPlan
    image_seed: int
    asked: dict[str, Asked]
    thing: str = ""
    frame: str = "{}"
    beside: Unit | None = None
    edit: str = ""
    edited: Unit | None = None

    @property
    def scores(self) -> Asked:
        """Comparisons with references."""
        return self.asked.get("score", {})


@dataclass(frozen=True)
class Node:
    """A prompt and all its measurements, by kind. A ``hidden`` one is only drawn, for others to
    be compared with, and is in no table. ``gallery`` are the files among which its own is ranked.
    """

    subject: Subject
    way: Way
    unit: Unit
    pictures: tuple[Drawn, ...]
    asked: dict[str, Asked]
    hidden: bool = False
    gallery: tuple[str, ...] = ()

    @property
    def readings(self) -> Asked:
        """Comparisons of the prompt with references."""
        return self.asked.get("reading", {})

    @property
    def language(self) -> Unit | None:
        """The prompt read by a language model."""
        return self.asked.get("language", {}).get(("", ""))

    def lines(self) -> Iterator[str]:
        """The prompt's lines in the index: one for each reference it is compared with."""
        if self.hidden:
            return
        o, way = self.subject.original, self.way
        files = self.subject.files
        row: dict[str, Any] = {"dataset": o.dataset, "split": o.split, "item": o.item}
        row |= {"source": files[0] if files else "", "sources": files}
        row |= {"caption": o.caption, "method": way.label, "length": way.length}
        row |= {"ratio": way.ratio, "search_model": " + ".join(way.model), "seed": way.seed}
        row |= {"prompt": self.unit.key, "language": self.language.key if self.language else ""}
        for reference in self.subject.references:
            name = reference.name
            row |= {"against": name, "readings": _of(self.readings, name)}
            row |= _others(self.asked, name)
            row["pictures"] = [
                {
                    "generator": p.generator.label or p.generator.name,
                    "image_seed": p.image_seed,
                    "thing": p.thing,
                    "key": p.unit.key,
                    "judges": _of(p.scores, name),
                }
                | ({"beside": p.beside.key} if p.beside else {})
                | _others(p.asked, name)
                for p in self.pictures
                if p.edit == (name if reference.edit else "")
            ]
            yield json.dumps(row, ensure_ascii=False) + "\n"

    def units(self) -> Iterator[Unit]:
        """All units of the prompt, each after those that it needs."""
        yield self.unit
        yield from self.asked.get("edit", {}).values()
        for picture in self.pictures:
            yield picture.unit
            yield from (unit for own in picture.asked.values() for unit in own.values())
        others = (own for kind, own in self.asked.items() if kind != "edit")
        yield from (unit for own in others for unit in own.values())


@dataclass(frozen=True)
class Task:
    """One unit of a batch and what it needs. ``pictures`` and ``texts`` are the search targets
    or references, ``picture`` or ``text`` is what is drawn, read or compared. ``labelled`` are
    texts with labels (:mod:`pez.evaluation.labelled`).
    """

    key: str
    spec: dict[str, Any]
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    texts: tuple[str, ...] = ()
    picture: bytes = field(default=b"", repr=False)
    text: str = ""
    soft: bytes = field(default=b"", repr=False)  # embeddings as .npy, in the text's place
    labelled: bytes = field(default=b"", repr=False)
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Units of one kind that need the same model. ``options`` are what opens the model or runs
    the search, ``how`` names the work if the kind has several.
    """

    kind: str
    how: str
    options: Any
    tasks: tuple[Task, ...]
    title: str = ""  # for display

    @property
    def id(self) -> str:
        """Equal for batches of the same units in the same order."""
        return batch_id([task.key for task in self.tasks])


def batch_id(keys: Sequence[str]) -> str:
    """The name of units that are done together."""
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]


def _of(units: dict[tuple[str, str], Unit], reference: str) -> dict[str, str]:
    return {judge: unit.key for (judge, name), unit in units.items() if name == reference}


def _others(asked: dict[str, Asked], reference: str) -> dict[str, Any]:
    """Units of kinds that have no entry of their own in the index; those without a
    reference are in every line.
    """
    own = ("score", "reading", "language")
    others = {kind: units for kind, units in asked.items() if kind not in own}
    named = {kind: _of(units, "") | _of(units, reference) for kind, units in others.items()}
    return {"asked": named} if named else {}


def noise_seed(original: Original, image_seed: int, salt: str = "") -> int:
    """The generator's seed: the same for all prompts of an item, so that comparisons
    of methods are paired, and different for each item, so that no single noise decides a table.
    """
    text = f"{original.sha256}/{image_seed}" + (f"/{salt}" if salt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
