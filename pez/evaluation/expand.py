"""A plan and its subjects become units: each prompt with its pictures and all comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pez.evaluation.judges import judge_class, judge_identity
from pez.evaluation.plan import GeneratorPlan, MethodPlan, Plan, method_options, painter_options
from pez.evaluation.tasks import given_text, search_spec
from pez.evaluation.units import (
    Drawn,
    Given,
    Node,
    Reference,
    Subject,
    Unit,
    Way,
    noise_seed,
)

if TYPE_CHECKING:
    from pez.evaluation.units import Original

SOFT = "soft"  # the method whose prompts are embeddings and no text
BASELINE_STEPS = {"random-words": 1, SOFT: 500}

Identity = Callable[[str], str]  # of a model or generator, by its content where that is at hand


def expand(
    plan: Plan, listed: Sequence[Subject], identity: Identity, given: Sequence[Given] = ()
) -> list[Node]:
    """A node for each subject and way, subject by subject."""
    make, ways = _Expanding(plan, identity), _ways(plan)
    made: dict[int, list[Given]] = {}
    for one in given:
        made.setdefault(one.place, []).append(one)
    nodes = []
    for place, subject in enumerate(listed):
        beside = make.beside(subject)
        nodes += [beside] if beside else []
        for way in ways:
            spec = make.prompt_spec(subject, way)
            if spec is not None:
                nodes.append(make.node(subject, way, Unit("prompt", spec), beside))
        for one in made.get(place, ()):
            way = Way(one.method, "text", seed=one.number)
            spec = _identity_of(subject.original) | {"text": one.prompt}
            nodes.append(make.node(subject, way, Unit("prompt", spec), beside))
    return nodes


def _ways(plan: Plan) -> list[Way]:
    """Baselines as the plan lists them, then methods x sizes x models x seeds."""
    ways: list[Way] = []
    for name in plan.baselines:
        if name in BASELINE_STEPS:
            method = "random" if name == "random-words" else name
            options = {"init": "random"} if name == "random-words" else {}
            own = MethodPlan(method, (), BASELINE_STEPS[name], name, options)
            ways += _searches(plan, own, plan.all_sizes)
        elif name == "beginning":
            ways += [Way(name, "text", ratio=ratio) for _, ratio in plan.all_sizes]
        else:
            ways.append(Way(name, "captioner" if name == "captioner" else "text"))
    for method in plan.methods:
        named = replace(method, label=method.label or method.name)
        ways += _searches(plan, named, plan.sizes(method))
    return ways


def _searches(
    plan: Plan, method: MethodPlan, sizes: Sequence[tuple[int | None, float | None]]
) -> list[Way]:
    ways, task = [], plan.task.name
    for length, ratio in sizes:
        for model in plan.models:
            if method.name == SOFT and len(model) > 1:
                continue  # no one generator reads the embeddings of several models
            for seed in plan.seeds:
                size = (length, ratio)
                options = method_options(method, model, size, seed, plan.dtype, task)
                own = (method.label, "search", model, length, seed, options, options.record())
                ways.append(Way(*own, ratio))
    return ways


def _identity_of(original: Original) -> dict[str, Any]:
    """An item by its content; by its name where it could not be read."""
    if original.sha256:
        return {"item": original.sha256}
    return {"item": "", "name": [original.dataset, original.split, original.item]}


@dataclass(frozen=True)
class _Expanding:
    """What all nodes of a plan share."""

    plan: Plan
    identity: Identity

    @cached_property
    def draws(self) -> list[tuple[GeneratorPlan, dict[str, Any]]]:
        """The generators, each with what decides a picture of any prompt."""
        return [
            (
                generator,
                {
                    "generator": self.identity(generator.name),
                    "options": painter_options(generator).record(),
                },
            )
            for generator in self.plan.generators
        ]

    def prompt_spec(self, subject: Subject, way: Way) -> dict[str, Any] | None:
        """What decides a prompt; None for a baseline that the subject does not have."""
        own = _identity_of(subject.original)
        if way.how == "search":
            return (
                search_spec(self.plan, subject, own)
                | {
                    "search": way.record,
                    "models": [self.identity(name) for name in way.model],
                }
                | self._draft(way)
            )
        if way.how == "captioner":
            return own | {"captioner": self.identity(self.plan.captioner)}
        text = given_text(subject, way.label, way.ratio)
        return None if text is None else own | {"text": text}

    def _draft(self, way: Way) -> dict[str, str]:
        """The method's draft, if it has one, by its content."""
        from pez.session.drafts import draft_name

        name = draft_name(way.options) if way.options else ""
        return {"draft": self.identity(name)} if name else {}

    def beside(self, subject: Subject) -> Node | None:
        """The long prompt's own pictures, where others are compared with these: from other
        noise, so that it has to find its meaning in them, not its noise.
        """
        if not any(r.drawn for r in subject.references) or not self.draws:
            return None
        unit = Unit("prompt", _identity_of(subject.original) | {"text": subject.texts[0]})
        pictures = tuple(
            Drawn(picture, generator, seed, {})
            for generator, seed, picture in self._pictures(subject, unit, "beside")
        )
        return Node(subject, Way("long-prompt", "text"), unit, pictures, {}, None, hidden=True)

    def node(self, subject: Subject, way: Way, unit: Unit, beside: Node | None) -> Node:
        """A prompt with its pictures, and what is asked of both."""
        plan, text = self.plan, way.options is None or way.options.method != SOFT
        pictures = []
        for thing in plan.task.things or ("",):
            frame = plan.task.frame.replace("{thing}", thing) if thing else "{}"
            frame = thing if thing and way.label == "no-prompt" else frame
            own = self._pictures(subject, unit, thing, frame)
            for n, (generator, seed, picture) in enumerate(own):
                rival = beside.pictures[n].unit if beside else None
                scores = self._scores(subject, picture, thing, rival)
                pictures.append(Drawn(picture, generator, seed, scores, thing, frame, rival))
        readings = {
            (judge, r.name): Unit("reading", self._asked({"prompt": unit.key}, judge, r))
            for judge in (*plan.judges, *plan.readers)
            for r in subject.references
            if text and not r.thing and _reads(judge, r)
        }
        model = plan.language_model if text else ""
        own = {"prompt": unit.key, "model": self.identity(model)}
        language = Unit("language", own) if model else None
        return Node(subject, way, unit, tuple(pictures), readings, language)

    def _pictures(
        self, subject: Subject, unit: Unit, salt: str = "", frame: str = "{}"
    ) -> Iterator[tuple[GeneratorPlan, int, Unit]]:
        framed = {} if frame == "{}" else {"frame": frame}
        for generator, spec in self.draws:
            for seed in generator.image_seeds or range(generator.pictures):
                noise = noise_seed(subject.original, seed, salt)
                own = {"prompt": unit.key, "image_seed": seed, "noise": noise}
                yield generator, seed, Unit("picture", spec | own | framed)

    def _scores(
        self, subject: Subject, picture: Unit, thing: str, beside: Unit | None
    ) -> dict[tuple[str, str], Unit]:
        scores = {}
        for judge in self.plan.judges:
            for r in subject.references:
                if not _looks(judge, r):
                    continue
                spec = self._asked({"picture": picture.key}, judge, r)
                spec |= {"against": {"texts": [thing]}} if r.thing else {}
                spec |= {"against": {"picture": beside.key}} if r.drawn and beside else {}
                scores[judge, r.name] = Unit("score", spec)
        return scores

    def _asked(self, spec: dict[str, Any], judge: str, r: Reference) -> dict[str, Any]:
        """What decides a comparison; an item's own picture is known from its prompt's unit."""
        spec = spec | {"judge": judge_identity(judge, self.identity)}
        if not r.name:
            return spec
        names = [file.rpartition("/")[2].partition(".")[0] for file in r.files]  # by content
        against: dict[str, Any] = {"texts": list(r.texts)} if r.texts else {"pictures": names}
        return spec | {"against": against | ({"least": True} if r.least else {})}


def _looks(judge: str, r: Reference) -> bool:
    """Whether a judge can compare pictures with a reference."""
    own = judge_class(judge)
    texts = r.thing or (r.texts and not r.drawn)
    return own.compares_pictures_with_texts if texts else own.compares_pictures


def _reads(judge: str, r: Reference) -> bool:
    """Whether a judge can compare prompts with a reference."""
    own = judge_class(judge)
    return own.compares_texts if r.texts else own.compares_pictures_with_texts
