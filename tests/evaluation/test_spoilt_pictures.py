"""Pictures that do not show their prompt are failures, not results: they enter no mean."""

from __future__ import annotations

import torch
from tiny_pipelines import TEXT, options

from pez.evaluation.bench import Bench, Report
from pez.evaluation.kinds import make_kind
from pez.evaluation.store import Record
from pez.evaluation.units import Batch, Task
from pez.generation import open_painter


def test_a_picture_without_numbers_fails() -> None:
    own = options()
    painter = open_painter(own)
    bench = Bench("cpu")
    bench.get(("paint", own), lambda: painter)
    found: list[tuple[Record, dict[str, bytes]]] = []

    def draw(key: str) -> Record:
        batch = Batch("picture", "", own, (Task(key, {}, text=TEXT),))
        report = Report(batch, lambda record, files: found.append((record, files)))
        make_kind("picture").work(batch, bench, report, lambda _: None)
        assert not report.left
        return found[-1][0]

    assert draw("a").error == "" and list(found[-1][1]) == [".png"]
    torch.nn.init.constant_(painter.pipe.unet.conv_out.weight, float("nan"))
    spoilt = draw("b")
    assert "computed no numbers" in spoilt.error and found[-1][1] == {} and spoilt.out == {}
