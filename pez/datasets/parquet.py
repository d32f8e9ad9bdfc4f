"""Parquet files from a folder or the hub: rows are streamed without their pictures.

The bytes of a picture are read from its row group when asked for, so that drawing a hundred
pictures from two hundred thousand downloads only what is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pez.datasets.item import in_split
from pez.errors import PezError

_HUB = "hf://datasets/"
CONVERTED = "refs/convert/parquet"  # where the hub keeps what it makes of sets in other formats


def parquet_files(repo: str, split: str, path: str, layout: str) -> list[str]:
    """The parquet files of a split in order: of a local file or folder, else of the hub.

    Those of the hub are named ``hf://datasets/owner/name/file``, with ``@refs/convert/parquet``
    behind the name where only the hub's own conversion is parquet. ``layout`` says which files to
    put into a folder by hand. PezError if there are none, or the hub cannot be reached.
    """
    if path:
        root = Path(path)
        if not root.exists():
            raise PezError(f"{path} does not exist; give a folder with {layout}.")
        found = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
        names = [str(file.relative_to(root)) if root.is_dir() else root.name for file in found]
        files = [str(file) for file in found]
    else:
        names, mark = sorted(_hub_files(repo, layout)), ""
        if not names:
            names, mark = sorted(_hub_files(repo, layout, CONVERTED)), f"@{CONVERTED}"
        files = [f"{_HUB}{repo}{mark}/{name}" for name in names]
    if not files:
        raise PezError(f"{path or repo} holds no parquet file; give a folder with {layout}.")
    chosen = [file for name, file in zip(names, files, strict=True) if in_split(name, split)]
    if not chosen:
        raise PezError(f"no file of {path or repo} is of split {split!r}: {', '.join(names[:5])}.")
    return chosen


def parquet_rows(
    files: Sequence[str], picture: str = "", skip: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any], partial[bytes]]]:
    """For each row: where it is (``file#row``), its cells, and a reader of its picture.

    ``picture`` names the column of pictures (binary, or a struct of ``bytes`` and ``path`` as
    the hub has it), of which only the path is among the cells; columns in ``skip`` are omitted.
    """
    for file in files:
        with _explained(file), _opened(file) as table:
            heavy = _heavy(table, picture) if picture else ""
            columns = [name for name in _leaves(table) if name != heavy and name not in skip]
            place = 0
            for group in range(table.num_row_groups):
                row = 0
                for batch in table.iter_batches(1024, [group], columns):
                    for cells in batch.to_pylist():
                        read = partial(read_cell, file, group, row, heavy)
                        yield f"{file}#{place}", cells, read
                        row, place = row + 1, place + 1


def read_cell(file: str, group: int, row: int, column: str) -> bytes:
    """The bytes in one cell; ``column`` may be a part of a struct, as ``image.bytes``."""
    with _explained(file):
        value = _column(file, _stamp(file), group, column)[row].as_py()
    return value or b""


@lru_cache(maxsize=2)  # pictures are mostly read in order, many consecutive ones from one row group
def _column(file: str, _stamp: tuple[int, ...], group: int, column: str) -> Any:
    with _opened(file) as table:
        cells = table.read_row_group(group, [column]).column(0).combine_chunks()
    for part in column.split(".")[1:]:
        cells = cells.field(part)
    return cells


def _stamp(file: str) -> tuple[int, ...]:
    """Differs once a local file was changed."""
    if file.startswith(_HUB):
        return ()
    info = os.stat(file)
    return info.st_mtime_ns, info.st_size


def _leaves(table: Any) -> list[str]:
    """Columns and the parts of struct columns, by their dotted names."""
    names: list[str] = []
    for field in table.schema_arrow:
        struct = str(field.type).startswith("struct")
        parts = [field.type.field(n).name for n in range(field.type.num_fields)] if struct else []
        names += [f"{field.name}.{part}" for part in parts] or [field.name]
    return names


def _heavy(table: Any, picture: str) -> str:
    """The column of the bytes of pictures."""
    names = _leaves(table)
    for name in (f"{picture}.bytes", picture):
        if name in names:
            return name
    raise PezError(f"there is no column {picture!r} of pictures, only {', '.join(names[:12])}.")


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise PezError("parquet files need pyarrow; pip install 'pez-prompts[eval]'.") from None
    opened = _hub().open(file.removeprefix("hf://"), "rb") if file.startswith(_HUB) else None
    with opened or open(file, "rb") as stream, ParquetFile(stream) as table:
        yield table


def _hub() -> Any:
    from huggingface_hub import HfFileSystem

    return HfFileSystem(endpoint=os.environ.get("HF_ENDPOINT"))


def cached_snapshots(repo: str) -> Iterator[str]:
    """The folders of a data set in the hub's cache: as it was last fetched by any program, then
    the hub's conversion to parquet.
    """
    from huggingface_hub import snapshot_download

    for revision in (None, CONVERTED):
        with suppress(Exception):  # what is not there, the client reports in several ways
            yield snapshot_download(
                repo, repo_type="dataset", revision=revision, local_files_only=True
            )


def _hub_files(repo: str, layout: str, revision: str | None = None) -> list[str]:
    """The parquet files of a data set on the hub."""
    try:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        # unlike list_repo_files, this does not retry for half a minute without a network
        told = api.dataset_info(repo, revision=revision, timeout=30.0).siblings or []
    except Exception as error:  # the client and its dependencies raise dozens of types
        status = getattr(getattr(error, "response", None), "status_code", None)
        if revision and status == 404:
            return []  # nothing was converted
        by_hand = f"or download it by hand and give a folder with {layout} as path"
        if status in (401, 403):
            mend = f"accept its terms on its page and run `hf auth login`, {by_hand}"
            raise PezError(f"the hub refuses {repo} (HTTP {status}); {mend}.") from error
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        mend = f"check the connection, {by_hand}"
        raise PezError(f"{repo} cannot be downloaded from the hub ({why}); {mend}.") from error
    return [file.rfilename for file in told if file.rfilename.endswith(".parquet")]


@contextmanager
def _explained(file: str) -> Iterator[None]:
    try:
        yield
    except (PezError, GeneratorExit):
        raise
    except Exception as error:  # pyarrow's own errors are ValueError, OSError and others
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise PezError(f"{file} cannot be read ({why}); download it again.") from error
