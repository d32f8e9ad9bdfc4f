"""Entries of a plan that are valid alone but not together."""

from __future__ import annotations

from dataclasses import replace

from pez.errors import PezError
from pez.evaluation.entries import known_name
from pez.evaluation.frequent import FREQUENT
from pez.evaluation.judges import JUDGE, check_judge
from pez.evaluation.kinds import all_kinds
from pez.evaluation.kinds.kind import Kind
from pez.evaluation.labelled import draw_options
from pez.evaluation.plan import Plan, method_options, painter_options
from pez.evaluation.plan_entries import MethodPlan
from pez.evaluation.tasks import TASKS, all_baselines, task_class
from pez.evaluation.units import SOFT
from pez.models.names import OFFLINE_CLIP


def check(plan: Plan) -> None:
    """PezError for a plan that cannot be carried out."""
    from pez.datasets import DATASETS
    from pez.methods import METHODS, open_method

    for data in plan.data:
        if data.labelled:
            draw_options(data)
        elif data.options:
            raise PezError("data.options are for labelled texts, of the task classify.")
        elif data.dataset or not data.manifest:
            known_name(data.dataset, DATASETS, "data.dataset")
    for name in plan.baselines:
        known_name(name, all_baselines(), "baselines")
    _check_training(plan)
    if plan.methods and not plan.models:
        raise PezError(f'the plan has methods but no models; write models = ["{OFFLINE_CLIP}"].')
    needs = sorted({"random-words", "soft", "beginning"} & set(plan.baselines))
    if needs and not (plan.models and plan.methods):
        raise PezError(
            f"the baseline {needs[0]} takes its lengths and models from the methods; add one."
        )
    for method in plan.methods:
        known_name(method.name, METHODS, "methods.name")
        for size in plan.sizes(method):
            open_method(method_options(method, ("",), size, 0, plan.dtype, plan.task))
    for generator in plan.generators:
        painter_options(generator)
        if generator.image_seeds and generator.pictures not in (1, len(generator.image_seeds)):
            raise PezError(
                f"the generator {generator.name} has both pictures and image_seeds; omit one of "
                "them."
            )
    _distinct([m.label or m.name for m in plan.methods], "methods")
    for measure in plan.measures:
        _named_kind(measure.name).check(measure.options)
    _distinct([measure.name for measure in plan.measures], "measures")
    _distinct([g.label or g.name for g in plan.generators], "generators")
    _check_task(plan)
    if plan.task.labelled:
        _check_labelled(plan)
        return
    for judge in plan.judges:
        check_judge(judge)
    for reader in plan.readers:
        own = check_judge(reader)
        if not (own.compares_texts or own.compares_pictures_with_texts):
            raise PezError(f"{reader} reads no texts; name it among the judges, not the readers.")
    searched = {name for model in plan.models for name in model}
    if both := [judge for judge in plan.judges if judge in searched]:
        raise PezError(
            f"{both[0]} is searched and would score its own prompts; choose another judge, or "
            "name it among the readers, which only compare prompts with originals."
        )


def _check_labelled(plan: Plan) -> None:
    """PezError for entries that do not apply to prompts which language models read."""
    for name in ("judges", "generators"):
        if getattr(plan, name):
            raise PezError(
                f"{name}: the task {plan.task.name} has no pictures; name language models among "
                "the readers."
            )
    if not (plan.readers or plan.models):
        raise PezError(
            f"the task {plan.task.name} needs a language model to read prompts; write "
            'readers = ["smollm2"].'
        )
    for method in plan.methods:
        if method.name == SOFT:
            raise PezError("the method soft finds no text; pez classify measures its embeddings.")
    _distinct([data.dataset for data in plan.data], "data")


def _check_training(plan: Plan) -> None:
    """PezError for training captions without the baseline that reads them, and the reverse."""
    wanted = FREQUENT in plan.baselines
    for data in plan.data:
        if wanted and not (data.training and data.dataset):
            raise PezError(
                "the baseline frequent takes the words of training captions: write dataset and "
                "training = FILE or SPLIT below each [[data]]."
            )
        if data.training and not wanted:
            raise PezError("data.training is read by the baseline frequent; add it to baselines.")
        if data.last and (data.manifest or data.last < data.count):
            raise PezError("data.last is at least data.count, and belongs to no manifest.")


def _check_task(plan: Plan) -> None:
    """PezError for entries that do not apply to the plan's task."""
    task = plan.task
    for name in plan.baselines:
        if name not in task.baselines:
            raise PezError(
                f"baselines: {name} does not belong to the task {task.name}; there are "
                f"{', '.join(task.baselines)}."
            )
    usual = MethodPlan("").lengths
    for method in plan.methods:
        wrong = "lengths" if method.lengths != usual else ""
        wrong = wrong if task.by_ratio else "ratios" if method.ratios else ""
        if wrong:
            other = "ratios" if wrong == "lengths" else "lengths"
            raise PezError(f"methods.{wrong}: the task {task.name} uses {other}.")
        if method.name == "soft" and task.things:
            raise PezError("the method soft finds no text to put into a frame with things.")
        if method.name == "soft" and task.edits:
            raise PezError("the method soft finds no text to edit.")
    if any(data.group for data in plan.data) and not task.grouped:
        grouped = " and ".join(name for name in TASKS if task_class(name).grouped)
        raise PezError(f"data.group belongs to the task {grouped}, not {task.name}.")


def _named_kind(name: str) -> Kind:
    known = {kind.name: kind for kind in all_kinds() if kind.named}
    if not known:
        raise PezError(f"measures.name: unknown {name!r}; there are no measures to choose from.")
    return known[known_name(name, known, "measures.name")]


def _distinct(labels: list[str], where: str) -> None:
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise PezError(f"{where} holds {twice[0]!r} twice; tell them apart by label = NAME.")


def with_judge(plan: Plan) -> Plan:
    """The judge that goes with the searched models; the paper's if theirs differ, or if it is
    itself searched.
    """
    from pez.models.families import companions

    searched = {name for model in plan.models for name in model}
    judges = {companions(name).judge for name in searched}
    judge = judges.pop() if len(judges) == 1 and not judges & searched else ""
    judge = judge or JUDGE
    if judge in searched:
        raise PezError(f"the default judge {judge} is searched; write judges = [...].")
    return replace(plan, judges=(judge,))
