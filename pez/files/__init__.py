"""Files: written whole or not at all, and only over our own; the cache for later runs; the
shipped data.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pez.errors import PezError

MOST_TEXT = 64 << 20  # bytes of a list of words, a plan and the like, which are read whole
FULL = (errno.ENOSPC, errno.EDQUOT)
HEAD = 8192  # bytes in which a file's own mark is looked for


@dataclass(frozen=True)
class Own:
    """A kind of file that pez writes: ``what`` it is in an error, and whether a file ``is_one``."""

    what: str
    is_one: Callable[[Path], bool]


def marked(what: str, *marks: bytes) -> Own:
    """A kind of file that has one of ``marks`` near its beginning."""
    return Own(what, lambda path: any(mark in head(path) for mark in marks))


def head(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD)


def check_own(path: Path, own: Own, remedy: str = "choose another place") -> None:
    """PezError, which ends with ``remedy``, for a file that is not of the kind ``own``: what pez
    did not write it neither replaces nor appends to. An empty file is nobody's.
    """
    target = os.path.realpath(path)
    try:
        if not os.path.isfile(target) or not os.path.getsize(target) or own.is_one(Path(target)):
            return
    except OSError as error:
        raise PezError(f"cannot read {path} ({error.strerror or error}); {remedy}.") from None
    raise PezError(f"{path} exists and is not {own.what}; {remedy}.")


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` as the home folder; unchanged where that user has none."""
    try:
        return Path(os.path.expanduser(path))
    except ValueError:  # a zero byte, which no user's name has
        return Path(path)


def output_path(path: str | os.PathLike[str]) -> Path:
    """:func:`user_path` of what is to be written. PezError for the home folder of nobody."""
    found = user_path(path)
    if str(found).startswith("~"):
        raise PezError(
            f"no home folder is known for {str(path)!r}; write the whole path, or ./{path} for a "
            "file of that name."
        )
    return found


def write_whole(
    path: Path,
    content: bytes | Callable[[Path], object],
    *,
    remedy: str = "choose another place",
    folder: Path | None = None,
    durable: bool = True,
    own: Own | None = None,
) -> os.stat_result:
    """Write a file atomically: a reader finds the old file or the new one, even after a kill.
    Missing folders are created; an old file's permissions stay, and a link stays a link.

    ``content`` is the file's bytes, or a function that writes them at the path it is given.
    They are written beside the file, or in ``folder`` of the same disk, and then renamed; with
    ``durable`` they are flushed to the disk first. Returns the new file's status. Raises PezError,
    which ends with ``remedy``, if it cannot be written, or if there is a file that is not of the
    kind ``own`` (:func:`check_own`); nothing is left behind.
    """
    if own:
        check_own(path, own, remedy)
    target = Path(os.path.realpath(path))
    part = (folder or target.parent) / f".pez-{secrets.token_hex(8)}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_protected(target)
        # created with the permissions of the user's files
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if isinstance(content, bytes):
            part.write_bytes(content)
        else:
            content(part)
        if target.is_file():
            shutil.copymode(target, part)
        with part.open("rb+") as file:
            if durable:
                os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        os.replace(part, target)
        return status
    except OSError as error:
        remedy = "free some space on the disk" if error.errno in FULL else remedy
        raise PezError(f"cannot write {path} ({error.strerror or error}); {remedy}.") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _refuse_protected(target: Path) -> None:
    """OSError for a protected file, a folder and a device: renaming would replace them."""
    if target.exists() and not target.is_file():
        code = errno.EISDIR if target.is_dir() else errno.EINVAL
        raise OSError(code, "it is not a plain file" if code == errno.EINVAL else os.strerror(code))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def open_plain(path: str | Path, most: int) -> io.BufferedReader:
    """A plain file, open for reading. PezError, before anything is read, for a pipe, a socket or
    a device, which may block or never end, and for more than ``most`` bytes; other errors of
    the system pass through.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        info = os.fstat(number)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(info.st_mode):
            raise PezError(f"{path} is a pipe or a device; give a plain file.")
        if info.st_size > most:
            raise PezError(f"{path} is over {most // 10**6} MB; give a smaller file.")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_plain(path: str | Path, most: int) -> bytes:
    """The bytes of a plain file; errors as of :func:`open_plain`."""
    with open_plain(path, most) as file:
        return file.read(most)


def keep_file(path: Path, content: bytes) -> None:
    """Write a file of the cache. If the disk is full or the home read-only nothing is cached:
    the only cost is to compute it again at each start.
    """
    with suppress(PezError):
        write_whole(path, content, durable=False)


def kept_ids(name: str, find: Callable[[], list[int]]) -> list[int]:
    """The ids that ``find`` returns, cached under ``name``.

    The file begins with a digest of the ids that follow: a truncated or changed file is
    detected and written again.
    """
    folder = cache_folder()
    if folder is None:
        return find()
    path = folder / f"{name}.txt"
    with suppress(OSError, ValueError):  # it is missing or not text
        digest, _, text = path.read_text(encoding="ascii").partition("\n")
        if digest == _digest(text):
            return [int(i) for i in text.split()]
    ids = find()
    text = " ".join(map(str, ids))
    keep_file(path, f"{_digest(text)}\n{text}".encode("ascii"))
    return ids


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache_folder() -> Path | None:
    """The folder for small cached results: ``PEZ_CACHE`` or the user's cache folder; None for a
    user without a home.
    """
    if base := os.environ.get("PEZ_CACHE"):
        return user_path(base)
    folder = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pez"
    return None if str(folder).startswith("~") else folder


@cache
def data_folder() -> Path:
    """``data/`` of the installed package or of the checkout."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "data", here.parent / "data"):
        if (folder / "models").is_dir():
            return folder
    raise PezError("the shipped data folder is missing; install the package again.")
