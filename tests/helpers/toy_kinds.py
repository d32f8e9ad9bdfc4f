"""Two kinds of units of one file, as anyone may add them: of prompts, and of pictures."""

from typing import ClassVar

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Kind
from pez.evaluation.kinds.ready import PICTURE
from pez.evaluation.metric import Metric
from pez.evaluation.packing import as_png, decode
from pez.evaluation.units import Batch


class Letters(Kind):
    """How many letters a prompt has, those of ``without`` left out."""

    title = "letters of prompts"
    defaults: ClassVar = {"without": ""}
    columns = ("letters",)
    metrics: ClassVar = {"letters": Metric("letters", "letters of the prompt", 1, better=-1)}
    size = 2

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        report.start_clock()
        for task in batch.tasks:
            skip = task.spec["without"]
            letters = sum(c.isalpha() and c not in skip for c in task.text)
            report.done(task, {"letters": letters})


class Greys(Kind):
    """How bright a picture is, and the picture in grey, which is stored beside the record."""

    title = "greys of pictures"
    of = PICTURE
    columns = ("grey",)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        report.start_clock()
        for task in batch.tasks:
            grey = decode(task.picture).convert("L")
            mean = grey.resize((1, 1)).getpixel((0, 0))
            report.done(task, {"grey": mean}, {".png": as_png(grey, {})})
