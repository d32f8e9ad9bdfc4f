"""Every method with every start: where it begins, and what it says if it cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from PIL import Image
from torch import Tensor

import pez
from pez.api import search_pictures
from pez.errors import PezError
from pez.methods import METHODS, make_method
from pez.methods.candidates import evaluate_all
from pez.methods.gbda import Gbda
from pez.methods.interrogator import Interrogator
from pez.methods.sentences import Tried, revised, worth
from pez.methods.vgd import Vgd
from pez.models import Reader
from pez.options import InvertOptions
from pez.search.engine import Budget, Found, search
from pez.search.problem import Language, Problem
from pez.search.rows import Rows
from pez.session.session import Session, Watch

CPU = torch.device("cpu")
COMMAS = "{1} , {1} , {1}"
# what makes those take a start that have one of their own
TAKE = {"vgd": {"guide": "start", "hints": 3, "beams": 2, "candidates": 8}}
TAKE["interrogator"] = {"revise": True, "candidates": 8}


@pytest.fixture(scope="module")
def begun(mini: Reader, looks: Tensor, make_problem: ProblemMaker) -> dict[str, Problem]:
    """The same search between commas from each start."""
    starts = ("random", "words", "pursuit")
    return {s: make_problem(mini, [looks[:1]], template=COMMAS, init=s) for s in starts}


def run(problem: Problem, method: Any, steps: int) -> Found:
    (found,) = search(problem, method, jobs_for(1), Budget(steps), CPU, keep_history=True)
    return found


@dataclass(eq=False)
class Counted:
    """A language model that counts the prompts that it continues or reads."""

    inner: Language
    seen: list[int] = field(default_factory=list)

    def next_words(self, ids: Tensor) -> Tensor:
        self.seen.append(len(ids))
        return self.inner.next_words(ids)

    def nll(self, ids: Tensor) -> Tensor:
        self.seen.append(len(ids))
        return self.inner.nll(ids)


# ---- starts


@pytest.mark.parametrize("start", ["random", "words", "pursuit"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_begins_at_the_start_or_says_where(
    name: str, start: str, begun: dict[str, Problem]
) -> None:
    problem = begun[start]
    method = make_method(name, **TAKE.get(name, {}))
    found = run(problem, method, 2)
    first = [i for i in found.history[0]["ids"] if i in problem.vocabulary.ids.tolist()]
    at = problem.start_ids(Rows(jobs_for(1), CPU))[0].tolist()
    if method.own_start:
        assert name == "pez-bank"
    elif name in ("pez", "ph2p", "fluentprompt", "soft", "pgd", "random"):
        assert first == at  # what moves from there is scored where it stands
    elif name == "gbda":
        sure = run(problem, Gbda(confidence=60.0), 1)  # then no noise is enough to leave
        assert [sure.ids[n] for n in problem.template.free.tolist()] == at
    elif name == "sentence":  # it has them say what they like in an order that reads well
        places = method.start(problem, Rows(jobs_for(1), CPU))["listed"][0]
        listed = problem.vocabulary.ids[places].tolist()
        assert listed[: len({*at})] == [*dict.fromkeys(at)]
    elif name != "evolve" or start != "random":
        # never worse than where it began; restarts aside, the others keep it if nothing is better
        _, score = problem.evaluate(problem.vocabulary.embed(torch.tensor([at])), torch.tensor([0]))
        assert found.history[0]["score"] >= float(score) - 1e-5


@pytest.mark.parametrize("name", ["pez-bank", "vgd", "interrogator"])
def test_a_start_that_does_not_apply_is_said(
    name: str, mini: Reader, pictures: list[Image.Image]
) -> None:
    told: list[str] = []
    options = InvertOptions(method=name, init="words", length=2, steps=1, device="cpu")
    for own in (options, replace(options, init="auto")):
        search_pictures(Session.of(mini, own), [[pictures[0]]], Watch(note=told.append))
    (note,) = [text for text in told if "--init" in text]
    assert note.startswith(f"--method {name} begins at ") and "--init words does not" in note


def test_an_interrogator_that_revises_changes_one_place_at_a_time(
    begun: dict[str, Problem],
) -> None:
    problem = begun["pursuit"]
    at = problem.start_ids(Rows(jobs_for(1), CPU))
    method = Interrogator(revise=True, candidates=279)
    found = run(problem, method, 2)
    free = problem.template.free.tolist()
    first, second = ([s["ids"][n] for n in free] for s in found.history)
    allowed = problem.vocabulary.ids
    tried = torch.cat([allowed[:, None], at[:, 1:].expand(len(allowed), -1)], 1)
    _, scores = problem.evaluate(problem.vocabulary.embed(tried), torch.zeros(len(tried)).long())
    assert first == tried[scores.argmax()].tolist()  # the best of all words at the first place
    assert second[0] == first[0] and second[2] == first[2]


def test_vgd_is_told_the_words_of_the_start(begun: dict[str, Problem]) -> None:
    for start, problem in begun.items():
        at = problem.start_ids(Rows(jobs_for(1), CPU))[0].tolist()
        only = Vgd(beams=2, candidates=20, hint=1, hints=3, guide="start")
        found = run(problem, only, 3)
        said = [found.history[-1]["ids"][n] for n in problem.template.free.tolist()]
        assert sorted(said) == sorted(at), start
    with pytest.raises(PezError, match="unknown guide"):
        Vgd(guide="best")


# ---- what a step costs


def test_gbda_averages_the_gradients_of_its_samples(begun: dict[str, Problem]) -> None:
    problem = begun["pursuit"]
    assert (Gbda(samples=10).forwards, Gbda(samples=10).backwards) == (11, 10)

    def moved(method: Gbda) -> Tensor:
        rows = Rows(jobs_for(1), CPU)
        state = method.start(problem, rows)
        return method.step(problem, rows, state)[2]["mean"]

    # with the same noise each time the mean is that of one sample; with fresh noise it is not
    torch.testing.assert_close(moved(Gbda(samples=1)), moved(Gbda(samples=1)))
    assert not torch.allclose(moved(Gbda(samples=1)), moved(Gbda(samples=4)))
    warm = 1e4  # noise decides nothing
    one, four = (moved(Gbda(samples=n, temperature=warm)) for n in (1, 4))
    size = float(one.abs().max())
    assert size > 0
    torch.testing.assert_close(one / size, four / size, atol=1e-2, rtol=0)


@pytest.mark.parametrize("said", [0, 1])
def test_passes_of_the_language_model_are_counted(said: int, begun: dict[str, Problem]) -> None:
    problem = begun["random"]
    if said:
        problem = replace(problem, init=problem.vocabulary.ids[:1])
    assert problem.language is not None
    for steps in (1, 2, 3, 7):
        counted = Counted(problem.language)
        method = Vgd(beams=3, candidates=8)
        run(replace(problem, language=counted), method, steps)
        assert sum(counted.seen) == method.continuations(3 - said, steps)
    sentences = replace(problem, little=problem.vocabulary.ids[-2:])
    for steps in (1, 2, 3, 4, 6, 7, 9, 15):
        counted = Counted(problem.language)
        method = Vgd(beams=3, candidates=8)
        run(replace(sentences, language=counted), method, steps)
        assert sum(counted.seen) == method.continuations(3 - said, steps, sentence=True)


def test_a_revised_place_gets_the_best_word_that_a_sentence_allows(
    begun: dict[str, Problem],
) -> None:
    words, item = begun["random"].vocabulary.ids, torch.zeros(1, dtype=torch.long)
    problem = replace(begun["random"], little=words[:2])
    ids, every = words[None, [5, 2, 4]], len(words)
    for place, alpha in ((0, 0.1), (1, 0.1), (2, 0.1), (1, 5.0)):
        tried = Tried(every, torch.zeros(1, 1, dtype=torch.long), every)
        found, most, score = revised(problem, ids, place, tried, item, alpha)
        own = evaluate_all(problem, found[:, None], item)[1][0]
        torch.testing.assert_close(score, own)
        all_of_them = ids.repeat(every, 1)
        all_of_them[:, place] = words
        loss = evaluate_all(problem, all_of_them[None], item)[0][0]
        values = worth(problem, all_of_them, loss, alpha)
        kept = [n for n in range(3) if n != place]
        values[torch.isin(words, ids[0, kept])] = -math.inf  # none twice
        if place != 1:
            values[:2] = -math.inf  # nor first or last
        best = float(values.max())
        assert math.isclose(float(most), best, abs_tol=1e-4)
        assert torch.equal(found[:, kept], ids[:, kept])


def test_a_result_tells_the_passes_of_the_language_model(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "length": 3, "steps": 4, "restarts": 2}
    vgd = pez.invert(pictures[0], method="vgd", set={"beams": 2, "candidates": 4}, **settings)
    plain = pez.invert(pictures[0], method="pez", **settings)
    fluent = pez.invert(pictures[0], method="pez", fluency=0.1, **settings)
    assert isinstance(vgd, pez.Result) and isinstance(fluent, pez.Result)
    assert vgd.passes["language"] == 2 * ((1 + 2) + (2 + 1) + 2 + (1 + 2))
    assert fluent.passes["language"] == 2 * 4 * 2
    assert isinstance(plain, pez.Result) and "language" not in plain.passes
