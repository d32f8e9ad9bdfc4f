"""The figures for other programs: one row for each data set, setting, generator and judge."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from pez.evaluation.report.summary import METRICS, Summary, all_metrics
from pez.evaluation.stats import Interval
from pez.formats.tables import write_table

COLUMNS = (
    *("dataset", "method", "length", "search_model", "generator", "judge"),
    *("items", "prompts", "failed_rows", "small_models"),
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")),
    *("baseline", "difference_of", "difference", "difference_low", "difference_high"),
    *("difference_items", "ratio", "against"),
)


def columns() -> tuple[str, ...]:
    """``COLUMNS``, then those of the kinds of units that have others."""
    own = [f"{metric}{end}" for metric in all_metrics() for end in ("", "_low", "_high")]
    return tuple(dict.fromkeys((*COLUMNS, *own)))


def records(summaries: Iterable[Summary]) -> list[dict[str, Any]]:
    """The figures unrounded, None if there is none."""
    return [_record(summary) for summary in summaries]


def _record(s: Summary) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": s.dataset, **s.setting._asdict()}
    row |= {"generator": s.view.generator, "judge": s.view.judge, "items": s.items}
    row["against"] = s.view.against
    row |= {"prompts": s.prompts, "failed_rows": s.failed, "small_models": s.small}
    for metric in all_metrics():
        row |= _ends(metric, s.figures.get(metric))
    row |= {"baseline": s.baseline, "difference_of": s.headline if s.difference else ""}
    row |= _ends("difference", s.difference)
    row["difference_items"] = s.difference.items if s.difference else None
    return {name: row[name] for name in columns()}


def _ends(name: str, figure: Interval | None) -> dict[str, float | None]:
    values: tuple[float | None, ...] = (None, None, None)
    if figure:
        known = figure.items > 1  # one item has no interval
        values = (figure.mean, figure.low if known else None, figure.high if known else None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The records as CSV with a head line."""
    return write_table(columns(), rows)


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes | None:
    """The records as parquet; None where pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return None
    texts = {"dataset", "method", "search_model", "generator", "judge", "baseline"}
    texts |= {"difference_of", "against"}
    counts = {"length", "items", "prompts", "failed_rows", "difference_items"}

    def kind(name: str) -> Any:
        if name in texts:
            return pyarrow.string()
        if name == "small_models":
            return pyarrow.bool_()
        return pyarrow.int64() if name in counts else pyarrow.float64()

    schema = pyarrow.schema([(name, kind(name)) for name in columns()])
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), file)
    return file.getvalue()
