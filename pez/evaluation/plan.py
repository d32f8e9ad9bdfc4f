"""A plan as data: data sets, methods, generators and the task."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pez.evaluation.entries import SEED, entry, known_name, many, model, number, text
from pez.evaluation.plan_entries import Data, GeneratorPlan, MeasurePlan, MethodPlan
from pez.evaluation.tasks.invert import Invert
from pez.evaluation.tasks.task import SearchTask
from pez.options import SearchOptions

RATIOS = (0.7, 0.5, 0.3, 0.1)  # of Wen et al. 2023
CAPTIONER = "Salesforce/blip-image-captioning-large"
# of a verb's options: set elsewhere in a plan, or irrelevant to the measurement
_TAKEN = (
    *("model", "generator", "method", "length", "ratio", "seed", "together", "device"),
    *("image", "text", "negative"),
)
_TAKEN_PICTURE = ("generator", "seed", "count", "device", "wildcards")


@dataclass(frozen=True)
class Plan:
    """A whole plan; an empty ``judges`` was replaced by the default judge."""

    data: tuple[Data, ...]
    methods: tuple[MethodPlan, ...] = ()
    generators: tuple[GeneratorPlan, ...] = ()
    measures: tuple[MeasurePlan, ...] = ()
    task: SearchTask = field(default_factory=Invert)
    models: tuple[tuple[str, ...], ...] = entry(many(model), ())
    seeds: tuple[int, ...] = entry(many(number(0, SEED)), (0,))
    judges: tuple[str, ...] = entry(many(text), ())
    readers: tuple[str, ...] = entry(many(text), ())
    baselines: tuple[str, ...] = entry(many(text), ())
    title: str = entry(text, "")
    dtype: str = entry(text, "float32")
    language_model: str = entry(text, "")
    captioner: str = entry(text, CAPTIONER)
    prompts: str = entry(text, "")
    frequent: int = entry(number(1, 1000), 5)  # words of the baseline of that name
    text: str = field(default="", compare=False, repr=False)  # the file as it was

    def sizes(self, method: MethodPlan) -> tuple[tuple[int | None, float | None], ...]:
        """The lengths and ratios at which a method searches: of each pair one is None."""
        if self.task.by_ratio:
            return tuple((None, ratio) for ratio in method.ratios or RATIOS)
        return tuple((length, None) for length in method.lengths)

    @property
    def all_sizes(self) -> tuple[tuple[int | None, float | None], ...]:
        """Those of all methods, ascending."""
        found = {size for method in self.methods for size in self.sizes(method)}
        return tuple(sorted(found, key=lambda size: (size[0] or 0, size[1] or 0)))


def method_options(
    plan: MethodPlan,
    model: tuple[str, ...],
    size: tuple[int | None, float | None],
    seed: int,
    dtype: str,
    task: SearchTask,
) -> SearchOptions:
    """The options of one search, of ``size`` tokens, or of that share of a long prompt's.
    PezError for those that the verb does not know.
    """
    known = [f.name for f in fields(task.options) if f.name not in (*_TAKEN, *task.taken)]
    for name in plan.options:
        known_name(name, known, f"options of the method {plan.name}")
    settings = {"steps": plan.steps, "dtype": dtype} | plan.options
    settings |= {"ratio": size[1]} if size[0] is None else {"length": size[0]}
    settings |= task.settings
    return task.options(model=model, method=plan.name, seed=seed, **settings)


def painter_options(plan: GeneratorPlan, device: str = "auto") -> Any:
    """The :class:`pez.generation.GenerateOptions` of a generator."""
    from pez.generation import GenerateOptions

    known = [f.name for f in fields(GenerateOptions) if f.name not in _TAKEN_PICTURE]
    for name in plan.options:
        known_name(name, known, f"options of the generator {plan.name}")
    return GenerateOptions(generator=plan.name, device=device, **plan.options)
