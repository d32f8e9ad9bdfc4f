"""Which weights a name refers to now, so that new weights under an old name count as new."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pez.files import user_path
from pez.formats.text import check_name
from pez.models.families import all_kinds
from pez.models.family import Weights, model_files

WHOLE = 64 << 20  # bytes of a file that are read whole
PIECES, PIECE = 1024, 64 << 10  # of a larger one: number and size of evenly spread samples

# where transformers stores weights; the first that exists counts
_TRANSFORMERS = ("model.safetensors", "pytorch_model.bin", "config.json")


def identities() -> Callable[[str], str]:
    """A function from the name of a model or generator to its identity, with a cache."""
    return cache(identity)


def identity(name: str) -> str:
    """``name`` with a hash of its files where these are shipped or in a local folder, else the
    name alone, so that it is the same before and after weights of the hub are fetched. It is
    marked if earlier versions built the model differently.
    """
    where = _weights(check_name(name, "the model"))
    mark = _local_hash(where) or where.built
    return f"{name}@{mark}" if mark else name


def is_on_disk(name: str) -> bool:
    """Whether the weights of ``name`` are shipped, or in a folder or file of this disk."""
    return bool(_weights(name).files)


def weights_hash(name: str) -> str:
    """What distinguishes the weights of a model, generator or language model from others of its
    name: a hash of its files, or their name in the hub's cache. Empty if that would take a
    download.
    """
    try:
        where = _weights(name)
        return _local_hash(where) or _cached_hash(where)
    except OSError:
        return ""  # a file that cannot be read: loading it reports why


def known_weights(names: Iterable[str]) -> dict[str, str]:
    """:func:`weights_hash` of those names that have one."""
    found = {name: weights_hash(name) for name in names}
    return {name: text for name, text in found.items() if text}


def _weights(name: str) -> Weights:
    """Where a name's weights are, by its family; for a name without a family, such as that of
    a language model or a judge, a folder or the hub's repository of that name.
    """
    for family in all_kinds():
        if (found := family.weights(name)) is not None:
            return found
    folder = user_path(name)
    if name and folder.is_dir():
        return Weights.of(folder)
    if name and folder.is_file():  # a generator in one file
        return Weights((folder,), folder.parent)
    bare, _, revision = name.partition("@")
    files = ("model_index.json", *_TRANSFORMERS)
    return Weights(repository=bare, revision=revision or None, cached=files)


def _local_hash(where: Weights) -> str:
    return files_hash(list(where.files), where.root) if where.files else ""


def folder_hash(folder: Path) -> str:
    """:func:`files_hash` of a model's folder; of a pipeline's the folders within count too."""
    return files_hash(model_files(folder), folder)


def files_hash(files: list[Path], folder: Path) -> str:
    """16 hex digits of the names and contents of files in a folder. A large file counts by its
    size and samples spread over it: this takes less than a second and detects a change of any
    tensor of some megabytes.
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= WHOLE:
                digest.update(stream.read())
                continue
            for n in range(PIECES):
                stream.seek(n * (size - PIECE) // (PIECES - 1))
                digest.update(stream.read(PIECE))
    return digest.hexdigest()[:16]


def _cached_hash(where: Weights) -> str:
    """The hash of the hub's cached weights: the name of their blob, else their commit."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in where.cached if where.repository.count("/") == 1 else ():
        try:
            found: Any = try_to_load_from_cache(where.repository, file, revision=where.revision)
        except HFValidationError:
            return ""  # not a name on the hub: loading it reports that
        if isinstance(found, str):
            path = Path(found)
            single = path.is_symlink() and path.suffix != ".json"  # else several files matter
            snapshot = path.parents[file.count("/")]
            return (path.resolve() if single else snapshot).name[:16]
    return ""
