"""Searches beyond one length and one prompt: automatic lengths and negative prompts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from pez.errors import PezError
from pez.objectives import objective_class
from pez.result import Result
from pez.search.problem import Halted
from pez.session.drafts import read_by_both
from pez.session.items import Item
from pez.session.likely import Likely, tokens_of
from pez.session.prompt_form import kept_length
from pez.session.session import Session, Watch, search_items
from pez.session.views import judged

MORE = 0.005  # of the score: the least gain that justifies a longer prompt
LENGTHS = (3, 5, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63, 71)  # pairs of word and comma
CHUNK = 32  # items whose negative prompts are searched together


def run(
    session: Session,
    items: Sequence[Item],
    watch: Watch | None = None,
    length: int | None = None,
) -> list[Result | None]:
    """:func:`pez.session.session.search_items`. With ``--length auto`` (0) it tries longer
    lengths while they help, or takes the words that are likely right of a picture where the models
    know these (:mod:`pez.session.likely`); with ``--also-negative`` it searches a negative prompt
    as well.
    """
    watch, options = watch or Watch(), session.options
    if not options.also_negative:
        return _search(session, items, watch, length)
    if objective_class(options.objective).reads_pipeline:
        raise PezError(
            f"--also-negative does not apply to --objective {options.objective}; omit one of them."
        )
    results: list[Result | None] = []
    for start in range(0, len(items), CHUNK):
        some = items[start : start + CHUNK]
        quiet = replace(watch, result=None)
        found = _search(session, some, quiet, length)
        both = _with_negatives(session, some, found, quiet, length)
        for n, result in enumerate(both, start):
            if result and watch.result:
                watch.result(n, result)
        results += both
    return results


def _search(
    session: Session, items: Sequence[Item], watch: Watch, length: int | None
) -> list[Result | None]:
    if length or session.options.length:
        return search_items(session, items, watch, length)
    begin = time.monotonic()
    likely = Likely.of(session, items)
    if likely is None:
        return _sweep(session, items, watch)
    return _of_likely(session, items, watch, likely, time.monotonic() - begin)


def _of_likely(
    session: Session, items: Sequence[Item], watch: Watch, likely: Likely, seconds: float
) -> list[Result | None]:
    """Each item's prompt of the words that are likely right of it, which are searched among
    themselves. Rating all words took ``seconds``, which the first item bears.
    """
    style = session.options.style or session.method.usual_style
    results: list[Result | None] = []
    for n, item in enumerate(items):
        if n and watch.stop.asked:
            return [*results, *[None] * (len(items) - n)]
        count, words = likely.words(item)
        length = tokens_of(count, style)
        quiet = replace(watch, result=None)
        (found,) = search_items(session, [item], quiet, length, style, words)
        if found:
            rated = {"cached": len(likely.ids)} if n else {"forward": len(likely.ids)}
            kinds = dict.fromkeys([*found.passes, *rated])
            passes = {kind: found.passes.get(kind, 0) + rated.get(kind, 0) for kind in kinds}
            more = 0.0 if n else seconds
            found = replace(found, passes=passes, seconds=round(found.seconds + more, 4))
        _tell(watch, n, found)
        results.append(found)
    return results


def _sweep(session: Session, items: Sequence[Item], watch: Watch) -> list[Result | None]:
    """Each item at increasing lengths until the score rises by less than MORE: that of views which
    the search did not see, if the item has some. The result is the prompt before that, with the
    cost of all lengths.
    """
    best: list[Result | None] = [None] * len(items)
    reached = [-math.inf] * len(items)
    options, style = session.options, ""
    if options.template.strip() == "{}":  # one style for all lengths
        style = options.style or session.method.usual_style
    going = list(range(len(items)))
    own = replace(options, style=style) if style else options
    lengths = [n for n in LENGTHS if n > kept_length(session.reader, own, n)] or [LENGTHS[-1]]
    shortest = session.form(lengths[0], style).template
    fixed = shortest.length - lengths[0]  # words of the template, beside those searched
    quiet = replace(watch, result=None)
    for length in (n for n in lengths if n + fixed <= session.reader.limit):
        some = [items[n] for n in going]
        if length > lengths[0]:  # they were read once
            some = [replace(item, seconds=0.0) for item in some]
        try:
            found = search_items(session, some, quiet, length, style)
        except Halted:
            if length == lengths[0]:
                raise
            found = [None] * len(some)
        left = []
        scores = judged(session.reader, some, found)
        for n, result, score in zip(going, found, scores, strict=True):
            before = best[n]
            if result and (before is None or score > reached[n] + MORE):
                best[n], reached[n] = _with_cost(result, before), score
                left.append(n)
            elif before:
                best[n] = _with_cost(before, result)
        done = set(going) - set(left) if not watch.stop.asked else set(going)
        for n in sorted(done):
            _tell(watch, n, best[n])
        going = [] if watch.stop.asked else left
        if not going:
            break
    for n in going:  # the longest that the model reads
        _tell(watch, n, best[n])
    return best


def _tell(watch: Watch, n: int, result: Result | None) -> None:
    if result and watch.result:
        watch.result(n, result)


def _with_cost(kept: Result, other: Result | None) -> Result:
    """``kept`` with the passes and seconds of both; interrupted if either was."""
    if other is None:
        return kept
    kinds = dict.fromkeys([*kept.passes, *other.passes])
    passes = {kind: kept.passes.get(kind, 0) + other.passes.get(kind, 0) for kind in kinds}
    return replace(
        kept,
        passes=passes,
        seconds=round(kept.seconds + other.seconds, 4),
        interrupted=kept.interrupted or other.interrupted,
    )


def _with_negatives(
    session: Session,
    items: Sequence[Item],
    results: Sequence[Result | None],
    watch: Watch,
    length: int | None,
) -> list[Result | None]:
    """Results with negative prompts: what the prompt says and the target does not show. Their
    features match found - target, the direction that guidance should avoid.
    """
    places = [n for n, result in enumerate(results) if result and not result.interrupted]
    if not places or watch.stop.asked:
        return list(results)
    prompts = [results[n].prompt for n in places]  # type: ignore[union-attr]
    own, draft = read_by_both(session.reader, lambda one: one.encode_text(prompts))
    opposite = []
    for row, item in enumerate(items[n] for n in places):
        other = None if draft is None else item.draft.opposite(draft[row])
        opposite.append(Item(f"{item.key}/not", item.names, item.goal.opposite(own[row]), other))
    said = _search(session, opposite, watch, length)
    out = list(results)
    for n, negative in zip(places, said, strict=True):
        result = results[n]
        if result and negative:
            out[n] = replace(_with_cost(result, negative), negative=negative.prompt)
    return out
