"""What is measured: data, methods, generators and the task, with what each of them may be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pez.evaluation.entries import (
    above_zero,
    entry,
    known_name,
    many,
    model,
    number,
    one_of,
    option_table,
    pair,
    text,
)
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions

# what a prompt may be searched for, and what its prompts are measured beside
TASKS = {
    "invert": ("caption", "random-words", "original", "soft", "captioner"),
    "distill": ("long-prompt", "beginning", "random-words", "soft"),
    "together": ("no-prompt", "group-name", "random-words"),
    "mix": ("joined", "random-words", "soft"),
}
BASELINES = tuple(dict.fromkeys(name for names in TASKS.values() for name in names))
RATIOS = (0.7, 0.5, 0.3, 0.1)  # of Wen et al. 2023
CAPTIONER = "Salesforce/blip-image-captioning-large"
# of a verb's options: given elsewhere in a plan, or no part of what is measured
_TAKEN = (
    *("model", "generator", "method", "length", "ratio", "seed", "together", "device"),
    *("image", "text", "negative"),
)
_TAKEN_PICTURE = ("generator", "seed", "count", "device")
_KINDS: dict[str, type[SearchOptions]] = {"distill": DistillOptions, "mix": MixOptions}


@dataclass(frozen=True)
class Data:
    """One data set: its splits, where it lies, how many items of each split are drawn.

    With ``group``, an attribute of the items, so many are drawn of each of its values. With
    ``manifest`` the items are those of an earlier run.
    """

    dataset: str = entry(text, "")
    split: tuple[str, ...] = entry(many(text), ("",))
    path: str = entry(text, "")
    count: int = entry(number(1), 100)
    seed: int = entry(number(0), 0)
    manifest: str = entry(text, "")
    group: str = entry(text, "")


@dataclass(frozen=True)
class TaskPlan:
    """What prompts are searched for. ``of``, ``things`` and ``frame`` are of ``together``,
    ``sources`` and ``weights`` of ``mix``.
    """

    name: str = entry(one_of(TASKS), "invert")
    of: int = entry(number(2), 4)
    things: tuple[str, ...] = entry(many(text), ())
    frame: str = entry(text, "{thing} in the style of {}")
    sources: str = entry(one_of(("pictures", "texts")), "pictures")
    weights: tuple[float, ...] = entry(pair(above_zero(1e6)), (1.0, 1.0))


@dataclass(frozen=True)
class MethodPlan:
    """One way to search, at each of its ``lengths`` (tokens), or ``ratios`` where prompts are
    distilled (shares of the long one's tokens); ``label`` names it in tables.
    """

    name: str = entry(text)
    lengths: tuple[int, ...] = entry(many(number(1)), (16,))
    steps: int = entry(number(0), 0)  # 0 is the method's own number
    label: str = entry(text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})
    ratios: tuple[float, ...] = entry(many(above_zero(1)), ())


@dataclass(frozen=True)
class GeneratorPlan:
    """One generator and how many pictures of a prompt it draws, from which seeds."""

    name: str = entry(text)
    pictures: int = entry(number(1), 1)
    image_seeds: tuple[int, ...] = entry(many(number(0)), ())
    label: str = entry(text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})


@dataclass(frozen=True)
class MeasurePlan:
    """One kind of unit that is asked for by its name (:mod:`kinds`), with its options."""

    name: str = entry(text)
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": option_table})


@dataclass(frozen=True)
class Plan:
    """A whole plan; an empty ``judges`` was replaced by the default judge."""

    data: tuple[Data, ...]
    methods: tuple[MethodPlan, ...] = ()
    generators: tuple[GeneratorPlan, ...] = ()
    measures: tuple[MeasurePlan, ...] = ()
    task: TaskPlan = TaskPlan()
    models: tuple[tuple[str, ...], ...] = entry(many(model), ())
    seeds: tuple[int, ...] = entry(many(number(0)), (0,))
    judges: tuple[str, ...] = entry(many(text), ())
    readers: tuple[str, ...] = entry(many(text), ())
    baselines: tuple[str, ...] = entry(many(one_of(BASELINES)), ())
    title: str = entry(text, "")
    dtype: str = entry(text, "float32")
    language_model: str = entry(text, "")
    captioner: str = entry(text, CAPTIONER)
    prompts: str = entry(text, "")
    text: str = field(default="", compare=False, repr=False)  # the file as it was

    def sizes(self, method: MethodPlan) -> tuple[tuple[int | None, float | None], ...]:
        """The lengths and ratios at which a method searches: of each pair one is None."""
        if self.task.name == "distill":
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
    task: str = "invert",
) -> SearchOptions:
    """The options of one search, of ``size`` tokens, or of that share of a long prompt's.
    PezError for those that the verb does not know.
    """
    kind = _KINDS.get(task, InvertOptions)
    known = [f.name for f in fields(kind) if f.name not in _TAKEN]
    for name in plan.options:
        known_name(name, known, f"options of the method {plan.name}")
    settings = {"steps": plan.steps, "dtype": dtype} | plan.options
    settings |= {"ratio": size[1]} if size[0] is None else {"length": size[0]}
    settings |= {"together": True} if task == "together" else {}
    return kind(model=model, method=plan.name, seed=seed, **settings)


def painter_options(plan: GeneratorPlan, device: str = "auto") -> Any:
    """The :class:`pez.generation.GenerateOptions` of a generator."""
    from pez.generation import GenerateOptions

    known = [f.name for f in fields(GenerateOptions) if f.name not in _TAKEN_PICTURE]
    for name in plan.options:
        known_name(name, known, f"options of the generator {plan.name}")
    return GenerateOptions(generator=plan.name, device=device, **plan.options)
