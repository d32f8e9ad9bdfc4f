"""What a report is made of: the rows of a run's folder, its plan, and histories if stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pez.evaluation.index import read_index
from pez.evaluation.report.places import PLACED, hide_folders, short_names
from pez.evaluation.report.rows import Row
from pez.evaluation.report.summary import has_prompt
from pez.evaluation.store import Store
from pez.evaluation.table import read_rows
from pez.formats.documents import as_json

_OF_PROMPT = ("dataset", "split", "item", "method", "length", "ratio", "search_model", "seed")


@dataclass(frozen=True)
class Material:
    """A run. ``rows`` are the store's, with ``soft`` if a prompt is embeddings and its
    text only the words nearest to them; ``traces`` are rows of prompts with a ``history``.
    ``plan`` is the plan as it was written, ``record`` what the run recorded of itself, such as
    versions.
    """

    folder: Path
    rows: list[Row]
    traces: list[Row]
    plan: str
    record: dict[str, Any]


def read_material(folder: str | Path) -> Material:
    """Everything of a folder that ``pez evaluate`` wrote; PezError if it is not such a folder."""
    store = Store(folder)
    rows = read_rows(store)
    traces, soft = [], set()
    for line in read_index(store):
        found = store.get("prompt", line["prompt"])
        own = {name: line.get(name) for name in _OF_PROMPT}
        if found and found.out.get("history"):
            traces.append(own | {"history": found.out["history"]})
        if found and found.out.get("soft"):
            soft.add(tuple(own.values()))
    for row in rows:
        row["soft"] = tuple(row[name] for name in _OF_PROMPT) in soft
    record = _read(store.folder / "plan.json")
    try:
        known = as_json(record or "{}")
    except ValueError:
        known = {}
    known = known if isinstance(known, dict) else {"plan": known}
    rows, traces = _placeless(rows), _placeless(traces)
    plan = hide_folders(_read(store.folder / "plan.toml"))
    return Material(store.folder, rows, traces, plan, hide_folders(known))


def _placeless(rows: list[Row]) -> list[Row]:
    """Rows in which no name or error tells where on this machine something is."""
    short = {
        name: short_names(text for row in rows if isinstance(text := row.get(name), str))
        for name in PLACED
    }
    out = []
    for row in rows:
        own = {name: short[name].get(row[name], row[name]) for name in PLACED if name in row}
        out.append(row | own | {"error": hide_folders(row.get("error"))})
    return out


def unfinished(rows: Iterable[Row]) -> int:
    """How many rows wait for something that did not fail: a run that was stopped."""

    def waits(row: Row) -> bool:
        if not has_prompt(row):
            return True
        drawn, judged = bool(row.get("generator")), bool(row.get("judge"))
        lacks = drawn and not row.get("picture")
        if drawn and judged:
            return lacks or row.get("similarity") is None
        return lacks or (judged and row.get("text_score") is None)

    return sum(1 for row in rows if not row.get("error") and waits(row))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""
