"""What was found before, kept in the visitor's own browser, and shown again after a reload.

The server keeps none of it. What comes back from a browser is read with distrust.
"""

from __future__ import annotations

import math
import time
from typing import Any

from pez.web.aims import THUMB
from pez.web.board import render
from pez.web.desk import Desk

KEY = "pez-history"  # in the browser's storage
MOST = 30  # entries
LONGEST = 2000  # characters
Entry = dict[str, Any]


def added(history: Any, desk: Desk) -> list[Entry]:
    """The history with what is on the desk, newest first."""
    old = checked(history)
    now = time.strftime("%Y-%m-%d %H:%M")
    new = [
        {
            "prompt": result.prompt,
            "score": round(result.score, 4),
            "model": result.model,
            "when": now,
            "thumb": desk.thumbs[place],
            "target": ", ".join(result.targets)[:80],
        }
        for place, result in enumerate(desk.results)
        if result and result.prompt not in {entry["prompt"] for entry in old}
    ]
    return (new + old)[:MOST]


def checked(history: Any) -> list[Entry]:
    """The entries of a browser's history that are as this file writes them."""
    listed = history if isinstance(history, list) else []
    return [entry for entry in listed if _is_entry(entry)][:MOST]


def history_list(history: Any) -> str:
    """The history as HTML."""
    return render("history.html.j2", entries=checked(history))


def _is_entry(entry: Any) -> bool:
    names = ("prompt", "model", "when", "thumb", "target")
    if not isinstance(entry, dict) or entry.keys() != {*names, "score"}:
        return False
    texts = [entry[name] for name in names]
    if not all(isinstance(text, str) and len(text) <= 4 * LONGEST for text in texts):
        return False
    score = entry["score"]
    plain = isinstance(score, int | float) and math.isfinite(score)
    return plain and (not entry["thumb"] or entry["thumb"].startswith(THUMB))
