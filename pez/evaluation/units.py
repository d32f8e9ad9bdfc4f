"""What a plan asks for, as units: each is named by a hash of all that decides its outcome.

item x method x length x model x seed  -> prompt
prompt x generator x image seed        -> picture
picture x judge                        -> score      (the two pictures compared)
prompt x judge or reader               -> reading    (the prompt compared with the original)
prompt x language model                -> language   (perplexity)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pez.evaluation.plan import GeneratorPlan, Plan, method_options, painter_options

if TYPE_CHECKING:
    from pez.evaluation.originals import Original
    from pez.options import InvertOptions

VERSION = 1  # of what a unit's outcome means; a new one does everything again
SOFT = "soft"  # the method whose prompts are embeddings and no text
BASELINE_STEPS = {"random-words": 1, SOFT: 500}

Identity = Callable[[str], str]  # of a model or generator, by its content where that is at hand


@dataclass(frozen=True)
class Unit:
    """One thing to do; ``spec`` is plain JSON and holds everything that decides the outcome."""

    kind: str
    spec: dict[str, Any] = field(hash=False)

    @cached_property
    def key(self) -> str:
        """64 hex digits."""
        text = json.dumps([VERSION, self.kind, self.spec], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Given:
    """A prompt made elsewhere, for the item at ``place`` of the originals; ``number`` tells
    several of one method apart.
    """

    place: int
    prompt: str
    method: str
    number: int = 0


@dataclass(frozen=True)
class Way:
    """How prompts are come by: a search with ``options``, or ``text`` or ``captioner`` as
    ``how`` says. ``length`` and ``seed`` are None where they mean nothing.
    """

    label: str
    how: str
    model: tuple[str, ...] = ()
    length: int | None = None
    seed: int | None = None
    options: InvertOptions | None = None
    record: dict[str, Any] = field(default_factory=dict, hash=False)  # of ``options``


@dataclass(frozen=True)
class Drawn:
    """A picture of a prompt and the scores asked of it, by judge."""

    unit: Unit
    generator: GeneratorPlan
    image_seed: int
    scores: dict[str, Unit]


@dataclass(frozen=True)
class Node:
    """A prompt and everything asked of it."""

    original: Original
    way: Way
    unit: Unit
    pictures: tuple[Drawn, ...]
    readings: dict[str, Unit]
    language: Unit | None

    def line(self) -> str:
        """The prompt's line in the index."""
        o, way = self.original, self.way
        row: dict[str, Any] = {"dataset": o.dataset, "split": o.split, "item": o.item}
        row |= {"source": o.file, "caption": o.caption, "method": way.label}
        row |= {"length": way.length, "search_model": " + ".join(way.model), "seed": way.seed}
        row |= {"prompt": self.unit.key, "language": self.language.key if self.language else ""}
        row["readings"] = {judge: unit.key for judge, unit in self.readings.items()}
        row["pictures"] = [
            {
                "generator": p.generator.label or p.generator.name,
                "image_seed": p.image_seed,
                "key": p.unit.key,
                "judges": {judge: unit.key for judge, unit in p.scores.items()},
            }
            for p in self.pictures
        ]
        return json.dumps(row, ensure_ascii=False) + "\n"

    def units(self) -> Iterator[Unit]:
        """All units of the prompt, each after those that it needs."""
        yield self.unit
        for picture in self.pictures:
            yield picture.unit
            yield from picture.scores.values()
        yield from self.readings.values()
        if self.language:
            yield self.language


def expand(
    plan: Plan, originals: Sequence[Original], identity: Identity, given: Sequence[Given] = ()
) -> list[Node]:
    """A node for each item and way, item by item."""
    listed = _ways(plan)
    draws = [
        (generator, {"generator": identity(generator.name), "options": options.record()})
        for generator in plan.generators
        for options in [painter_options(generator)]
    ]
    made: dict[int, list[Given]] = {}
    for one in given:
        made.setdefault(one.place, []).append(one)
    nodes = []
    for place, original in enumerate(originals):
        for way in listed:
            spec = _prompt_spec(plan, original, way, identity)
            if spec is not None:
                nodes.append(_node(plan, draws, original, way, Unit("prompt", spec), identity))
        for one in made.get(place, ()):
            way = Way(one.method, "text", seed=one.number)
            spec = _identity_of(original) | {"text": one.prompt}
            nodes.append(_node(plan, draws, original, way, Unit("prompt", spec), identity))
    return nodes


