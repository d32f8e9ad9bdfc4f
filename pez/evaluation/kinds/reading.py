"""prompt x judge or reader x reference -> reading: the prompt compared with the original."""

from __future__ import annotations

from typing import Any

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.judges import judge_class
from pez.evaluation.kinds.comparing import compare, compared, reference_of
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.plan import Plan
from pez.evaluation.units import Asked, Batch, Reference, Task, Unit


class ReadingKind(Kind):
    """Prompts that are texts, compared with their references."""

    title = "scores of prompts"
    named = False
    size, size_gpu = 64, 256
    columns = ("text_score",)

    def asked(self, question: Question) -> Asked:
        """One for each judge or reader and reference that it can compare a prompt with."""
        if question.plan.task.labelled:
            return {}  # read by language models, see labels.py
        return {
            (judge, r.name): Unit(
                self.name, compared(question, {"prompt": question.prompt.key}, judge, r)
            )
            for judge in (*question.plan.judges, *question.plan.readers)
            for r in question.subject.references
            if question.way.is_text and not (r.thing or r.edit) and _can_compare(judge, r)
        }

    def heading(self, plan: Plan, who: str) -> str:
        """Who compares."""
        return f"prompts read by {who}"

    def options(self, plan: Plan, who: str) -> Any:
        """The judge and its precision."""
        return who, plan.dtype

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt and its reference's pictures or texts."""
        reference, text = reference_of(place), ready.prompt_of(place.node)
        files = ready.files(reference.files)
        return Task(unit.key, unit.spec, pictures=files, texts=reference.texts, text=text)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Compare."""
        compare(batch, bench, report, "text_score")


def _can_compare(judge: str, r: Reference) -> bool:
    """Whether a judge can compare prompts with a reference."""
    own = judge_class(judge)
    return own.compares_texts if r.texts else own.compares_pictures_with_texts
