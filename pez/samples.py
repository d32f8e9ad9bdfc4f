"""The shipped sample pictures, read from their ImageFolder layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pez.files import data_folder

KINDS = ("web", "scenes", "attributes", "art")


@dataclass(frozen=True)
class Sample:
    """A picture's path, its captions and the true attributes of what it shows."""

    path: Path
    captions: list[str]
    attributes: dict[str, Any]


def samples(kind: str) -> list[Sample]:
    """The shipped samples of one of ``KINDS``, in order."""
    folder = data_folder() / "samples" / kind
    rows = []
    for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        path, captions = folder / row.pop("file_name"), row.pop("captions")
        row.pop("text")
        rows.append(Sample(path, captions, row))
    return rows
