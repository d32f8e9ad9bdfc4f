"""Batches of units done: the only place of the harness that loads models.

A batch holds all that it needs, bytes of pictures too, and its outcome depends on nothing else.
So it may be done in this process, in another, or on another machine, and done again.
"""

from __future__ import annotations

from pez.evaluation.bench import Bench, Look, Report, Tell
from pez.evaluation.kinds import make_kind
from pez.evaluation.units import Batch


def work(batch: Batch, bench: Bench, tell: Tell, look: Look | None = None) -> None:
    """Do a batch and ``tell`` of each unit as soon as it is done.

    A unit that fails is told with its reason; if the model itself cannot be had, all are.
    Only what ``tell`` raises, and Ctrl-C, comes through.
    """
    report = Report(batch, tell)
    try:
        make_kind(batch.kind).work(batch, bench, report, look or (lambda _: None))
    except Exception as error:
        if report.broken:
            raise
        for task in list(report.left.values()):
            report.failed(task, error)
