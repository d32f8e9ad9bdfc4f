"""What a plan file says, read from TOML and checked before anything is done.

models = ["mini"]                  # searched; a list inside the list is searched as one
seeds = [0]
judges = ["mini-judge"]            # compare pictures, and prompts with originals
readers = ["mini-b"]               # compare prompts with originals only
baselines = ["caption", "random-words"]

[data]                             # or several [[data]]
dataset = "samples"
split = ["web", "art"]
count = 15

[[methods]]
name = "pez"
lengths = [8, 16]
steps = 500
options = { init = "random", history = true }  # any of pez invert

[[generators]]
name = "mini-sd"
pictures = 2                       # of each prompt; or image_seeds = [0, 1]
options = { steps = 20 }           # any option of pez generate

What prompts are searched for is a picture each, unless a task says otherwise (see tasks.py):

task = "distill"                   # a shorter prompt for each item's text; ratios, not lengths
[task]                             # or one prompt for several pictures of a style:
name = "together"                  # with [data] group = "style", count is of each group
of = 4                             # pictures of one prompt
things = ["a castle", "a frog"]    # drawn in that style
frame = "{thing} in the style of {}"
[task]                             # or one prompt for two items after each other
name = "mix"
sources = "pictures"               # or texts: their prompts or captions
weights = [0.5, 0.5]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pez.errors import PezError
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
    tables,
    text,
    values,
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
JUDGE = "ViT-g-14/laion2b_s12b_b42k"  # the paper's
OFFLINE_JUDGE = "mini-judge"
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
class Plan:
    """A whole plan; an empty ``judges`` was replaced by the default judge."""

    data: tuple[Data, ...]
    methods: tuple[MethodPlan, ...] = ()
    generators: tuple[GeneratorPlan, ...] = ()
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


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file. PezError that names what is wrong in it."""
    try:
        content = Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise PezError(f"{path} cannot be read ({error.strerror}); give a plan file.") from None
    except UnicodeDecodeError:
        raise PezError(f"{path} is no UTF-8 text; give a plan file in TOML.") from None
    return parse_plan(content, str(path))


def parse_plan(content: str, name: str = "the plan") -> Plan:
    """The plan in a TOML text; unset judges become the paper's, or offline the shipped one."""
    from pez.evaluation.checks import check, with_judge

    try:
        table = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PezError(f"{name} is no TOML ({error}); mend that line.") from None
    parts = {
        "data": tuple(tables(Data, table.pop("data", None), "data")),
        "methods": tuple(tables(MethodPlan, table.pop("methods", []), "methods")),
        "generators": tuple(tables(GeneratorPlan, table.pop("generators", []), "generators")),
        "task": _task(table.pop("task", {})),
    }
    plain = values(Plan, table, "", tuple(parts))
    plan = Plan(**parts, **plain, text=content)
    check(plan)
    return plan if plan.judges else with_judge(plan)


def _task(value: Any) -> TaskPlan:
    """``task = NAME`` or ``[task]``."""
    found = tables(TaskPlan, {"name": value} if isinstance(value, str) else value, "task")
    if len(found) != 1:
        raise PezError("a plan has one [task]; write a plan file for each.")
    return found[0]


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
