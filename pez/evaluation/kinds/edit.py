"""prompt x edit -> edit: the prompt with one word changed, for the task of that name."""

from __future__ import annotations

from typing import Any

from pez.errors import PezError
from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.packing import decode
from pez.evaluation.plan import Plan
from pez.evaluation.tasks.edit import SWAP, Edit
from pez.evaluation.units import Asked, Batch, Task, Unit

VERSION = 1  # of the rules by which words are chosen


class EditKind(Kind):
    """Prompts that are texts, of the task ``edit``."""

    title = "edits of prompts"
    named = False
    columns = ("edited", "from_word", "to_word")
    size, size_gpu = 256, 256

    def asked(self, question: Question) -> Asked:
        """One for each edit of the task."""
        task, files = question.plan.task, question.subject.files
        if not isinstance(task, Edit) or not question.way.is_text:
            return {}
        spec = {"prompt": question.prompt.key, "picture": files[0], "seed": task.seed}
        spec |= {"model": question.identity(task.model), "version": VERSION}
        return {
            ("", name): Unit(
                self.name, spec | {"edit": name} | ({"near": task.near} if name == SWAP else {})
            )
            for name in task.edits
        }

    def heading(self, plan: Plan, who: str) -> str:
        """What chooses the words."""
        return f"{self.title} by {plan.task.model}" if isinstance(plan.task, Edit) else self.title

    def options(self, plan: Plan, who: str) -> Any:
        """The model that gives the words, and its precision."""
        assert isinstance(plan.task, Edit)
        return plan.task.model, plan.dtype

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt and its picture."""
        (own,) = ready.files(place.node.subject.files)
        return Task(unit.key, unit.spec, picture=own, text=ready.prompt_of(place.node))

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Edit."""
        from pez.evaluation.editor import hashed, open_editor

        name, dtype = batch.options
        editor = bench.get(("edit", name, dtype), lambda: open_editor(name, bench.device, dtype))
        report.start_clock()
        for task in batch.tasks:
            spec = task.spec
            item = f"{spec['seed']}/{spec['picture']}"  # not the prompt: methods draw alike
            try:
                if spec["edit"] == SWAP:
                    picture = decode(task.picture)
                    found = editor.swap(task.text, picture, spec["near"], hashed(item))
                else:
                    found = editor.append(task.text, item)
            except PezError as error:
                report.failed(task, error)
                continue
            report.done(task, found)
