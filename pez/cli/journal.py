"""Results on disk as JSON lines: written one by one, so that a killed run resumes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pez.cli.streams import named_answers
from pez.errors import PezError
from pez.files import Own, cache_folder, check_own, output_path, write_whole
from pez.files.lock import InUse, Lock
from pez.methods import record_of
from pez.options import SearchOptions
from pez.result import Result


class Journal:
    """Appends results to a file; knows which targets it already holds for these options and the
    current weights of the models (``weights`` returns them, called only if needed).

    It is locked until it is closed (:class:`pez.files.Lock`). What a killed run left of a line is
    removed when it is opened; ``cut`` counts such lines. Lines of other programs stay.

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
        self.prompts: dict[str, set[str]] = {}  # by their targets: of all results, whatever options
        self._weights = cache(weights)
        self._history, self._options = options.history, record_of(options)
        self._new = not os.path.lexists(path)
        self.cut = 0
        self._lock: Lock | None = None
        self._file = self._open()
        self.kept = self._file is not None  # whether a later run will find what is added

    def done(self) -> dict[str, Result]:
        """Finished results of these options and weights, by their targets. ``older`` has those
        that differ only in the weights, and those of an earlier version of pez that did not
        record its settings, where this is unknown. ``prompts`` has all that the file holds.
        """
        found: dict[str, Result] = {}
        for line in self._lines():
            result = _parsed(line)
            if result:
                prompts = self.prompts.setdefault("\n".join(result.targets), set())
                prompts.add(" ".join(result.prompt.split()))
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
        """Append one result and flush it to the disk before continuing; a line that cannot be
        written whole is taken back.
        """
        if self._file is None:
            return
        plain = os.path.isfile(self.path)
        size = os.fstat(self._file.fileno()).st_size
        # names that are not UTF-8 are written as JSON escapes
        line = memoryview((result.to_json() + "\n").encode("utf-8", "backslashreplace"))
        try:
            while line:
                line = line[self._file.write(line) :]
            if plain:
                os.fsync(self._file.fileno())
        except OSError as error:
            if plain:
                with suppress(OSError):
                    self._file.truncate(size)
            self._close()
            self.kept = False
            self._fail(error)

    def close(self, complete: bool) -> None:
        """Close the file and let others have it; delete a temporary one if all is done."""
        self._close()
        try:
            if self._lock and os.path.isfile(self.path):
                empty = self._new and not self.path.stat().st_size
                if empty or (self.temporary and complete):
                    self.path.unlink()
                elif complete:
                    self._tidy()
        finally:
            self._let_go()

    def _open(self) -> Any:
        remedy = "wait for it, or give each run its own --output"
        try:
            if not self.temporary and (out := named_answers(self.path)):
                return out
            if not self.temporary:
                check_own(self.path, RESULTS, "choose another --output")
            self._lock = Lock(self.path, remedy=remedy)
            self._mend()
            return self.path.open("ab", buffering=0)
        except InUse:
            raise
        except (OSError, PezError) as error:
            self._let_go()
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        if not self.temporary:
            if isinstance(error, PezError):
                raise error
            why = getattr(error, "strerror", None) or error
            raise PezError(f"cannot write {self.path} ({why}); choose another --output.") from None

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):
                self._file.close()
        self._file = None

    def _let_go(self) -> None:
        if self._lock:
            self._lock.release()
        self._lock = None

    def _mend(self) -> None:
        """Remove what a killed run left of lines, so that the next one begins on a line."""
        lines = self._lines()
        mended = [_mended(line) for line in lines]
        self.cut = sum(a != b for a, b in zip(lines, mended, strict=True))
        kept = [line for line in mended if line is not None]
        if lines and (not kept or kept[-1]):
            kept.append("")
        if kept != lines:
            self._rewrite(kept)

    def _rewrite(self, lines: Sequence[str]) -> None:
        content = "\n".join(lines).encode("utf-8", "surrogateescape")
        write_whole(self.path, content, remedy="choose another --output")

    def _lines(self) -> list[str]:
        if not os.path.isfile(self.path):
            return []
        # not splitlines: it also breaks at characters that may occur inside a JSON text
        with self.path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read().split("\n")

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
        self._rewrite(kept)


def journal_for(
    output: str,
    sources: Sequence[str],
    options: SearchOptions,
    weights: Callable[[], dict[str, str]],
) -> Journal | None:
    """The journal at ``output``, or one in the cache folder named by what is searched; None if
    there is no such folder.
    """
    if output:
        path = output_path(output)
        if os.path.isdir(path):
            raise PezError(f"--output {output} is a folder; name a file, such as prompts.jsonl.")
        return Journal(path, options, weights)
    names = json.dumps([options.fingerprint(), [str(Path(s).absolute()) for s in sources]])
    name = hashlib.sha256(names.encode()).hexdigest()[:16]
    if (folder := cache_folder()) is None:
        return None
    path = folder / "journals" / f"{name}.jsonl"
    return Journal(path, options, weights, temporary=True)


def _parsed(line: str) -> Result | None:
    """The result in a line; None for a truncated line, or another program's."""
    try:
        return Result.from_json(line)
    except (ValueError, TypeError, RecursionError):
        return None


BEGIN = '{"prompt": '  # how the lines of Result.to_json begin
FIELDS = {"prompt", "ids", "score", "model", "method", "targets"}  # of every version


def _holds_results(path: Path) -> bool:
    """Whether a file has a result in one of its lines, or the beginning of one at its end."""
    line = last = ""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for line in file:
            last = line.strip("\0 \t\r\n")
            if BEGIN in last and _object(_mended(last) or "").keys() >= FIELDS:
                return True
        return not line.endswith("\n") and _is_torn(last)


RESULTS = Own("a file of pez's results", _holds_results)


def _object(line: str) -> dict[str, Any]:
    """The JSON object in a line; an empty one if it holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_torn(line: str) -> bool:
    """Whether a line is the beginning of a result's."""
    begun = line.startswith(BEGIN) or (len(line) > 1 and BEGIN.startswith(line))
    return begun and not _object(line)


def _mended(line: str) -> str | None:
    """A line without what a kill left of another; None if nothing else is in it. A disk that lost
    its power may leave zeros.
    """
    bare = line.strip("\0")
    if bare == line == "" or (bare and not _is_torn(bare)):
        return bare
    start = bare.find(BEGIN)
    while start >= 0 and _is_torn(bare[start:]):
        start = bare.find(BEGIN, start + 1)
    return bare[start:] if start >= 0 else None
