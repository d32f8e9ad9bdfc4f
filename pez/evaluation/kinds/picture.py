"""prompt x generator x image seed -> picture (and x thing, where things are drawn)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from PIL import Image

from pez.errors import PezError
from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Group, Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.packing import as_png, from_bytes
from pez.evaluation.plan import painter_options
from pez.evaluation.units import Asked, Batch, Task, Unit


class PictureKind(Kind):
    """Pictures of the finished prompts."""

    title = "pictures"
    named = False
    size, size_gpu = 8, 32

    def asked(self, question: Question) -> Asked:
        """None: a prompt's node lists its pictures."""
        return {}

    def groups(self, ready: Ready) -> Iterable[Group]:
        """One for each generator."""
        for generator in ready.plan.generators:
            pairs = [
                (drawn.unit, Place(node, drawn))
                for node in ready.with_prompt()
                for drawn in node.pictures
                if drawn.generator == generator and ready.is_edited(drawn)
            ]
            yield Group(f"pictures by {generator.name}", painter_options(generator), pairs)

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt in its frame, its edited text, or the embeddings in its place."""
        assert place.drawn is not None
        edited, prompt = place.drawn.edited, ready.prompt_of(place.node)
        text = ready.edit_of(edited)["edited"] if edited else prompt
        return Task(
            unit.key,
            unit.spec,
            text=place.drawn.frame.replace("{}", text),
            soft=ready.soft_prompt_of(place.node),
            seed=unit.spec["noise"],
        )

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Draw."""
        from pez.generation import open_painter

        options = replace(batch.options, device=bench.device)
        painter = bench.get(("paint", options), lambda: open_painter(options))
        report.start_clock()
        tasks = list(batch.tasks)
        prompts = [from_bytes(task.soft) if task.soft else task.text for task in tasks]

        def done(n: int, picture: Image.Image) -> None:
            said = str(painter.said(tasks[n].text, tasks[n].seed))
            note = {"prompt": said, "seed": str(tasks[n].seed), "generator": painter.name}
            report.done(tasks[n], {"settings": painter.settings}, {".png": as_png(picture, note)})

        painter.paint(
            prompts,
            [task.seed for task in tasks],
            progress=lambda step, steps: look(step / max(steps, 1)),
            done=done,
            spoilt=lambda n, why: report.failed(tasks[n], PezError(why)),
        )
