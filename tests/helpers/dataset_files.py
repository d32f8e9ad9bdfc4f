"""Small files of the kinds that data sets come in, for the tests of their loaders."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from common import drawn

from pez.datasets import Example, open_dataset

# a column of pictures as the hub has it
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


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


def items(name: str, path: Path | str = "", split: str = "") -> list[Example]:
    return list(open_dataset(name, split=split, path=str(path)))


def parquet(path: Path, rows: list[dict[str, Any]], schema: list[tuple[str, Any]]) -> Path:
    """A parquet file of row groups of two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(schema)), path, row_group_size=2)
    return path


CELEBA = [("image", PICTURE), ("Male", pa.int64()), ("Smiling", pa.int64()), ("Young", pa.int64())]


def celeba(folder: Path, named: bool = True) -> Path:
    """Three splits of five, in the hub's layout."""
    for split in ("train", "validation", "test"):
        rows = []
        for n in range(5):
            image = {"bytes": png(n), "path": f"{n:06d}.jpg" if named else None}
            rows.append({"image": image, "Male": -1, "Smiling": 1, "Young": -1 + 2 * (n % 2)})
        rows[3]["image"]["bytes"] = None
        rows = [row | {"prompt_string": "her words"} for row in rows]
        schema = [*CELEBA, ("prompt_string", pa.string())]
        parquet(folder / f"data/{split}-00000-of-00001.parquet", rows, schema)
    return folder
