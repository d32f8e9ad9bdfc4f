"""A plan and its subjects become units: each prompt with its pictures and all comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pez.evaluation.kinds import all_kinds
from pez.evaluation.kinds.kind import Kind, Question
from pez.evaluation.kinds.prompt import prompt_spec
from pez.evaluation.kinds.ready import PICTURE, PROMPT
from pez.evaluation.plan import Plan, method_options, painter_options
from pez.evaluation.plan_entries import GeneratorPlan, MethodPlan
from pez.evaluation.units import (
    SOFT,
    Asked,
    Drawn,
    Given,
    Node,
    Subject,
    Unit,
    Way,
    noise_seed,
)
from pez.methods import record_of

BASELINE_STEPS = {"random-words": 1, SOFT: 500}

Identity = Callable[[str], str]  # of a model or generator, by its content if available


def expand(
    plan: Plan, listed: Sequence[Subject], identity: Identity, given: Sequence[Given] = ()
) -> list[Node]:
    """A node for each subject and way, subject by subject."""
    make, ways = _Expanding(plan, identity, galleries(listed)), _ways(plan)
    made: dict[int, list[Given]] = {}
    for one in given:
        made.setdefault(one.place, []).append(one)
    nodes = []
    for place, subject in enumerate(listed):
        beside = make.beside(subject)
        nodes += [beside] if beside else []
        for way in ways:
            spec = prompt_spec(plan, identity, subject, way)
            if spec is not None:
                nodes.append(make.node(subject, way, Unit("prompt", spec), beside))
        for one in made.get(place, ()):
            way = Way(one.method, "text", seed=one.number)
            spec = subject.original.identity | {"text": one.prompt}
            nodes.append(make.node(subject, way, Unit("prompt", spec), beside))
    return nodes


def galleries(listed: Sequence[Subject]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The files of all pictures of each data set and split, each once, by their content's names."""
    found: dict[tuple[str, str], set[str]] = {}
    for subject in listed:
        files = set() if subject.original.error else {file for file in subject.files if file}
        found.setdefault((subject.original.dataset, subject.original.split), set()).update(files)
    return {where: tuple(sorted(files)) for where, files in found.items()}


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
    ways, task = [], plan.task
    for length, ratio in sizes:
        for model in plan.models:
            if method.name == SOFT and len(model) > 1:
                continue  # no single generator reads the embeddings of several models
            for seed in method.seeds or plan.seeds:
                size = (length, ratio)
                options = method_options(method, model, size, seed, plan.dtype, task)
                own = (method.label, "search", model, length, seed, options, record_of(options))
                ways.append(Way(*own, ratio))
    return ways


@dataclass(frozen=True)
class _Expanding:
    """What all nodes of a plan have in common."""

    plan: Plan
    identity: Identity
    galleries: dict[tuple[str, str], tuple[str, ...]]

    @cached_property
    def kinds(self) -> list[Kind]:
        """What may be asked of prompts and pictures."""
        return all_kinds()

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

    def beside(self, subject: Subject) -> Node | None:
        """The long prompt's own pictures, if others are compared with these: from other
        noise, so that the comparison measures the meaning, not the noise.
        """
        if not any(r.drawn and not r.edit for r in subject.references) or not self.draws:
            return None
        unit = Unit("prompt", subject.original.identity | {"text": subject.texts[0]})
        pictures = tuple(
            Drawn(picture, generator, seed, {})
            for generator, seed, picture in self._pictures(subject, unit, "beside")
        )
        return Node(subject, Way("long-prompt", "text"), unit, pictures, {}, hidden=True)

    def node(self, subject: Subject, way: Way, unit: Unit, beside: Node | None) -> Node:
        """A prompt with its pictures, and what is asked of both."""
        plan, pictures = self.plan, []
        gallery = self.galleries[subject.original.dataset, subject.original.split]
        question = Question(plan, self.identity, subject, way, unit, gallery=gallery)
        for thing in plan.task.things or ("",):
            frame = plan.task.frame.replace("{thing}", thing) if thing else "{}"
            frame = thing if thing and way.label == "no-prompt" else frame
            own = self._pictures(subject, unit, thing, frame)
            for n, (generator, seed, picture) in enumerate(own):
                rival = beside.pictures[n].unit if beside else None
                about = replace(question, picture=picture, thing=thing, beside=rival)
                asked = self._asked(PICTURE, about)
                pictures.append(Drawn(picture, generator, seed, asked, thing, frame, rival))
        asked = self._asked(PROMPT, question)
        pictures += self._edited(question, tuple(pictures), asked.get("edit", {}))
        return Node(subject, way, unit, tuple(pictures), asked, gallery=gallery)

    def _edited(
        self, question: Question, pictures: Sequence[Drawn], edits: Asked
    ) -> Iterator[Drawn]:
        """Each picture again, of the edited prompt and from the same noise."""
        for (_, name), edited in edits.items():
            for drawn in pictures:
                unit = Unit("picture", drawn.unit.spec | {"edit": edited.key})
                about = replace(question, picture=unit, beside=drawn.unit, edit=name)
                asked = self._asked(PICTURE, about)
                own = replace(drawn, unit=unit, asked=asked, beside=drawn.unit)
                yield replace(own, edit=name, edited=edited)

    def _asked(self, of: str, question: Question) -> dict[str, Asked]:
        """The units of each kind that applies to prompts, or to pictures."""
        found = {kind.name: kind.asked(question) for kind in self.kinds if kind.of == of}
        return {name: units for name, units in found.items() if units}

    def _pictures(
        self, subject: Subject, unit: Unit, salt: str = "", frame: str = "{}"
    ) -> Iterator[tuple[GeneratorPlan, int, Unit]]:
        framed = {} if frame == "{}" else {"frame": frame}
        for generator, spec in self.draws:
            for seed in generator.image_seeds or range(generator.pictures):
                noise = noise_seed(subject.original, seed, salt)
                own = {"prompt": unit.key, "image_seed": seed, "noise": noise}
                yield generator, seed, Unit("picture", spec | own | framed)