def _ways(plan: Plan) -> list[Way]:
    """Baselines as the plan lists them, then methods x lengths x models x seeds."""
    from dataclasses import replace

    from pez.evaluation.plan import MethodPlan

    ways: list[Way] = []
    for name in plan.baselines:
        if name in BASELINE_STEPS:
            method = "random" if name == "random-words" else name
            options = {"init": "random"} if name == "random-words" else {}
            ways += _searches(
                plan, MethodPlan(method, plan.lengths, BASELINE_STEPS[name], name, options)
            )
        else:
            ways.append(Way(name, "captioner" if name == "captioner" else "text"))
    for method in plan.methods:
        ways += _searches(plan, replace(method, label=method.label or method.name))
    return ways


def _searches(plan: Plan, method: Any) -> list[Way]:
    ways = []
    for length in method.lengths:
        for model in plan.models:
            if method.name == SOFT and len(model) > 1:
                continue  # no one generator reads the embeddings of several models
            for seed in plan.seeds:
                options = method_options(method, model, length, seed, plan.dtype)
                record = options.record()
                ways.append(Way(method.label, "search", model, length, seed, options, record))
    return ways


def _identity_of(original: Original) -> dict[str, Any]:
    """An item by its content; by its name where it could not be read."""
    if original.sha256:
        return {"item": original.sha256}
    return {"item": "", "name": [original.dataset, original.split, original.item]}


def _prompt_spec(
    plan: Plan, original: Original, way: Way, identity: Identity
) -> dict[str, Any] | None:
    """What decides a prompt; None for a baseline that the item does not have."""
    spec = _identity_of(original)
    if way.how == "search":
        return spec | {
            "search": way.record,
            "models": [identity(name) for name in way.model],
        }
    if way.how == "captioner":
        return spec | {"captioner": identity(plan.captioner)}
    text = original.caption if way.label == "caption" else original.prompt
    return spec | {"text": text} if text else None


def _node(
    plan: Plan,
    draws: Sequence[tuple[GeneratorPlan, dict[str, Any]]],
    original: Original,
    way: Way,
    unit: Unit,
    identity: Identity,
) -> Node:
    pictures = []
    for generator, spec in draws:
        for seed in generator.image_seeds or range(generator.pictures):
            own = {"prompt": unit.key, "image_seed": seed, "noise": noise_seed(original, seed)}
            picture = Unit("picture", spec | own)
            asked = {j: {"picture": picture.key, "judge": identity(j)} for j in plan.judges}
            scores = {judge: Unit("score", spec) for judge, spec in asked.items()}
            pictures.append(Drawn(picture, generator, seed, scores))
    text = way.options is None or way.options.method != SOFT  # which judges and readers can read
    texts = [j for j in (*plan.judges, *plan.readers) if text and not picture_only(j)]
    readings = {
        judge: Unit("reading", {"prompt": unit.key, "judge": identity(judge)}) for judge in texts
    }
    model = plan.language_model if text else ""
    language = Unit("language", {"prompt": unit.key, "model": identity(model)}) if model else None
    return Node(original, way, unit, tuple(pictures), readings, language)


def noise_seed(original: Original, image_seed: int) -> int:
    """The generator's seed: the same for all prompts of an item, so that methods are compared
    in pairs, and another for each item, so that no one noise decides a whole table.
    """
    text = f"{original.sha256}/{image_seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def picture_only(judge: str) -> bool:
    """Whether a judge compares pictures alone and reads no text."""
    return judge.partition(":")[0] in ("dino", "lpips")
