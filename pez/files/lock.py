"""One run at a time: the lock on a file or folder that is written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pez.errors import PezError
from pez.files import FULL, HEAD

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)  # another has the lock
LOCK = "pez-lock"
RECORD = b'{"process": '  # how a lock's file begins


class InUse(PezError):
    """Another run has a file or folder."""


class Lock:
    """The right to write a file or folder, for one run at a time; PezError if another run has it
    (:class:`InUse`) or nothing can be written there.

    The lock is the operating system's, on a hidden file beside the file or in the folder. So it
    excludes threads and processes, and ends with its process however that ends. The hidden file
    names the owner; where the disk has no locks, it is the lock, as long as the owner lives.
    Devices and pipes have none.
    """

    def __init__(
        self, path: Path, *, folder: bool = False, remedy: str = "choose another --output"
    ) -> None:
        self.path, self._fd = path, -1
        target = Path(os.path.realpath(path))
        # a pipe of the shell's, /dev/stdout or >(command), has a name but no real path
        if not folder and os.path.exists(path) and not os.path.isfile(path):
            return
        name = f".{target.name}.{LOCK}"
        if len(os.fsencode(name)) > 255:
            name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.{LOCK}"
        self._file = target / f".{LOCK}" if folder else target.with_name(name)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            while not self._take():
                time.sleep(0.01)  # its owner is just leaving
        except OSError as error:
            remedy = "free some space on the disk" if error.errno in FULL else remedy
            raise PezError(f"cannot write {path} ({error.strerror or error}); {remedy}.") from None
        except InUse as error:
            raise InUse(f"{path} is in use by another run of pez ({error}); {remedy}.") from None

    def release(self) -> None:
        """Let others write. May be called twice."""
        if self._fd >= 0:
            with suppress(OSError):
                self._file.unlink()  # while it is locked: nobody's new lock is removed
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def _take(self) -> bool:
        """Whether it is taken; False if the file was removed meanwhile."""
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(fd)
            text = os.read(fd, HEAD)
            if text and not text.startswith(RECORD):
                raise OSError(errno.EEXIST, f"{self._file.name} is there and is no lock")
            owner = _owner(text)
            if locked is False or (locked is None and _lives(owner)):
                raise InUse(_told(owner))
            if not self._file.exists() or not os.path.samestat(os.fstat(fd), self._file.stat()):
                return False
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, json.dumps(_this_process()).encode())
            self._fd, fd = fd, -1
            return True
        finally:
            if fd >= 0:
                os.close(fd)


def _lock(fd: int) -> bool | None:
    """Lock an open file; whether that succeeded, None where the disk has no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(fd, HEAD, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in HELD else None
    return True


def _this_process() -> dict[str, Any]:
    own: dict[str, Any] = {
        "process": os.getpid(),
        "host": platform.node(),
        "since": time.strftime("%F %T"),
    }
    return own | {"started": _started(os.getpid()), "space": _space()}


def _started(process: int) -> str:
    """When a process of this machine started, in clock ticks; "" if it does not run."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _space() -> str:
    """What process numbers belong to: one start of one machine, or of one container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _owner(text: bytes) -> dict[str, Any]:
    """What a lock's file says of its owner; nothing while that is being written."""
    with suppress(ValueError):
        return json.loads(text)
    return {}


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the owner may still be running: those of other machines are assumed to."""
    if not owner or owner.get("space") != _space() or not _space():
        return bool(owner)
    return _started(owner["process"]) == owner.get("started")


def _told(owner: dict[str, Any]) -> str:
    if not owner:
        return "which is just starting"
    elsewhere = f" on {owner['host']}" if owner.get("host") != platform.node() else ""
    return f"process {owner['process']}{elsewhere}, since {owner.get('since')}"
