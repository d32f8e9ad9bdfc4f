"""prompt x language model x template and words -> labels: how well it labels texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.comparing import reference_of
from pez.evaluation.kinds.kind import Group, Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.metric import Metric
from pez.evaluation.plan import Plan
from pez.evaluation.tasks.classify import Classify
from pez.evaluation.units import Asked, Batch, Task, Unit
from pez.session.figures import Figures

VERSION = 1  # of the measures
WAYS = {"accuracy": "raw", "calibrated": "calibrated", "shifted": ""}  # column: rate of figures
_ENDS = ("", "_low", "_high")


class LabelKind(Kind):
    """Prompts of the task ``classify``, under each reader, else each searched model."""

    title = "labels of texts"
    named = False
    columns = (
        *(f"{name}{end}" for name in WAYS for end in _ENDS),
        *("label_loss", "texts"),
        *(f"{name}_hits" for name in WAYS),  # 1 for each text that is labelled rightly, else 0
        *(f"valid_{name}" for name in WAYS),
        *("valid_loss", "valid_texts"),
    )
    metrics: ClassVar = {
        "accuracy": Metric(
            "accuracy", "share of test texts whose likeliest label word is right", 3, 1, "reading"
        ),
        "calibrated": Metric(
            "calibrated",
            "accuracy with what the model says of texts without content divided out",
            3,
            1,
            "reading",
        ),
        "shifted": Metric(
            "shifted",
            "accuracy at the median of the log-odds, or with the batch's mean divided out",
            3,
            1,
            "reading",
        ),
        "label_loss": Metric(
            "loss", "cross-entropy of the right label word, in nats", 3, -1, "reading"
        ),
    }

    def asked(self, question: Question) -> Asked:
        """One for each reader and reference."""
        plan, task = question.plan, question.plan.task
        if not isinstance(task, Classify) or not question.way.is_text:
            return {}
        spec = {"prompt": question.prompt.key, "version": VERSION}
        spec |= {"of": question.subject.original.identity}
        return {
            (name, r.name): Unit(
                self.name,
                spec
                | {"reader": question.identity(name)}
                | {"template": task.template(r), "words": list(r.texts)},
            )
            for name in readers(plan)
            for r in question.subject.references
        }

    def groups(self, ready: Ready) -> Iterable[Group]:
        """By reader, reference and data set: prompts beside the same texts are read together."""
        for group in super().groups(ready):
            found: dict[str, list[tuple[Unit, Place]]] = {}
            for unit, place in group.pairs:
                found.setdefault(place.node.subject.original.file, []).append((unit, place))
            for pairs in found.values():
                name = pairs[0][1].node.subject.original.dataset
                yield replace(group, title=f"{group.title}, {name}", pairs=pairs)

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt and the texts."""
        (content,) = ready.files((place.node.subject.original.file,))
        words = reference_of(place).texts
        text = ready.prompt_of(place.node)
        return Task(unit.key, unit.spec, texts=words, text=text, labelled=content)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Read all texts with each prompt."""
        from pez.evaluation.labelled import from_bytes
        from pez.models.speakers import load_speaker
        from pez.session.classify_options import ClassifyOptions
        from pez.session.figures import measure
        from pez.session.labelled import fitted

        name, first = batch.options, batch.tasks[0]
        speaker = bench.get(
            ("speaker", name), lambda: load_speaker(name, bench.device, dtype="float32")
        )
        report.start_clock()
        prompts = list(dict.fromkeys(task.text for task in batch.tasks))
        longest = max(prompts, key=lambda text: len(speaker.tokens.encode(text)))
        options = ClassifyOptions(template=first.spec["template"], prompt=longest)
        data = fitted(speaker, from_bytes(first.labelled, first.texts), options)
        parts = data.test, data.valid
        total = sum(len(part.texts) for part in parts)
        done, found = 0, []
        for part in parts:
            before, own = done / total, len(part.texts) / total
            found.append(
                measure(
                    *(speaker, prompts, part.texts, part.right, options.wording, data.words),
                    lambda share, b=before, o=own: look(b + o * share),
                )
            )
            done += len(part.texts)
        rows = dict(zip(prompts, zip(*found, strict=True), strict=True))
        for task in batch.tasks:
            report.done(task, _columns(*rows[task.text]))


def readers(plan: Plan) -> tuple[str, ...]:
    """The language models that read prompts: those that the plan names, else the searched ones."""
    return plan.readers or tuple(dict.fromkeys(name for model in plan.models for name in model))


def _columns(test: Figures, valid: Figures) -> dict[str, Any]:
    """Figures of the test's and of the validation's texts as columns."""
    out: dict[str, Any] = {"label_loss": round(test.loss, 6), "valid_loss": round(valid.loss, 6)}
    (shifted,) = test.rates.keys() - WAYS.values()
    for name, way in WAYS.items():
        rate, hits = test.rates[way or shifted], test.hits[way or shifted]
        record = rate.record()
        out |= {name: record["accuracy"], "texts": rate.count}
        out |= {f"{name}_low": record["low"], f"{name}_high": record["high"]}
        out[f"{name}_hits"] = "".join("01"[hit] for hit in hits)
        rate = valid.rates[way or shifted]
        out |= {f"valid_{name}": rate.record()["accuracy"], "valid_texts": rate.count}
    return out
