"""From rows to figures: means with bootstrap intervals, and differences from a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pez.errors import PezError
from pez.evaluation.kinds import all_kinds
from pez.evaluation.metric import Metric
from pez.evaluation.report.rows import (
    NOT_SEARCHED,
    Row,
    Setting,
    View,
    by_dataset,
    by_setting,
    is_small,
    item_of,
    number,
    setting_of,
    settings,
    unique,
    view_of,
    views,
)
from pez.evaluation.stats import Interval, bootstrap_mean, paired_difference

# the default baseline: the first of these that a store holds
BASELINES = ("caption", "long-prompt", "group-name", "joined", "no-prompt", "random-words")


METRICS = {
    "similarity": Metric(
        "similarity",
        "cosine of the original and the regenerated picture under the judge",
        better=1,
        counts="picture",
    ),
    "text_score": Metric(
        "text score",
        "cosine of the prompt and the original picture under the judge",
        better=1,
        counts="reading",
    ),
    "search_score": Metric("search score", "the search's own score on its model"),
    "tokens": Metric("tokens", "length of the prompt in tokens", 1),
    "real_words": Metric("real words", "share of the prompt's words that are words", better=1),
    "perplexity": Metric(
        "perplexity",
        "of the prompt under a language model, as geometric mean; less is more natural",
        0,
        better=-1,
        geometric=True,
    ),
    "seconds": Metric("seconds", "of search for a prompt", 2, better=-1),
    "passes": Metric("passes", "forward and backward passes of the text tower for a prompt", 0),
}


def all_metrics() -> dict[str, Metric]:
    """``METRICS``, then those of the kinds of units that have others."""
    return METRICS | {name: m for kind in all_kinds() for name, m in kind.metrics.items()}


@dataclass(frozen=True)
class Summary:
    """All figures of one setting on one data set, in one view. ``headline`` is the metric of
    ``difference``, relative to ``baseline``.
    """

    dataset: str
    setting: Setting
    view: View
    figures: dict[str, Interval]
    headline: str
    baseline: str
    difference: Interval | None
    items: int
    prompts: int
    failed: int

    @property
    def small(self) -> bool:
        """Whether the figures involve a small shipped model."""
        names = (self.setting.search_model, self.view.judge, self.view.generator)
        return any(map(is_small, names))


def summarise(rows: Sequence[Row], baseline: str = "", seed: int = 0) -> list[Summary]:
    """Intervals of every setting on every data set in every view, in the order of the tables.

    ``baseline`` is a method, or ``method:length``; "" takes the data set's own caption, else
    random words, where there are such rows. PezError for a baseline that no row has.
    """
    baseline = baseline or default_baseline(rows)
    asked = parse_baseline(rows, baseline) if baseline else None
    order, found = settings(rows), []
    sets = {name: by_setting(group) for name, group in by_dataset(rows).items()}
    prompts = {
        (name, setting): prompt_figures(group, seed)
        for name, groups in sets.items()
        for setting, group in groups.items()
    }
    for view in views(rows):
        headline = _headline(rows, view)
        for name, groups in sets.items():
            for setting in order:
                if setting not in groups:
                    continue
                mine = seen_in(groups[setting], view)
                figures = {
                    metric: figure
                    for metric in all_metrics()
                    if (figure := prompts[name, setting].get(metric) or mean_of(mine, metric, seed))
                }
                rival = _rival(setting, list(groups), asked)
                other = seen_in(groups[rival], view) if rival else []
                failed = sum(1 for row in groups[setting] if _failed_in(row, view))
                found.append(
                    Summary(
                        name,
                        setting,
                        view,
                        figures,
                        headline,
                        rival.name(_many_models(order)) if rival else "",
                        difference(mine, other, headline, seed),
                        len(unique(map(item_of, groups[setting]))),
                        len(unique(_prompt_key(r) for r in groups[setting] if has_prompt(r))),
                        failed,
                    )
                )
    return found


def default_baseline(rows: Iterable[Row]) -> str:
    """The first of the usual baselines that the rows hold, or ""."""
    methods = {str(row["method"]) for row in rows}
    return next((name for name in BASELINES if name in methods), "")


def parse_baseline(rows: Iterable[Row], text: str) -> tuple[str, int | None]:
    """``"pez:8"`` -> ``("pez", 8)``. PezError for what no row has."""
    known = {(str(row["method"]), row.get("length")) for row in rows}
    methods = unique(method for method, _ in sorted(known, key=str))
    if text in methods:
        return text, None
    method, _, length = text.rpartition(":")
    if length.isdigit() and (method, int(length)) in known:
        return method, int(length)
    raise PezError(
        f"no row has the baseline {text!r}; --baseline takes one of {', '.join(methods)}, "
        "with a length after a colon if it has several, such as pez:8."
    )


def _rival(
    setting: Setting, others: Sequence[Setting], asked: tuple[str, int | None] | None
) -> Setting | None:
    """The one setting to compare with: same length, ratio and searched model if there is a
    choice.
    """
    if asked is None:
        return None
    method, length = asked
    fit = [s for s in others if s.method == method and length in (None, s.length)]
    for same in ("length", "ratio", "search_model"):
        mine = getattr(setting, same)
        fit = [s for s in fit if getattr(s, same) == mine] or fit
    return fit[0] if len(fit) == 1 and fit[0] != setting else None


def seen_in(rows: Iterable[Row], view: View) -> list[Row]:
    """The rows of a view."""
    return [row for row in rows if view_of(row) == view]


def prompt_figures(rows: Sequence[Row], seed: int = 0) -> dict[str, Interval]:
    """Intervals that belong to prompts, each prompt counted once however many pictures it has."""
    own = [name for name, metric in all_metrics().items() if metric.counts == "prompt"]
    figures = {name: mean_of(rows, name, seed) for name in own}
    return {name: figure for name, figure in figures.items() if figure}


def difference(
    mine: Iterable[Row], other: Iterable[Row], metric: str, seed: int = 0
) -> Interval | None:
    """Mean difference over the items that both have, each item by its own mean."""
    ours, theirs = _pairs(mine, metric), _pairs(other, metric)
    if not {item for _, item in ours} & {item for _, item in theirs}:
        return None
    return paired_difference(*_columns(ours), *_columns(theirs), seed=seed)


def value_of(row: Row, metric: str) -> float | None:
    """The figure of a row; passes are forward and backward ones together."""
    if metric != "passes":
        return number(row.get(metric))
    parts = [number(row.get(name)) for name in ("forwards", "backwards")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def mean_of(rows: Iterable[Row], metric: str, seed: int = 0) -> Interval | None:
    """The mean over items of their own means; None if no row has the metric.

    What belongs to a prompt, or to a judge's reading of it, counts once however many pictures
    were drawn from it.
    """
    pairs = _pairs(rows, metric)
    geometric = all_metrics()[metric].geometric
    if geometric:
        pairs = [(math.log(value), item) for value, item in pairs if value > 0]
    if not pairs:
        return None
    found = bootstrap_mean(*_columns(pairs), seed=seed, median=all_metrics()[metric].median)
    if not geometric:
        return found
    low, high = math.exp(found.low), math.exp(found.high)
    return Interval(math.exp(found.mean), low, high, found.items)


def _pairs(rows: Iterable[Row], metric: str) -> list[tuple[float, Any]]:
    """Value and item of the rows that have the metric."""
    found = ((value_of(row, metric), item_of(row)) for row in _once(rows, metric))
    return [(value, item) for value, item in found if value is not None]


def _columns(pairs: Iterable[tuple[float, Any]]) -> tuple[list[float], list[Any]]:
    listed = list(pairs)
    return [value for value, _ in listed], [item for _, item in listed]


def _once(rows: Iterable[Row], metric: str) -> list[Row]:
    """The rows that have the metric, one for each thing it belongs to."""
    known = [row for row in rows if value_of(row, metric) is not None]
    if all_metrics()[metric].counts == "picture":
        return known
    judged = all_metrics()[metric].counts == "reading"
    keys = [(setting_of(row), _prompt_key(row), judged and row.get("judge")) for row in known]
    return list(dict(zip(reversed(keys), reversed(known), strict=True)).values())[::-1]


def _headline(rows: Iterable[Row], view: View) -> str:
    """The metric of the first table: the similarity, else what a run without pictures has."""
    mine = seen_in(rows, view)
    for metric in ("similarity", "text_score", "accuracy", "search_score"):
        if any(value_of(row, metric) is not None for row in mine):
            return metric
    return "similarity"


def _prompt_key(row: Row) -> tuple[Any, ...]:
    return *item_of(row), row.get("seed")


def has_prompt(row: Row) -> bool:
    """Whether a prompt was found, even if it is only embeddings, without words."""
    return any(row.get(name) is not None for name in ("prompt", "search_score", "tokens"))


def _failed_in(row: Row, view: View) -> bool:
    """Whether a row's failure belongs to the view: it names its judge, or came before any judge."""
    return bool(row.get("error")) and (not row.get("judge") or view_of(row) == view)


def _many_models(order: Iterable[Setting]) -> bool:
    return len({s.search_model for s in order} - {NOT_SEARCHED}) > 1
