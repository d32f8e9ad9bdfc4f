"""prompt x language model -> language: how natural the prompt is to the model."""

from __future__ import annotations

from typing import Any

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.plan import Plan
from pez.evaluation.units import Asked, Batch, Unit


class LanguageKind(Kind):
    """Prompts that are texts, read by the plan's ``language_model``."""

    title = "perplexities"
    named = False
    columns = ("perplexity",)

    def asked(self, question: Question) -> Asked:
        """One, if the plan names a language model."""
        model = question.plan.language_model
        if not model or not question.way.is_text:
            return {}
        spec = {"prompt": question.prompt.key, "model": question.identity(model)}
        return {("", ""): Unit(self.name, spec)}

    def heading(self, plan: Plan, who: str) -> str:
        """Whose perplexity it is."""
        return f"perplexity under {plan.language_model}"

    def options(self, plan: Plan, who: str) -> Any:
        """The language model's name."""
        return plan.language_model

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Read."""
        from pez.models import open_language_model

        name = batch.options
        model = bench.get(("language", name), lambda: open_language_model(name, bench.device))
        report.start_clock()
        found = model.perplexities([task.text for task in batch.tasks])
        for task, value in zip(batch.tasks, found, strict=True):
            report.done(task, {"perplexity": None if value is None else round(value, 4)})
