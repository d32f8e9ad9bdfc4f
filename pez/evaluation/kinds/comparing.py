"""What scores of pictures and of prompts share: a judge and what it compares with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pez.evaluation.bench import Bench, Report
from pez.evaluation.judges import judge_identity, open_judge
from pez.evaluation.judges.judge import Judge
from pez.evaluation.kinds.kind import Question
from pez.evaluation.kinds.ready import Place
from pez.evaluation.packing import decode
from pez.evaluation.units import Batch, Reference


def compared(question: Question, spec: dict[str, Any], judge: str, r: Reference) -> dict[str, Any]:
    """What decides a comparison; an item's own picture is known from its prompt's unit."""
    spec = spec | {"judge": judge_identity(judge, question.identity)}
    if not r.name:
        return spec
    names = [file.rpartition("/")[2].partition(".")[0] for file in r.files]  # by content
    against: dict[str, Any] = {"texts": list(r.texts)} if r.texts else {"pictures": names}
    return spec | {"against": against | ({"least": True} if r.least else {})}


def reference_of(place: Place) -> Reference:
    """What a unit compares with."""
    return next(r for r in place.node.subject.references if r.name == place.against)


def compare(batch: Batch, bench: Bench, report: Report, column: str) -> None:
    """Each task's picture or text with each of its references, all pairs at once; the mean of
    a task's pairs counts, or their minimum. ``batch.options`` are the judge and its precision.
    """
    name, dtype = batch.options
    judge = bench.get(("judge", name, dtype), lambda: open_judge(name, bench.device, dtype))
    report.start_clock()
    tasks, decoded = report.decoded()
    for pictures in (True, False):  # of what a task is compared with
        mine = [(t, p) for t, p in zip(tasks, decoded, strict=True) if bool(t.pictures) == pictures]
        pairs = [
            (decode(t.picture) if t.picture else t.text, other)
            for t, own in mine
            for other in (own if pictures else t.texts)
        ]
        found = iter(_scores(judge, pairs) if pairs else [])
        for task, own in mine:
            values = [next(found) for _ in (own if pictures else task.texts)]
            least = task.spec.get("against", {}).get("least")
            value = min(values) if least else sum(values) / len(values)
            report.done(task, {column: round(value, 6)})


def _scores(judge: Judge, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
    """The judge's scores of pairs of pictures, of texts, or of one of each."""
    ones, others = ([pair[n] for pair in pairs] for n in (0, 1))
    texts = [isinstance(side[0], str) for side in (ones, others)]
    if all(texts):
        return judge.between_texts(ones, others)
    if any(texts):
        return judge.text_scores(*((others, ones) if texts[0] else (ones, others)))
    return judge.similarities(others, ones)
