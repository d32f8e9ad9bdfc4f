"""Tar files of pictures as img2dataset writes them and WebDataset reads them.

A sample is a run of members with the same name up to the first dot: a picture (``.jpg``, ``.png``,
``.webp``), its captions in ``.txt`` and what else is known in ``.json``. Nothing is unpacked:
a picture is read from its place in the tar when asked for.
"""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

from pez.datasets.folder import MOST_BESIDE, beside
from pez.datasets.item import Example, in_split, split_row, text_captions
from pez.errors import PezError, PezWarning
from pez.images import MAX_FILE, natural_key

_HEADERS = (  # read whole into memory, whatever their size
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_PICTURES = ("jpg", "jpeg", "png", "webp")
_LAYOUT = "tar files of .jpg, .txt and .json, as img2dataset --output_format webdataset writes"


def load(split: str, path: str) -> Iterator[Example]:
    """Items of a tar file, or of all those in a folder and below.

    A split is recognised by the tars' names or folders (``train-00000.tar``, ``train/00000.tar``).
    The id is the tar's name and the key: ``00000/000000012``. A sample without a picture (its
    download failed) is omitted.
    """
    root = Path(path)
    if not path or not root.exists():
        raise PezError(f"{path!r} does not exist; give a path with {_LAYOUT}.")
    base = root if root.is_dir() else root.parent
    found = [f for f in root.rglob("*.tar*") if f.is_file()] if root.is_dir() else [root]
    tars = [file for file in found if in_split(str(file.relative_to(base)), split)]
    if not tars:
        raise PezError(f"{path} holds no tar file of split {split!r}; give {_LAYOUT}.")
    for file in sorted(tars, key=lambda f: natural_key(f.relative_to(base))):
        name = file.relative_to(base).as_posix().partition(".tar")[0]
        for key, members in _samples(file):
            yield from _item(file, f"{name}/{key}", members)


class _Member(tarfile.TarInfo):
    """A member; one whose long name or attributes claim megabytes is damaged."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > MOST_BESIDE:
            raise tarfile.ReadError("a header claims megabytes")
        return found


def _samples(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and, by suffix, texts (str) and the members that are pictures, in one pass."""
    key, members = "", {}
    try:
        with tarfile.open(file, tarinfo=_Member) as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[assignment]  # millions would fill the memory
                folder, _, base = member.name.rpartition("/")
                if not member.isfile() or base.startswith("."):
                    continue
                stem, _, suffix = base.partition(".")
                own = f"{folder}/{stem}".strip("./")
                if own != key:
                    if members:
                        yield key, members
                    key, members = own, {}
                kind = suffix.lower()
                if kind in _PICTURES:
                    members["picture"] = member
                elif kind in ("txt", "json") and member.size > MOST_BESIDE:
                    said = f"{file}#{member.name} is over {MOST_BESIDE >> 20} MB and is left out."
                    warnings.warn(said, PezWarning, stacklevel=2)
                elif kind in ("txt", "json"):
                    stream = tar.extractfile(member)
                    members[kind] = stream.read().decode(errors="replace") if stream else ""
            if members:
                yield key, members
    except (tarfile.TarError, OSError, EOFError, MemoryError) as error:
        why = str(error).split("\n")[-1].strip(" -") or type(error).__name__
        raise PezError(f"{file} is damaged or not a tar ({why}); make or copy it again.") from error


def _item(file: Path, name: str, members: dict[str, Any]) -> Iterator[Example]:
    if "picture" not in members:
        return
    captions, attributes, prompt = split_row(
        beside(members.get("json", "")), text_captions(members.get("txt", ""))
    )
    member: tarfile.TarInfo = members["picture"]
    read = partial(read_member, str(file), member.name, member.offset_data, member.size)
    yield Example(name, captions, attributes, f"{file}#{member.name}", read, prompt)


def read_member(file: str, name: str, offset: int, size: int) -> bytes:
    """The bytes of a member, by its place in the (unpacked) tar."""
    if size > MAX_FILE:
        raise PezError(f"{file}#{name} is over {MAX_FILE // 10**6} MB, too much for a picture.")
    try:
        with tarfile.open(file, tarinfo=_Member) as tar:  # its file object unpacks a .tar.gz
            stream: Any = tar.fileobj
            stream.seek(offset)
            data = stream.read(size)
    except (tarfile.TarError, OSError, EOFError, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise PezError(f"{file}#{name} cannot be read ({why}); copy the tar again.") from error
    if len(data) < size:
        raise PezError(f"{file}#{name} is cut off; make or copy the tar again.")
    return data
