"""prompt x edit x judge -> stability: what stays of a prompt's meaning when one word is changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from PIL import Image

from pez.errors import PezError
from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.edits import kept_order, kept_signs, places, without
from pez.evaluation.judges import judge_class, judge_identity, open_judge
from pez.evaluation.judges.judge import Judge
from pez.evaluation.kinds.edit import EditKind
from pez.evaluation.kinds.kind import Group, Kind, Question
from pez.evaluation.kinds.rank import gallery_hash, gallery_of, ranked, scores_among
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.metric import Metric
from pez.evaluation.packing import decode
from pez.evaluation.plan import Plan
from pez.evaluation.units import Asked, Batch, Task, Unit

VERSION = 1  # of the measures
_OTHERS = "the prompt's other content words whose part in its cosine with the original picture"


class Stability(Kind):
    """Edited prompts, under every judge and reader that compares pictures with texts.

    A word's part is the cosine of the prompt with the picture less that of the prompt without the
    word. The word that is swapped or added is not counted.
    """

    title = "stability of edited prompts"
    named = False
    columns = ("text_score", "before_score", "before_rank", "after_rank", "edit_likeness")
    columns += ("kept_signs", "kept_order")
    metrics: ClassVar = {
        "before_score": Metric(
            "score before",
            "cosine of the unchanged prompt and the original picture",
            3,
            1,
            "reading",
        ),
        "before_rank": Metric(
            "rank before",
            "median place of the original picture among the data set's for the unchanged prompt",
            1,
            -1,
            "reading",
            median=True,
        ),
        "after_rank": Metric(
            "rank after",
            "median place of the original picture for the changed prompt",
            1,
            -1,
            "reading",
            median=True,
        ),
        "edit_likeness": Metric(
            "likeness", "cosine of the changed prompt and the unchanged one", 3, 1, "reading"
        ),
        "kept_signs": Metric("kept signs", f"share of {_OTHERS} keeps its sign", 2, 1, "reading"),
        "kept_order": Metric(
            "kept order", f"share of pairs of {_OTHERS} keep their order", 2, 1, "reading"
        ),
    }
    size, size_gpu = 128, 512

    def asked(self, question: Question) -> Asked:
        """One for each edit, judge and reader."""
        plan, edits = question.plan, question.plan.task.edits
        if not edits or not question.way.is_text:
            return {}
        spec = {"prompt": question.prompt.key, "picture": question.subject.files[0]}
        spec |= {"among": gallery_hash(question.gallery), "version": VERSION}
        made = EditKind("edit").asked(question)
        return {
            (judge, name): Unit(
                self.name,
                spec | {"edit": unit.key, "judge": judge_identity(judge, question.identity)},
            )
            for judge in (*plan.judges, *plan.readers)
            if judge_class(judge).compares_pictures_with_texts
            for (_, name), unit in made.items()
        }

    def groups(self, ready: Ready) -> Iterable[Group]:
        """Those whose edits are finished, by judge, edit and data set."""
        for group in super().groups(ready):
            found: dict[str, list[tuple[Unit, Place]]] = {}
            for unit, place in group.pairs:
                if ready.edit_of(_edit(place)):
                    found.setdefault(unit.spec["among"], []).append((unit, place))
            for pairs in found.values():
                yield replace(group, pairs=pairs)

    def options(self, plan: Plan, who: str) -> Any:
        """The judge and its precision."""
        return who, plan.dtype

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt, the edited prompt, the original and all pictures of the data set."""
        made, (own,) = ready.edit_of(_edit(place)), ready.files(place.node.subject.files)
        texts = (made["edited"], "" if made["place"] is None else str(made["place"]))
        return Task(
            unit.key,
            unit.spec,
            gallery_of(ready, place.node),
            texts,
            picture=own,
            text=ready.prompt_of(place.node),
        )

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Read each prompt before and after its edit."""
        name, dtype = batch.options
        judge = bench.get(("judge", name, dtype), lambda: open_judge(name, bench.device, dtype))
        report.start_clock()
        tasks = list(batch.tasks)
        texts = [text for task in tasks for text in (task.text, task.texts[0])]
        found = iter(scores_among(judge, tasks[0].pictures, texts))
        for task in tasks:
            among = next(found), next(found)
            try:
                picture = decode(task.picture)
            except PezError as error:
                report.failed(task, error)
                continue
            ranks = [ranked(s[task.picture], list(s.values()))["rank"] for s in among]
            out = _parts(judge, task, picture)
            if len(among[0]) > 1:
                out |= {"before_rank": ranks[0], "after_rank": ranks[1]}
            report.done(task, out)


def _parts(judge: Judge, task: Task, picture: Image.Image) -> dict[str, Any]:
    """What the words of a prompt say of its picture before and after the edit."""
    before, (after, swapped) = task.text, task.texts
    others = [n for n in places(before) if str(n) != swapped]
    texts = [before, *(without(before, n) for n in others)]
    texts += [after, *(without(after, n) for n in others)]
    scores = [row[0] for row in judge.grid([picture], texts)]
    one, two = scores[: len(others) + 1], scores[len(others) + 1 :]
    parts = [[whole - less for less in rest] for whole, *rest in (one, two)]
    out = {"text_score": round(two[0], 6), "before_score": round(one[0], 6)}
    if judge.compares_texts:
        out["edit_likeness"] = round(judge.between_texts([before], [after])[0], 6)
    return {**out, "kept_signs": kept_signs(*parts), "kept_order": kept_order(*parts)}


def _edit(place: Place) -> Unit:
    """The edit that a unit is of."""
    return place.node.asked["edit"]["", place.against]
