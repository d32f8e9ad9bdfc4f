"""Results on disk as JSON lines: written one by one, so that a killed run resumes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pez.errors import PezError
from pez.options import SearchOptions
from pez.result import Result
from pez.tokens import cache_folder


class Journal:
    """Appends results to a file; knows which targets it already holds for these options."""

    def __init__(self, path: Path, options: SearchOptions, temporary: bool = False) -> None:
        self.path, self.temporary = path, temporary
        self._options = options.record()
        self._file: IO[str] | None = None

    def done(self) -> dict[str, Result]:
        """Finished results by their targets; those of changed pictures do not count."""
        found: dict[str, Result] = {}
        if not self.path.is_file():
            return found
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                result = Result.from_json(line)
            except (ValueError, TypeError):
                continue  # a line cut by a kill, or another program's
            if result.options == self._options and not result.interrupted:
                if all(_unchanged(t, result.finished) for t in result.targets):
                    found["\n".join(result.targets)] = result
        return found

    def add(self, result: Result) -> None:
        """Append one result and hand it to the disk before going on."""
        if self._file is None:
            self._file = self._open()
        self._file.write(result.to_json() + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _open(self) -> IO[str]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cut = self.path.is_file() and not _ends_line(self.path)
            file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise PezError(
                f"cannot write {self.path} ({error.strerror}); choose another --output."
            ) from None
        if cut:  # a kill can leave half a line behind
            file.write("\n")
        return file

    def close(self, complete: bool) -> None:
        """Close the file; one kept only for resuming goes once all is done."""
        if self._file:
            self._file.close()
        if self.temporary and complete:
            self.path.unlink(missing_ok=True)


def journal_for(output: str, sources: Sequence[str], options: SearchOptions) -> Journal:
    """The journal at ``output``, or one in the cache folder named by what is searched."""
    if output:
        path = Path(output).expanduser()
        if path.is_dir():
            raise PezError(f"--output {output} is a folder; name a file, such as prompts.jsonl.")
        return Journal(path, options)
    names = json.dumps([options.fingerprint(), [str(Path(s).absolute()) for s in sources]])
    name = hashlib.sha256(names.encode()).hexdigest()[:16]
    return Journal(cache_folder() / "journals" / f"{name}.jsonl", options, temporary=True)


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _unchanged(target: str, finished: float) -> bool:
    """Whether a target file is older than its result; texts and URLs count as unchanged."""
    try:
        return os.stat(target).st_mtime <= finished
    except (OSError, ValueError):
        return True
