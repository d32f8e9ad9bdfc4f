"""Searches of one call that are done, so that a killed call goes on behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pez.files import cache_folder, keep_file
from pez.search.engine import Found
from pez.search.rows import Job

MOST = 1 << 26  # bytes of a search


@dataclass(frozen=True)
class SearchStore:
    """A folder of the cache with one file a search, named by all that decides the outcome; None
    where there is no cache.
    """

    folder: Path | None

    @classmethod
    def of(cls, record: Mapping[str, Any], key: str, weights: Mapping[str, str]) -> SearchStore:
        """For the options that results ``record``, the content of the data and the weights."""
        text = json.dumps([dict(record), key, dict(weights)], sort_keys=True)
        folder = cache_folder()
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(folder / "classify" / name if folder else None)

    def read(self, job: Job) -> Found | None:
        """What a search found; None if it is not done, or its file is damaged."""
        if self.folder is None:
            return None
        with suppress(OSError, ValueError, KeyError, TypeError):
            path = self._path(job)
            if path.stat().st_size <= MOST:
                found = json.loads(path.read_text(encoding="utf-8"))
                extra = {name: torch.tensor(value) for name, value in found.pop("extra").items()}
                others = [(ids, score) for ids, score in found.pop("others")]
                return Found(job, extra=extra, others=others, **found)
        return None

    def add(self, found: Found) -> None:
        """Store what a search found."""
        if self.folder is None:
            return
        names = ("ids", "score", "steps", "seconds", "history", "others")
        row = {name: getattr(found, name) for name in names}
        row["extra"] = {name: value.tolist() for name, value in found.extra.items()}
        keep_file(self._path(found.job), json.dumps(row).encode())

    def clear(self) -> None:
        """Remove all, as the call is done."""
        if self.folder is not None:
            with suppress(OSError):
                for path in self.folder.iterdir():
                    path.unlink()
                self.folder.rmdir()

    def _path(self, job: Job) -> Path:
        assert self.folder is not None
        return self.folder / f"{job.seed}-{job.restart}.json"
