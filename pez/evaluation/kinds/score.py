"""picture x judge x reference -> score: the picture compared with pictures or a text."""

from __future__ import annotations

from typing import Any

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.judges import judge_class
from pez.evaluation.kinds.comparing import compare, compared, reference_of
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.kinds.ready import PICTURE, Place, Ready
from pez.evaluation.plan import Plan
from pez.evaluation.units import Asked, Batch, Reference, Task, Unit


class ScoreKind(Kind):
    """Finished pictures, compared with their references."""

    title = "scores of pictures"
    of = PICTURE
    named = False
    size, size_gpu = 32, 256
    columns = ("similarity",)

    def asked(self, question: Question) -> Asked:
        """One for each judge and reference that the judge can compare a picture with."""
        assert question.picture is not None
        scores: Asked = {}
        for judge in question.plan.judges:
            for r in question.subject.references:
                edit = r.name if r.edit else ""
                if edit != question.edit or not _can_compare(judge, r):
                    continue
                spec = compared(question, {"picture": question.picture.key}, judge, r)
                spec |= {"against": {"texts": [question.thing]}} if r.thing else {}
                if r.drawn and question.beside:
                    spec |= {"against": {"picture": question.beside.key}}
                scores[judge, r.name] = Unit(self.name, spec)
        return scores

    def heading(self, plan: Plan, who: str) -> str:
        """Who compares."""
        return f"scores by {who}"

    def options(self, plan: Plan, who: str) -> Any:
        """The judge and its precision."""
        return who, plan.dtype

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The picture and its reference's pictures or texts."""
        reference, drawn = reference_of(place), place.drawn
        assert drawn is not None
        files, texts = ready.files(reference.files), reference.texts
        if reference.drawn and drawn.beside:
            files, texts = (ready.drawn(drawn.beside),), ()
        texts = (drawn.thing,) if reference.thing else texts
        own = ready.drawn(drawn.unit)
        return Task(unit.key, unit.spec, pictures=files, texts=texts, picture=own)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Compare."""
        compare(batch, bench, report, "similarity")


def _can_compare(judge: str, r: Reference) -> bool:
    """Whether a judge can compare pictures with a reference."""
    own = judge_class(judge)
    texts = r.thing or (r.texts and not r.drawn)
    return own.compares_pictures_with_texts if texts else own.compares_pictures
