"""Which weights a name stands for today, so that new weights under an old name count as new."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

WHOLE = 64 << 20  # bytes of a file that are read whole
PIECES, PIECE = 1024, 64 << 10  # of a larger one: so many, so long, evenly spread, both ends too

# what a model is made of: a folder may hold results, pictures and notes as well
PARTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json", ".txt", ".model"}

# where transformers keeps weights, the first that is there counts
_TRANSFORMERS = ("model.safetensors", "pytorch_model.bin", "config.json")


def identities() -> Callable[[str], str]:
    """A function from the name of a model or generator to its identity; it remembers."""
    return cache(identity)


def identity(name: str) -> str:
    """``name`` with a hash of its files where these are shipped or in a local folder, else the
    name alone, so that it is the same before and after weights of the hub are fetched.
    """
    found = _local_hash(name)
    return f"{name}@{found}" if found else _built(name)


def is_local(name: str) -> bool:
    """Whether the files of a model are shipped or in the user's own folders."""
    return bool(_local_hash(name))


def _built(name: str) -> str:
    """``name``, marked where its tag alone says QuickGELU: results from when such models were
    built with GELU do not count as theirs.
    """
    from pez.models.build import QUICK, tag_config

    architecture, _, tag = name.partition("/")
    marked = not architecture.endswith(QUICK) and tag_config(architecture, tag).get("quick_gelu")
    return f"{name}@quickgelu" if marked else name


def weights_hash(name: str) -> str:
    """What tells the weights of a model, generator or language model from others of its name:
    a hash of its files, or what the hub's cache calls them. Nothing where that cannot be had
    without a download.
    """
    try:
        return _local_hash(name) or _cached_hash(name)
    except OSError:
        return ""  # a file that cannot be read: loading it tells why


def known_weights(names: Iterable[str]) -> dict[str, str]:
    """:func:`weights_hash` of those names that have one."""
    found = {name: weights_hash(name) for name in names}
    return {name: text for name, text in found.items() if text}


def _local_hash(name: str) -> str:
    folder = _folder(name)
    if folder:
        return folder_hash(folder)
    file = _file(name)
    return files_hash([file], file.parent) if file else ""


def _folder(name: str) -> Path | None:
    from pez.files import data_folder

    shipped = [data_folder() / room / name for room in ("models", "generators", "language")]
    bare = name.removeprefix("local-dir:")
    for folder in (*shipped, Path(bare).expanduser()):
        if bare and folder.is_dir():
            return folder
    return None


def _file(name: str) -> Path | None:
    """The file of ``architecture/FILE``; a published tag comes before a file of its name."""
    architecture, _, rest = name.partition("/")
    file = Path(rest).expanduser()
    if not rest or not file.is_file():
        return None
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    return file if architecture in open_clip.list_models() and rest not in tags else None


def folder_hash(folder: Path) -> str:
    """:func:`files_hash` of a model's folder; of a pipeline's the folders within count too."""
    deep = (folder / "model_index.json").is_file()
    found = folder.rglob("*") if deep else folder.iterdir()
    return files_hash([f for f in found if f.suffix in PARTS and f.is_file()], folder)


def files_hash(files: list[Path], folder: Path) -> str:
    """16 hex digits of the names and contents of files in a folder. Of a large file its size and
    pieces all over it count, so that it takes less than a second and a change of any tensor of
    some megabytes is seen.
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


def _cached_hash(name: str) -> str:
    """The hash of the hub's cached weights: the name of their blob, else their commit."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    bare, _, revision = name.partition("@")
    repository, files = _hub_files(bare)
    for file in files if repository.count("/") == 1 else ():
        try:
            found: Any = try_to_load_from_cache(repository, file, revision=revision or None)
        except HFValidationError:
            return ""  # no name of the hub's: loading it tells so
        if isinstance(found, str):
            path = Path(found)
            single = path.is_symlink() and path.suffix != ".json"  # else several files matter
            return (path.resolve() if single else path.parent).name[:16]
    return ""


def _hub_files(name: str) -> tuple[str, tuple[str, ...]]:
    """The hub's repository of a name and the files to look for, those read first in front."""
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    from pez.models.names import KNOWN

    own = (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    if name.startswith("hf-hub:"):
        return name.removeprefix("hf-hub:"), own
    architecture, _, tag = name.partition("/")
    if known := open_clip.get_pretrained_cfg(architecture, tag):
        repository, _, file = known.get("hf_hub", "").rpartition("/")
        safe = str(Path(file).with_suffix(".safetensors")) if file else ""
        return repository, (safe, file) if file else own
    if (short := name.lower().replace(".", "")) in KNOWN:
        return KNOWN[short].source, ("model_index.json",)
    return name, ("model_index.json", *_TRANSFORMERS)
