"""Files of a run's folder that were lost or damaged: what they belong to is done again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from pez.errors import PezWarning
from pez.evaluation.packing import from_bytes
from pez.evaluation.store import Store
from pez.evaluation.units import Drawn, Node

END = b"IEND\xaeB`\x82"  # how every PNG file ends


def forget_damaged(nodes: Sequence[Node], store: Store, retry: bool = False) -> None:
    """Remove the records of pictures and embeddings whose files are lost or damaged, so that they
    count as missing; PezWarning of how many they are.

    Pictures that something unfinished needs are read whole, with ``retry`` all; of others only the
    end is read.
    """
    lost: dict[tuple[str, str], None] = {}
    for node in nodes:
        record = store.get("prompt", node.unit.key)
        soft = record and record.out.get("soft")
        if soft and not _is_tensor(store.path("prompt", node.unit.key, ".npy")):
            lost["prompt", node.unit.key] = None
        for drawn in node.pictures:
            for key in _keys(drawn):
                record = store.get("picture", key)
                if record is None or record.error or ("picture", key) in lost:
                    continue
                whole = retry or _is_needed(drawn, store)
                if not is_whole(store.path("picture", key, ".png"), whole):
                    lost["picture", key] = None
    for kind, key in lost:
        store.drop(kind, key)
    if lost:
        text = f"{len(lost)} files in {store.folder} were lost or damaged; they are made again."
        warnings.warn(text, PezWarning, stacklevel=2)


def is_whole(path: Path, thorough: bool) -> bool:
    """Whether a PNG file is there and complete; ``thorough`` checks every byte."""
    try:
        with path.open("rb") as file:
            file.seek(-len(END), 2)
            if file.read() != END:
                return False
        if thorough:
            with Image.open(path, "r", ("PNG",)) as picture:
                picture.verify()
            with Image.open(path, "r", ("PNG",)) as picture:
                picture.load()
    except Exception:  # decoders leak SyntaxError, struct.error and more
        return False
    return True


def _keys(drawn: Drawn) -> Iterator[str]:
    yield drawn.unit.key
    if drawn.beside:
        yield drawn.beside.key


def _is_needed(drawn: Drawn, store: Store) -> bool:
    """Whether something that is measured of a picture is missing."""
    asked = [(kind, unit) for kind, own in drawn.asked.items() for unit in own.values()]
    return not all(store.get(kind, unit.key) for kind, unit in asked)


def _is_tensor(path: Path) -> bool:
    try:
        return from_bytes(path.read_bytes()).ndim == 2
    except (OSError, ValueError, EOFError):
        return False
