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
options = { init = "random" }      # any option of pez invert

[[generators]]
name = "mini-sd"
pictures = 2                       # of each prompt; or image_seeds = [0, 1]
options = { steps = 20 }           # any option of pez generate
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pez.errors import PezError
from pez.options import InvertOptions

T = TypeVar("T")
BASELINES = ("caption", "random-words", "original", "soft", "captioner")
JUDGE = "ViT-g-14/laion2b_s12b_b42k"  # the paper's
OFFLINE_JUDGE = "mini-judge"
CAPTIONER = "Salesforce/blip-image-captioning-large"
# of InvertOptions: given elsewhere in a plan, or no part of what is measured
_TAKEN = ("model", "generator", "method", "length", "seed", "together", "device")
_TAKEN_PICTURE = ("generator", "seed", "count", "device")


def _entry(read: Callable[[Any, str], Any], default: Any = MISSING) -> Any:
    return field(default=default, metadata={"read": read})


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise PezError(f"{where} must be a text, not {value!r}.")
    return value


def _number(least: int) -> Callable[[Any, str], int]:
    def read(value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise PezError(f"{where} must be a whole number, {least} or more, not {value!r}.")
        return value

    return read


def _many(read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    """A list without repetitions; a single entry may stand for a list of one."""

    def listed(value: Any, where: str) -> tuple[T, ...]:
        entries = value if isinstance(value, list) else [value]
        return tuple(dict.fromkeys(read(entry, where) for entry in entries))

    return listed


def _model(value: Any, where: str) -> tuple[str, ...]:
    """One model, or several that are searched as one."""
    if value == []:
        raise PezError(f"{where} holds an empty list; name at least one model.")
    return _many(_text)(value, where)


def _baseline(value: Any, where: str) -> str:
    return _one_of(_text(value, where), BASELINES, where)


def _options(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PezError(f"{where} must be a table such as {{ steps = 20 }}, not {value!r}.")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}


@dataclass(frozen=True)
class Data:
    """One data set: its splits, where it lies, how many items of each split are drawn.

    With ``manifest`` the items are those of an earlier run.
    """

    dataset: str = _entry(_text, "")
    split: tuple[str, ...] = _entry(_many(_text), ("",))
    path: str = _entry(_text, "")
    count: int = _entry(_number(1), 100)
    seed: int = _entry(_number(0), 0)
    manifest: str = _entry(_text, "")


@dataclass(frozen=True)
class MethodPlan:
    """One way to search, at each of its ``lengths`` (tokens); ``label`` names it in tables."""

    name: str = _entry(_text)
    lengths: tuple[int, ...] = _entry(_many(_number(1)), (16,))
    steps: int = _entry(_number(1), 500)
    label: str = _entry(_text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": _options})


@dataclass(frozen=True)
class GeneratorPlan:
    """One generator and how many pictures of a prompt it draws, from which seeds."""

    name: str = _entry(_text)
    pictures: int = _entry(_number(1), 1)
    image_seeds: tuple[int, ...] = _entry(_many(_number(0)), ())
    label: str = _entry(_text, "")
    options: dict[str, Any] = field(default_factory=dict, metadata={"read": _options})


@dataclass(frozen=True)
class Plan:
    """A whole plan; an empty ``judges`` was replaced by the default judge."""

    data: tuple[Data, ...]
    methods: tuple[MethodPlan, ...] = ()
    generators: tuple[GeneratorPlan, ...] = ()
    models: tuple[tuple[str, ...], ...] = _entry(_many(_model), ())
    seeds: tuple[int, ...] = _entry(_many(_number(0)), (0,))
    judges: tuple[str, ...] = _entry(_many(_text), ())
    readers: tuple[str, ...] = _entry(_many(_text), ())
    baselines: tuple[str, ...] = _entry(_many(_baseline), ())
    title: str = _entry(_text, "")
    dtype: str = _entry(_text, "float32")
    language_model: str = _entry(_text, "")
    captioner: str = _entry(_text, CAPTIONER)
    prompts: str = _entry(_text, "")
    text: str = field(default="", compare=False, repr=False)  # the file as it was

    @property
    def lengths(self) -> tuple[int, ...]:
        """All lengths of all methods, ascending."""
        return tuple(sorted({length for method in self.methods for length in method.lengths}))


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file. PezError that names what is wrong in it."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise PezError(f"{path} cannot be read ({error.strerror}); give a plan file.") from None
    except UnicodeDecodeError:
        raise PezError(f"{path} is no UTF-8 text; give a plan file in TOML.") from None
    return parse_plan(text, str(path))


def parse_plan(text: str, name: str = "the plan") -> Plan:
    """The plan in a TOML text; unset judges become the paper's, or offline the shipped one."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PezError(f"{name} is no TOML ({error}); mend that line.") from None
    parts = {
        "data": tuple(_tables(Data, table.pop("data", None), "data")),
        "methods": tuple(_tables(MethodPlan, table.pop("methods", []), "methods")),
        "generators": tuple(_tables(GeneratorPlan, table.pop("generators", []), "generators")),
    }
    values = _values(Plan, table, "", ("data", "methods", "generators"))
    plan = Plan(**parts, **values, text=text)
    _check(plan)
    return plan if plan.judges else _with_judge(plan)


def method_options(
    plan: MethodPlan, model: tuple[str, ...], length: int, seed: int, dtype: str
) -> InvertOptions:
    """The options of one search. PezError for those that ``pez invert`` does not know."""
    known = [f.name for f in fields(InvertOptions) if f.name not in _TAKEN]
    for name in plan.options:
        _one_of(name, known, f"options of the method {plan.name}")
    settings = {"steps": plan.steps, "dtype": dtype} | plan.options
    return InvertOptions(model=model, method=plan.name, length=length, seed=seed, **settings)


def painter_options(plan: GeneratorPlan, device: str = "auto") -> Any:
    """The :class:`pez.generation.GenerateOptions` of a generator."""
    from pez.generation import GenerateOptions

    known = [f.name for f in fields(GenerateOptions) if f.name not in _TAKEN_PICTURE]
    for name in plan.options:
        _one_of(name, known, f"options of the generator {plan.name}")
    return GenerateOptions(generator=plan.name, device=device, **plan.options)


def _tables(kind: type[T], value: Any, where: str) -> list[T]:
    """``[where]`` or ``[[where]]`` as dataclasses."""
    if value is None:
        raise PezError(f"the plan has no [{where}]; write one, with dataset = NAME.")
    tables = [value] if isinstance(value, dict) else value
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PezError(f"{where} must be a table; write [{where}] or [[{where}]] above it.")
    return [kind(**_values(kind, table, f"{where}.")) for table in tables]


def _values(
    kind: type, table: dict[str, Any], where: str, skip: Iterable[str] = ()
) -> dict[str, Any]:
    """The entries of a table, read as the dataclass says."""
    known = {f.name: f for f in fields(kind) if "read" in f.metadata and f.name not in skip}
    for name in table:
        _one_of(name, list(known), "the plan" if not where else f"[{where[:-1]}]")
    for name, own in known.items():
        if name not in table and own.default is MISSING and own.default_factory is MISSING:
            raise PezError(f"[{where[:-1]}] has no {name}; write {name} = ...")
    return {name: known[name].metadata["read"](v, where + name) for name, v in table.items()}


def _one_of(name: str, known: Iterable[str], where: str) -> str:
    """``name`` if it is known, else a PezError with the nearest names."""
    listed = list(known)
    if name in listed:
        return name
    near = difflib.get_close_matches(name, listed, 3, 0.5)
    meant = f"did you mean {' or '.join(near)}" if near else f"there are {', '.join(listed)}"
    raise PezError(f"{where}: unknown {name!r}; {meant}{'?' if near else '.'}")


def _check(plan: Plan) -> None:
    """PezError for entries that are right alone and wrong together."""
    from pez.datasets import DATASETS
    from pez.methods import METHODS

    for data in plan.data:
        if data.dataset or not data.manifest:
            _one_of(data.dataset, DATASETS, "data.dataset")
    if plan.methods and not plan.models:
        raise PezError('the plan has methods but no models; write models = ["mini"].')
    needs = sorted({"random-words", "soft"} & set(plan.baselines))
    if needs and not (plan.models and plan.methods):
        raise PezError(
            f"the baseline {needs[0]} takes its lengths and models from the methods; add one."
        )
    for method in plan.methods:
        _one_of(method.name, METHODS, "methods.name")
        for length in method.lengths:
            method_options(method, ("",), length, 0, plan.dtype)
    for generator in plan.generators:
        painter_options(generator)
        if generator.image_seeds and generator.pictures not in (1, len(generator.image_seeds)):
            raise PezError(
                f"the generator {generator.name} has both pictures and image_seeds; leave one away."
            )
    _distinct([m.label or m.name for m in plan.methods], "methods")
    _distinct([g.label or g.name for g in plan.generators], "generators")
    searched = {name for model in plan.models for name in model}
    if both := [judge for judge in plan.judges if judge in searched]:
        raise PezError(
            f"{both[0]} is searched and would judge its own prompts; choose another judge, or "
            "name it among the readers, which only compare prompts with originals."
        )


def _distinct(labels: list[str], where: str) -> None:
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise PezError(f"{where} holds {twice[0]!r} twice; tell them apart by label = NAME.")


def _with_judge(plan: Plan) -> Plan:
    """The paper's judge, or the shipped one where only shipped models are searched."""
    from dataclasses import replace

    from pez.models.shipped import shipped_names

    searched = {name for model in plan.models for name in model}
    shipped = set(shipped_names())
    offline = bool(searched) and searched <= shipped and OFFLINE_JUDGE not in searched
    judge = OFFLINE_JUDGE if offline else JUDGE
    if judge in searched:
        raise PezError(f"the default judge {judge} is searched; write judges = [...].")
    return replace(plan, judges=(judge,))
