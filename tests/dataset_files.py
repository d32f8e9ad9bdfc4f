"""Small files of the kinds that data sets come in, for the tests of their loaders."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from conftest import drawn


def png(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    drawn(seed).save(stream, "PNG")
    return stream.getvalue()


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def tar(path: Path, members: dict[str, bytes | str], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as out:  # type: ignore[call-overload]
        for name, data in members.items():
            raw = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            out.addfile(info, io.BytesIO(raw))
    return path
