"""prompt x captions -> content words: how many of a prompt's words people used of the picture.

A content word is right if its lemma is among the lemmas of the captions. Each lemma counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.lemmas import content_words
from pez.evaluation.metric import Metric
from pez.evaluation.units import Asked, Batch, Task, Unit

VERSION = 1  # of the lemmas and function words: a new one counts anew
_SHARE = "share of prompts with at least {} right content word{}, as a caption of the picture has"


class ContentWords(Kind):
    """Prompts that are texts, of items with captions. A caption that is itself the prompt is
    counted against the other ones.
    """

    title = "right content words"
    reads_captions = True
    columns = ("content_words", "right_words", "right_1", "right_2", "right_3", "precision")
    metrics: ClassVar = {
        "content_words": Metric("content words", "different content words of the prompt", 2),
        "right_words": Metric(
            "right words", "content words of the prompt that a caption of the picture has", 2, 1
        ),
        "right_1": Metric("1 right", _SHARE.format(1, ""), 2, 1),
        "right_2": Metric("2 right", _SHARE.format(2, "s"), 2, 1),
        "right_3": Metric("3 right", _SHARE.format(3, "s"), 2, 1),
        "precision": Metric(
            "precision", "share of the prompt's content words that are right", 2, 1
        ),
    }
    size, size_gpu = 512, 512

    def asked(self, question: Question) -> Asked:
        """One, if the plan requests it and people wrote captions of the item."""
        captions = question.subject.original.captions
        if self.settings(question.plan) is None or not captions or not question.way.is_text:
            return {}
        spec = {"prompt": question.prompt.key, "captions": list(captions), "version": VERSION}
        return {("", ""): Unit(self.name, spec)}

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt and the captions."""
        text = ready.prompt_of(place.node)
        return Task(unit.key, unit.spec, texts=tuple(unit.spec["captions"]), text=text)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Count."""
        report.start_clock()
        for task in batch.tasks:
            report.done(task, counted(task.text, task.texts))


def counted(prompt: str, captions: Sequence[str]) -> dict[str, Any]:
    """The columns for a prompt of a picture with these captions; all None if the prompt is its
    only caption. The precision of a prompt without content words is 0.
    """
    others = [caption for caption in captions if caption.strip() != prompt.strip()]
    if not others:
        return dict.fromkeys(ContentWords.columns)
    said, true = content_words(prompt), set(content_words(" ".join(others)))
    right = sum(word in true for word in said)
    shares = {f"right_{least}": int(right >= least) for least in (1, 2, 3)}
    precision = round(right / len(said), 4) if said else 0.0
    return {"content_words": len(said), "right_words": right, **shares, "precision": precision}
