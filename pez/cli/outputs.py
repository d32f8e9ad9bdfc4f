"""The files that a search writes beside its journal: embeddings, a table, captions."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pez.errors import PezError
from pez.files import Own, check_own, head, output_path, write_whole
from pez.files.download import is_web
from pez.files.lock import Lock
from pez.formats.tables import read_table, write_table
from pez.result import Result
from pez.session.embeddings import (
    EMBEDDINGS,
    check_ending,
    holds_embeddings_of,
    save_embeddings,
    target_mark,
    target_of,
)

COLUMNS = ("image", "prompt", "score")
TABLE = Own(
    "a table of prompts that pez wrote",
    lambda path: head(path).split(b"\n")[0].rstrip(b"\r") == ",".join(COLUMNS).encode(),
)
SELDOM = 20  # a table is written again after this many times what writing it takes
LONGEST = 200  # bytes of a file's name without its ending


class Output(Protocol):
    """Something that a run writes as results come."""

    def has(self, name: str, result: Result) -> bool:
        """Whether an earlier run's result needs no new search."""
        ...

    def add(self, name: str, result: Result) -> None:
        """Write the result of an input."""
        ...

    def close(self) -> None:
        """Write the rest, and let others write there. May be called twice."""
        ...


class Embeddings:
    """A run's embeddings: the file ``output``, for several inputs a folder with a file each, named
    after its picture (a text's by a hash). Pictures of one name are numbered; ``renamed`` says
    which. PezError if the method has none, or they cannot be written there.
    """

    def __init__(self, output: str, names: Sequence[str], method: str, pictures: bool) -> None:
        from pez.methods import method_class

        many = len(names) > 1
        self._base = output_path(output)
        self._lock: Lock | None = None
        if not method_class(method).finds_embeddings:
            raise PezError(
                f"--output-embeddings: {method} finds words, not embeddings; add --method soft."
            )
        if self._base.exists() and self._base.is_dir() != many:
            kind = "file" if many else "folder"
            wanted = "folder for several inputs" if many else "file for one input"
            raise PezError(f"--output-embeddings {output} is a {kind}; name a {wanted}.")
        remedy = "choose another --output-embeddings"
        if not many:
            check_own(check_ending(self._base), EMBEDDINGS, remedy)
        self._lock = Lock(self._base, folder=many, remedy=remedy)
        self._many = many
        self._paths: dict[str, Path] = {}
        self.renamed: list[str] = []
        if many and pictures:
            self._name(names)

    def _name(self, names: Sequence[str]) -> None:
        """Give each picture the first free name after its own."""
        taken: set[str] = set()
        for name in names:
            stem, number = stem_of(name), 1
            path = self._base / f"{stem}.safetensors"
            while path.name.lower() in taken or not _is_free(path, name):
                number += 1
                path = self._base / f"{stem}-{number}.safetensors"
            taken.add(path.name.lower())
            self._paths[name] = path
            if number > 1:
                self.renamed.append(f"{name}: its embeddings go to {path}.")

    def has(self, name: str, result: Result) -> bool:
        """Whether the result's are written; only the search has them."""
        return result.soft_score is not None and holds_embeddings_of(
            self._path(name, result), result
        )

    def add(self, name: str, result: Result) -> None:
        """Write one result's, if they are not."""
        if result.embeddings is not None or not self.has(name, result):
            save_embeddings(result, self._path(name, result))

    def _path(self, name: str, result: Result) -> Path:
        if name in self._paths:
            return self._paths[name]
        return self._base / f"{result.key}.safetensors" if self._many else self._base

    def close(self) -> None:
        """Let others write there."""
        if self._lock:
            self._lock.release()


def stem_of(name: str) -> str:
    """The name of a picture, a path or an address, without its folder and ending, as it can
    begin a file's.
    """
    path = unquote(urlsplit(name).path) if is_web(name) else name
    stem = re.sub(r"[\x00-\x1f/\\]", "_", Path(path).stem).lstrip(".")
    stem = {"": "picture", "-": "stdin"}.get(stem, stem)
    return os.fsdecode(os.fsencode(stem)[:LONGEST])


def _is_free(path: Path, name: str) -> bool:
    """Whether a file is not there, or holds the embeddings of the picture ``name``."""
    return not os.path.lexists(path) or target_of(path) == target_mark(name)


