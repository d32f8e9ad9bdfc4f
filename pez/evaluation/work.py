"""Does batches of units: the only part of the harness that loads models.

A batch holds all that it needs, including the bytes of pictures, and its outcome depends on
nothing else. So it may be done in this process, in another, or on another machine, and redone.
"""

from __future__ import annotations

from pez.evaluation.bench import Bench, Look, Report, Tell
from pez.evaluation.kinds import make_kind
from pez.evaluation.units import Batch


def work(batch: Batch, bench: Bench, tell: Tell, look: Look | None = None) -> None:
    """Do a batch and report each unit to ``tell`` as soon as it is done.

    A unit that fails is reported with its reason; if the model itself is not available, all are.
    Only what ``tell`` raises, and Ctrl-C, is passed on.
    """
    report = Report(batch, tell)
    try:
        make_kind(batch.kind).work(batch, bench, report, look or (lambda _: None))
    except Exception as error:
        if report.broken:
            raise
        for task in list(report.left.values()):
            report.failed(task, error)
