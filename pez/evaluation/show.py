"""What the terminal shows while a plan is carried out, and at its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


class Bar:
    """A progress bar on stderr for each stage; without a terminal a line for each."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._bar = quiet, None
        self._done, self.failed = 0, 0

    def notice(self, text: str, _done: int = 0, _total: int = 0) -> None:
        """What is done before the first stage."""
        if sys.stderr.isatty() and not self._quiet:
            share = f" {_done}/{_total}" if _total else ""
            print(f"\r\033[Kpez: {text}{share}", end="", file=sys.stderr, flush=True)

    def stage(self, title: str, missing: int) -> None:
        """A stage begins that has ``missing`` units of one kind to do."""
        self.close()
        self._done = 0
        if self._quiet:
            return
        if not sys.stderr.isatty():
            print(f"pez: {title}: {missing} to do", file=sys.stderr)
            return
        from tqdm import tqdm

        form = "{percentage:3.0f}%|{bar:16}| {n:.0f}/{total} {elapsed}<{remaining} {desc}"
        print("\r\033[K", end="", file=sys.stderr)
        self._bar = tqdm(total=missing, bar_format=form, leave=False, file=sys.stderr)

    def begin(self, title: str) -> None:
        """A batch begins."""
        if self._bar is not None:
            self._bar.set_description_str(title[:60])

    def step(self, failed: bool) -> None:
        """A unit is done."""
        self._done += 1
        self.failed += failed
        if self._bar is not None:
            self._bar.update(max(self._done - self._bar.n, 0))

    def part(self, units: float) -> None:
        """So much of the batch under way, in units."""
        if self._bar is not None:
            now = min(self._done + units, self._bar.total)
            self._bar.update(max(now - self._bar.n, 0))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The table in a few columns: means with 95 % intervals over items, a line for each way
    and judge.
    """
    from pez.evaluation.stats import bootstrap_mean

    names = ("dataset", "split", "method", "length", "ratio", "search_model")
    names += ("generator", "judge", "against")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    lines = [[*names, "items", "similarity", "text", "failed"]]
    for name, group in groups.items():
        cells = ["" if value is None else str(value) for value in name]
        cells.append(str(len({row["item"] for row in group})))
        for column in ("similarity", "text_score"):
            told = [(row["item"], row[column]) for row in group if row[column] is not None]
            mean = bootstrap_mean([v for _, v in told], [i for i, _ in told]) if told else None
            cells.append(str(mean) if mean else "")
        lines.append([*cells, str(sum(bool(row["error"]) for row in group) or "")])
    keep = [n for n in range(len(lines[0])) if n < 3 or any(line[n] for line in lines[1:])]
    widths = [max(len(line[n]) for line in lines) for n in keep]
    return "\n".join(
        "  ".join(line[n].ljust(w) for n, w in zip(keep, widths, strict=True)).rstrip()
        for line in lines
    )
