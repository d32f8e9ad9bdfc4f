"""What is already done in a plan, and which units that makes ready: read from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pez.evaluation.packing import LOST
from pez.evaluation.plan import Plan
from pez.evaluation.store import Record, Store
from pez.evaluation.units import Asked, Drawn, Node, Unit

PROMPT, PICTURE = "prompt", "picture"  # what a unit may be of


@dataclass(frozen=True)
class Place:
    """Where a unit belongs: its prompt, its picture if it is of one, what it is compared with."""

    node: Node
    drawn: Drawn | None = None
    against: str = ""


Asks = dict[tuple[str, str], list[tuple[Unit, Place]]]


@dataclass(frozen=True, eq=False)
class Ready:
    """A plan's nodes and their finished results."""

    plan: Plan
    store: Store
    nodes: Sequence[Node]

    def asked(self, kind: str, of: str) -> Asks:
        """The units of a kind whose prompts (those that are texts) or pictures are finished, by
        model and reference; a model is opened once for all references.
        """
        found: Asks = {}
        for own, place in self._pictures(kind) if of == PICTURE else self._prompts(kind):
            for (who, against), unit in own.items():
                here = Place(place.node, place.drawn, against)
                found.setdefault((who, against), []).append((unit, here))
        order = [list(dict.fromkeys(name[n] for name in found)) for n in (0, 1)]
        pairs = [(who, against) for who in order[0] for against in order[1]]
        return {pair: found[pair] for pair in pairs if pair in found}

    def _prompts(self, kind: str) -> Iterator[tuple[Asked, Place]]:
        for node in self.nodes:
            record = self.store.get("prompt", node.unit.key)
            if record and _good(record) and not record.out.get("soft"):
                yield node.asked.get(kind, {}), Place(node)

    def _pictures(self, kind: str) -> Iterator[tuple[Asked, Place]]:
        for node in self.with_prompt():
            for drawn in node.pictures:
                if self._is_there(drawn):
                    yield drawn.asked.get(kind, {}), Place(node, drawn)

    def _is_there(self, drawn: Drawn) -> bool:
        keys = [unit.key for unit in (drawn.unit, drawn.beside) if unit]
        return all(_good(self.store.get("picture", key)) for key in keys)

    def with_prompt(self) -> list[Node]:
        """The nodes whose prompts are finished."""
        return [node for node in self.nodes if _good(self.store.get("prompt", node.unit.key))]

    def prompt_of(self, node: Node) -> str:
        """The text of a finished prompt."""
        record = self.store.get("prompt", node.unit.key)
        assert record is not None
        return record.out["prompt"]

    def soft_prompt_of(self, node: Node) -> bytes:
        """The embeddings of a soft prompt, as a .npy file; nothing for others."""
        record = self.store.get("prompt", node.unit.key)
        file = self.store.path("prompt", node.unit.key, ".npy")
        soft = record is not None and record.out.get("soft") and file.is_file()
        return file.read_bytes() if soft else b""

    def edit_of(self, edit: Unit) -> dict[str, Any]:
        """What a finished edit made of its prompt; nothing if it is not finished, or failed."""
        record = self.store.get("edit", edit.key)
        return record.out if record and _good(record) else {}

    def is_edited(self, drawn: Drawn) -> bool:
        """Whether the text of a picture is there: it is the prompt, or an edit that is finished."""
        return drawn.edited is None or bool(self.edit_of(drawn.edited))

    def drawn(self, picture: Unit) -> bytes:
        """The file of a finished picture."""
        return _read(self.store.path("picture", picture.key, ".png"))

    def files(self, names: Sequence[str]) -> tuple[bytes, ...]:
        """The contents of files of the run's folder."""
        return tuple(_read(self.store.folder / name, _bytes) for name in names)


def _read(path: Path, read: Callable[[str], bytes] | None = None) -> bytes:
    """A file's content; ``LOST`` if it cannot be read, which then is the reason why units fail."""
    try:
        return read(str(path)) if read else path.read_bytes()
    except OSError:
        return LOST


def _good(record: Record | None) -> bool:
    return record is not None and not record.error


@lru_cache(maxsize=64)
def _bytes(path: str) -> bytes:
    """A file's content; pictures of one original follow each other."""
    return Path(path).read_bytes()
