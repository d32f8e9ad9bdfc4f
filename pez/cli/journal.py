"""Results on disk as JSON lines: written one by one, so that a killed run resumes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO

from pez.errors import PezError
from pez.files import cache_folder, write_whole
from pez.methods import record_of
from pez.options import SearchOptions
from pez.result import Result


class Journal:
    """Appends results to a file; knows which targets it already holds for these options and the
    current weights of the models (``weights`` returns them, called only if needed).

    A temporary one serves only to resume: it is deleted when all is done, and if it cannot be
    written the search continues without it.
    """

    def __init__(
        self,
        path: Path,
        options: SearchOptions,
        weights: Callable[[], dict[str, str]],
        temporary: bool = False,
    ) -> None:
        self.path, self.temporary = path, temporary
        self.older: dict[str, Result] = {}  # by their targets: results that may be of other weights
        self._weights = cache(weights)
        self._history, self._options = options.history, record_of(options)
        self._new = not os.path.lexists(path)
        self._file = self._open()
        self.kept = self._file is not None  # whether a later run will find what is added

    def done(self) -> dict[str, Result]:
        """Finished results of these options and weights, by their targets. ``older`` has those
        that differ only in the weights, and those of an earlier version of pez that did not
        record its settings, where this is unknown.
        """
        found: dict[str, Result] = {}
        for line in self._lines():
            result = _parsed(line)
            if result is None or result.interrupted or (self._history and not result.history):
                continue
            ours = result.options == self._options
            if not ours and "settings" in result.options:
                continue
            history = result.history if self._history else None
            kept = found if ours and self._same_weights(result) else self.older
            kept["\n".join(result.targets)] = replace(result, history=history)
        return found

    def add(self, result: Result) -> None:
        """Append one result and flush it to the disk before continuing."""
        if self._file is None:
            return
        try:
            self._file.write(result.to_json() + "\n")
            self._file.flush()
            if self.path.is_file():
                os.fsync(self._file.fileno())
        except OSError as error:
            self._close()
            self.kept = False
            self._fail(error)

    def close(self, complete: bool) -> None:
        """Close the file; delete a temporary one if all is done."""
        self._close()
        if not self.path.is_file():
            return
        empty = self._new and not self.path.stat().st_size
        if empty or (self.temporary and complete):
            self.path.unlink()
        elif complete:
            self._tidy()

    def _open(self) -> IO[str] | None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_file() and not _is_ours(self.path):
                raise ValueError("it holds something other than results")
            cut = self.path.is_file() and not _ends_line(self.path)
            # names that are not UTF-8 are written as JSON escapes
            file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
            if cut:  # a killed run can leave half a line
                file.write("\n")
            return file
        except (OSError, ValueError) as error:
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        if not self.temporary:
            why = getattr(error, "strerror", None) or error
            raise PezError(f"cannot write {self.path} ({why}); choose another --output.") from None

    def _close(self) -> None:
        try:
            if self._file:
                self._file.close()
        except OSError:
            pass  # what was written is flushed; the rest was reported
        self._file = None

    def _lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        # not splitlines: it also breaks at characters that may occur inside a JSON text
        return self.path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")

    def _read(self, line: str) -> Result | None:
        """The result in a line, if it is for these options."""
        result = _parsed(line)
        return result if result and result.options == self._options else None

    def _same_weights(self, result: Result) -> bool:
        """Whether a result was found with the current weights. Those that cannot be known without
        a download are assumed to be the same, as are pictures on the web.
        """
        told = result.weights or {}
        return all(told.get(name) == text for name, text in self._weights().items())

    def _tidy(self) -> None:
        """Drop lines that a later line replaces: best-so-far results of a stopped run, and results
        of pictures that have changed. Results of other weights or options stay.
        """
        lines = self._lines()
        read = map(self._read, lines)
        results = [r if r and self._same_weights(r) else None for r in read]
        last = {tuple(r.targets): r.key for r in results if r and not r.interrupted}

        def replaced(result: Result) -> bool:
            newest = last.get(tuple(result.targets))
            return newest is not None and (result.interrupted or result.key != newest)

        pairs = zip(lines, results, strict=True)
        kept = [line for line, result in pairs if result is None or not replaced(result)]
        if len(kept) == len(lines):
            return
        content = "\n".join(kept).encode("utf-8", "surrogateescape")
        write_whole(self.path, content, remedy="choose another --output")


def journal_for(
    output: str,
    sources: Sequence[str],
    options: SearchOptions,
    weights: Callable[[], dict[str, str]],
) -> Journal:
    """The journal at ``output``, or one in the cache folder named by what is searched."""
    if output:
        path = Path(os.path.expanduser(output))
        if os.path.isdir(path):
            raise PezError(f"--output {output} is a folder; name a file, such as prompts.jsonl.")
        return Journal(path, options, weights)
    names = json.dumps([options.fingerprint(), [str(Path(s).absolute()) for s in sources]])
    name = hashlib.sha256(names.encode()).hexdigest()[:16]
    path = cache_folder() / "journals" / f"{name}.jsonl"
    return Journal(path, options, weights, temporary=True)


def _parsed(line: str) -> Result | None:
    """The result in a line; None for a truncated line, or another program's."""
    try:
        return Result.from_json(line)
    except (ValueError, TypeError):
        return None


def _is_ours(path: Path) -> bool:
    """Whether a file is empty or looks like JSON lines: nothing is appended to a picture."""
    with path.open("rb") as file:
        return file.read(64).lstrip()[:1] in (b"", b"{")


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
