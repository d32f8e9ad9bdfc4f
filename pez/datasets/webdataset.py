"""Tar files of pictures as img2dataset writes them and WebDataset reads them.

A sample is a run of members with the same name up to the first dot: a picture, its captions in
``.txt`` and what else is known in ``.json``. Where such a run has no picture by that name, names
are read up to their last dot: ``a.b.jpg`` and ``a.b.txt`` are a sample. Beside ``a.jpg`` a member
``a.mask.png`` is part of its sample, as WebDataset says, and not read. Nothing is unpacked: a
picture is read from its place in the tar when asked for.
"""

from __future__ import annotations

import tarfile
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

from pez.datasets.folder import MOST_BESIDE, beside
from pez.datasets.item import Example, in_split, split_row, text_captions
from pez.errors import PezError, PezWarning
from pez.formats.pictures import is_picture, warn_left_out
from pez.images import MAX_FILE, natural_key

_HEADERS = (  # read whole into memory, whatever their size
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_BLOCK = tarfile.BLOCKSIZE
_DAMAGE = (
    *(tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, MemoryError),
)
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
    bare, damaged, others = 0, 0, []
    for file in sorted(tars, key=lambda f: natural_key(f.relative_to(base))):
        name = file.relative_to(base).as_posix().partition(".tar")[0]
        for run in _runs(file):
            for key, members in _samples(run):
                said = beside(members.get("json", ""))
                damaged += said is None
                if "picture" in members:
                    yield _item(file, f"{name}/{key}", members, said or {})
                else:
                    bare += 1
                    others += members.get("others", [])
    without = f"{bare} sample{'s' * (bare > 1)} without a picture" if bare else ""
    spoilt = f"{damaged} damaged .json" if damaged else ""
    warn_left_out(path, others, without, spoilt)


class _Member(tarfile.TarInfo):
    """A member; one whose long name or attributes claim megabytes is damaged."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > MOST_BESIDE:
            raise tarfile.ReadError("a header claims megabytes")
        return found


Members = list[tuple[str, str, Any]]  # whole name, name up to the first dot, text or member


def _runs(file: Path) -> Iterator[Members]:
    """Consecutive members whose names are equal up to the first dot, in one pass: texts as text,
    others as they are.
    """
    run: Members = []
    try:
        with tarfile.open(file, tarinfo=_Member) as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[assignment]  # millions would fill the memory
                folder, _, base = member.name.rpartition("/")
                if not member.isfile() or base.startswith("."):
                    continue
                stem = f"{folder}/{base.partition('.')[0]}".strip("./")
                if run and run[0][1] != stem:
                    yield run
                    run = []
                held: Any = member
                if base.lower().endswith((".txt", ".json")):
                    if member.size > MOST_BESIDE:
                        said = f"{file}#{member.name} is over {MOST_BESIDE >> 20} MB; left out."
                        warnings.warn(said, PezWarning, stacklevel=2)
                        continue
                    stream = tar.extractfile(member)
                    held = stream.read().decode(errors="replace") if stream else ""
                run.append((member.name, stem, held))
            _check_end(tar)
            if run:
                yield run
    except _DAMAGE as error:
        why = str(error).split("\n")[-1].strip(" -") or type(error).__name__
        raise PezError(f"{file} is damaged or not a tar ({why}); make or copy it again.") from error


def _check_end(tar: tarfile.TarFile) -> None:
    """TarError unless the archive ends where its last member does: Python's reader takes a
    damaged header for the end, and one archive after another is no archive.
    """
    stream: Any = tar.fileobj
    stream.seek(tar.offset)
    first = stream.read(_BLOCK)
    if first.strip(b"\0"):
        raise tarfile.ReadError(f"a damaged header at byte {tar.offset:,}")
    while rest := stream.read(1024 * _BLOCK):
        if rest.strip(b"\0"):
            raise tarfile.ReadError(f"more than zeros after its end at byte {tar.offset:,}")


def _samples(run: Members) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and what each has: its ``picture``, texts by their suffix, and ``others``."""
    plain: dict[str, dict[str, Any]] = {}
    dotted: dict[str, dict[str, Any]] = {}
    for name, stem, held in run:
        folder, _, base = name.rpartition("/")
        key, _, suffix = base.rpartition(".")
        inner = f"{folder}/{key}".strip("./") if suffix and key else stem
        group = plain if inner == stem else dotted
        _put(group.setdefault(inner, {}), name, held)
    main = next(iter(plain.values()), None)
    if main is not None and ("picture" in main or not dotted):
        dotted = {}
    elif any("picture" in members for members in dotted.values()):
        plain = {} if not main or "others" not in main else plain
    yield from {**plain, **dotted}.items()


def _put(members: dict[str, Any], name: str, held: Any) -> None:
    if isinstance(held, str):
        members[name.lower().rpartition(".")[2]] = held
    elif is_picture(Path(name)):
        members.setdefault("picture", held)
    else:
        members.setdefault("others", []).append(Path(name))


def _item(file: Path, name: str, members: dict[str, Any], row: dict[str, Any]) -> Example:
    captions, attributes, prompt = split_row(row, text_captions(members.get("txt", "")))
    member: tarfile.TarInfo = members["picture"]
    read = partial(read_member, str(file), member.name, member.offset_data, member.size)
    return Example(name, captions, attributes, f"{file}#{member.name}", read, prompt)


def read_member(file: str, name: str, offset: int, size: int) -> bytes:
    """The bytes of a member, by its place in the (unpacked) tar."""
    if size > MAX_FILE:
        raise PezError(f"{file}#{name} is over {MAX_FILE // 10**6} MB, too much for a picture.")
    try:
        with tarfile.open(file, tarinfo=_Member) as tar:  # its file object unpacks a .tar.gz
            stream: Any = tar.fileobj
            stream.seek(offset)
            data = stream.read(size)
    except _DAMAGE as error:
        why = str(error) or type(error).__name__
        raise PezError(f"{file}#{name} cannot be read ({why}); copy the tar again.") from error
    if len(data) < size:
        raise PezError(f"{file}#{name} is cut off; make or copy the tar again.")
    return data