class Table:
    """A run's prompts as CSV: image, prompt and score, a row for each alternative, in the order of
    the inputs. Rows of other pictures in the file stay. It is always whole: written as results
    come, though not more often than costs little, and at the end. Rows of these pictures with other
    prompts give way, and a ``note`` says how many did.
    """

    def __init__(self, output: str, names: Sequence[str], note: Callable[[str], None]) -> None:
        self.path = output_path(output)
        if self.path.suffix.lower() != ".csv":
            raise PezError(f"--csv {output}: name a file that ends with .csv.")
        remedy = "choose another --csv"
        check_own(self.path, TABLE, remedy)
        self._lock = Lock(self.path, remedy=remedy)
        # a run with --together has the pictures of its one prompt in one name, a line each
        self._ours = dict.fromkeys(image for name in names for image in name.split("\n"))
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._old: dict[str, list[dict[str, Any]]] = {}
        self._changed, self._next = False, 0.0
        self._replaced, self._note = 0, note
        try:
            self._read()
        except BaseException:
            self._lock.release()
            raise

    def _read(self) -> None:
        if not self.path.is_file() or not self.path.stat().st_size:
            return
        for _, row in list(read_table(self.path, "choose another --csv"))[1:]:
            kept: dict[str, Any] = dict(row)
            with suppress(ValueError):  # a number below 0 is no formula
                kept["score"] = float(row["score"])
            self._old.setdefault(row["image"], []).append(kept)

    def has(self, name: str, result: Result) -> bool:
        """Always: it is added as it is."""
        return True

    def add(self, name: str, result: Result) -> None:
        """Take the rows of an input, and write them soon."""
        found = result.alternatives or [{"prompt": result.prompt, "score": result.score}]
        for image in name.split("\n"):
            rows = [
                {
                    "image": image,
                    "prompt": " ".join(one["prompt"].split()),
                    "score": round(one["score"], 4),
                }
                for one in found
            ]
            before = self._rows.get(image) or self._old.get(image, [])
            if rows != before:
                texts = {row["prompt"] for row in rows}
                lost = sum(row["prompt"] not in texts for row in before)
                self._replaced += lost if image in self._old else 0
                self._changed = True
            self._rows[image] = rows
        if time.monotonic() >= self._next:
            self._write()

    def close(self) -> None:
        """Write what is not written yet."""
        try:
            self._write()
            if self._replaced:
                self._note(f"{self._replaced} older prompts in {self.path} were replaced.")
                self._replaced = 0
        finally:
            self._lock.release()

    def _write(self) -> None:
        if not self._changed:
            return
        begin = time.monotonic()
        others = [row for image, own in self._old.items() if image not in self._ours for row in own]
        ours = [self._rows.get(image) or self._old.get(image, []) for image in self._ours]
        rows = [*others, *chain.from_iterable(ours)]
        content = write_table(COLUMNS, rows).encode("utf-8", "backslashreplace")
        self._changed = False  # also if it fails: it would fail again
        write_whole(self.path, content, remedy="choose another --csv", durable=False)
        now = time.monotonic()
        self._next = now + SELDOM * (now - begin)


class Captions:
    """A run's prompts as ``NAME.txt`` beside each picture, as trainers read captions. A file that
    is there and holds none of ``known`` prompts of its picture is refused unless ``overwrite``.
    PezError too for what has no folder, and for pictures that would share a file.
    """

    def __init__(
        self, names: Sequence[str], known: Mapping[str, set[str]], overwrite: bool
    ) -> None:
        self._paths = {name: _beside(name) for name in names}
        self._locks: list[Lock] = []
        owners: dict[str, str] = {}
        for name, path in self._paths.items():
            other = owners.setdefault(os.path.realpath(path), name)
            if other != name:
                raise PezError(f"{other} and {name} would share {path}; use --csv, or rename one.")
        mine = [n for n, path in self._paths.items() if not _is_caption(path, known.get(n, set()))]
        if mine and not overwrite:
            more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
            raise PezError(
                f"{self._paths[mine[0]]}{more} exist{'' if more else 's'} and hold"
                f"{'' if more else 's'} no prompt of this run; move it, or add --overwrite."
            )
        try:
            for folder in dict.fromkeys(path.parent for path in self._paths.values()):
                self._locks.append(Lock(folder, folder=True, remedy="use --csv instead of --txt"))
        except BaseException:
            self.close()
            raise

    def has(self, name: str, result: Result) -> bool:
        """Always: it is added as it is."""
        return True

    def add(self, name: str, result: Result) -> None:
        """Write the prompt of a picture."""
        text = " ".join(result.prompt.split()) + "\n"
        path = self._paths[name]
        if not _is_caption(path, {text.strip()}) or not _has_text(path):
            content = text.encode("utf-8", "backslashreplace")
            write_whole(path, content, remedy="use --csv instead of --txt")

    def close(self) -> None:
        """Let others write there."""
        for lock in self._locks:
            lock.release()


def _beside(name: str) -> Path:
    if "\n" in name:
        raise PezError("--txt writes a prompt beside each picture; omit --together, or use --csv.")
    if is_web(name) or name == "-" or not os.path.isfile(name):
        raise PezError(f"--txt writes beside pictures, and {name} has no folder; use --csv.")
    path = Path(name).with_suffix(".txt")
    if path.name == Path(name).name:
        raise PezError(f"{name} has the name of its own caption; rename it, or use --csv.")
    return path


def _has_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _is_caption(path: Path, prompts: set[str]) -> bool:
    """Whether a file is missing, empty, or holds one of the prompts."""
    if not os.path.lexists(path) or (path.is_file() and not path.stat().st_size):
        return True
    with suppress(OSError):
        if path.is_file():
            most = 4 * max(map(len, prompts), default=0) + 2
            with path.open("rb") as file:
                text = file.read(most + 1).decode("utf-8", "replace")
            return text.strip() in prompts
    return False
