"""Sentences: words that match, joined by a language model in a grid beam search."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from PIL import Image
from torch import Tensor

import pez
from pez.errors import PezError
from pez.methods.candidates import evaluate_all
from pez.methods.joined import Wanted, begun_sentences, joined
from pez.methods.sentence import Sentence
from pez.models import Reader
from pez.models.prior import Prior
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.search.template import parse_template
from pez.session.styles import FUNCTION_WORDS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spoken(
    mini: Reader,
    looks: Tensor,
    make_problem: ProblemMaker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Problem:
    """Four items, three places, seventeen words; "with" and "on" are such as "of"."""
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text(
        "red blue green cat dog tree boat star apple yellow fish bird house car sun lemon "
        "moon key cup hat with on"
    )
    problem = make_problem(mini, [look[None] for look in looks[:4]], 3, vocabulary=str(path))
    own = problem.vocabulary.ids
    little = [i for i in own.tolist() if mini.tokens.decode([i]) in ("with", "on")]
    assert len(little) == 2 and len(own) > 16
    return replace(problem, little=torch.tensor(little))


def logs(problem: Problem, ids: Tensor) -> Tensor:
    """log p (m,) of the free words ids (m, k), each place read afresh."""
    total = torch.zeros(len(ids))
    for n in range(ids.shape[1]):
        chance = problem.next_words(ids[:, :n])
        place = torch.searchsorted(problem.vocabulary.ids, ids[:, n : n + 1].contiguous())
        total += chance.gather(1, place)[:, 0]
    return total


def test_kept_keys_and_values_give_the_same_next_words(spoken: Problem) -> None:
    ids = spoken.vocabulary.ids[torch.tensor([[3, 1, 4], [1, 5, 9], [2, 6, 5], [3, 1, 8]])]
    first, read = spoken.continued(ids[:2, :1])
    torch.testing.assert_close(first, spoken.next_words(ids[:2, :1]), atol=1e-4, rtol=1e-4)
    parent = torch.tensor([1, 0, 0])
    grown = torch.cat([ids[parent, :1], ids[:3, 1:2]], 1)
    second, read = spoken.continued(grown, read, parent)
    torch.testing.assert_close(second, spoken.next_words(grown), atol=1e-4, rtol=1e-4)


def test_a_wide_beam_finds_the_best_of_all_sentences(spoken: Problem) -> None:
    little = torch.isin(spoken.vocabulary.ids, spoken.little).nonzero()[:1, 0]  # type: ignore[arg-type]
    said = torch.tensor([n for n in (4, 9, 12, 14) if n != int(little)][:3])
    features = spoken.word_features[said]
    slots = spoken.template.slots
    assert slots == 3
    wanted = Wanted(said, little, features, 2, 0.0)
    ids, told = joined(spoken, wanted, 0, 64)
    place = [[a, int(little), b] for a, b in itertools.permutations(said.tolist(), 2)]
    every = spoken.vocabulary.ids[torch.tensor(place)]
    own = logs(spoken, every)
    order = own.argsort(descending=True)
    torch.testing.assert_close(told[:6].sort(descending=True).values, own[order], atol=1e-3, rtol=0)
    assert {tuple(row) for row in ids[:6].tolist()} == {tuple(row) for row in every.tolist()}
    assert told[6:].eq(-math.inf).all() and len(ids) == 256


def test_words_that_match_are_preferred_by_the_weight(spoken: Problem) -> None:
    said = torch.arange(len(spoken.vocabulary.ids))
    features = spoken.word_features[said]
    none = torch.zeros(0, dtype=torch.long)
    scores = []
    for weight in (0.0, 1000.0):
        wanted = Wanted(said, none, features, 3, weight)
        ids, _ = joined(spoken, wanted, 0, 8)
        scores.append(float(evaluate_all(spoken, ids[None], torch.tensor([0]))[1].max()))
    assert scores[1] > scores[0] + 0.02


def test_a_word_that_matches_follows_an_article(spoken: Problem, mini: Reader) -> None:
    little = torch.isin(spoken.vocabulary.ids, spoken.little).nonzero()[:, 0]  # type: ignore[arg-type]
    article = int(little[0])
    said = torch.tensor([n for n in range(8) if n not in little.tolist()])
    long = replace(spoken, template=parse_template("{}", mini.tokens, 7))
    features = spoken.word_features[said]
    marks = (None, little == article, torch.ones(2, dtype=torch.bool))
    stumbles = []
    for marked in marks:
        ids, told = joined(long, Wanted(said, little, features, 3, 0.0, marked), 0, 16)
        ids = torch.searchsorted(long.vocabulary.ids, ids[told.isfinite()])
        assert len(ids) and (torch.isin(ids, said).sum(1) == 3).all()
        behind = torch.isin(ids[:, 1:], little) & (ids[:, :-1] == article)
        stumbles.append(bool(behind.any()))
    assert stumbles == [True, False, True]  # where all words are articles, they may


def found_by(problem: Problem, method: Sentence, steps: int, count: int = 2) -> list[Found]:
    found = search(problem, method, jobs_for(count), Budget(steps), CPU, keep_history=True)
    return sorted(found, key=lambda one: one.job.item)


def test_a_sentence_is_worth_what_it_competes_by_and_shows_its_score(spoken: Problem) -> None:
    method = Sentence(words=2, alpha=0.5, beams=4, pool=3)
    for found in found_by(spoken, method, 3):
        item = torch.tensor([found.job.item])
        ids = torch.tensor(found.ids)[spoken.template.free][None]
        loss, score = evaluate_all(spoken, ids[None], item)
        value = float(logs(spoken, ids)[0]) / 50 - float(loss)
        assert found.score == pytest.approx(value, abs=1e-3)
        assert found.shown == pytest.approx(float(score), abs=1e-4)
        assert max(step["score"] for step in found.history) >= found.shown - 1e-6
        assert len({tuple(step["ids"]) for step in found.history}) > 1  # each draws its words
        words = torch.isin(ids[0], spoken.little)  # type: ignore[arg-type]
        assert words.tolist() == [False, True, False]


def test_passes_of_the_language_model_are_counted(spoken: Problem) -> None:
    seen: list[int] = []

    class Counted(Prior):
        def continued(self, ids: Tensor, before: Any = None, parent: Any = None) -> Any:
            seen.append(len(ids))
            return super().continued(ids, before, parent)

    own = spoken.language
    assert isinstance(own, Prior)
    language = Counted(own.language, own.ids, own.words, own.pieces)
    for beams, words in ((2, 2), (2, 0), (1, 3)):
        seen.clear()
        method = Sentence(beams=beams, words=words)
        found_by(replace(spoken, language=language), method, 2)
        assert sum(seen) == 2 * method.continuations(3, 2, sentence=True)
    assert begun_sentences(4, 2, 12, 30, 8) == 1 + 8 + 8 + 8


def test_a_sentence_says_so_many_words_and_reads_better_than_words_in_a_row(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "language_model": "mini-lm"}
    said = pez.invert(pictures[:3], method="sentence", length=9, set="words=4", **settings)
    plain = pez.invert(pictures[:3], method="pursuit", length=4, style="words", **settings)
    assert isinstance(said, list) and isinstance(plain, list)
    for one, other in zip(said, plain, strict=True):
        assert isinstance(one, pez.Result) and isinstance(other, pez.Result)
        words = one.prompt.split()
        content = [word for word in words if word not in FUNCTION_WORDS]
        assert words[0] == "a" and len(words) == 9 and words[-1] in content
        assert len(content) == len({*content}) == 4
        assert one.perplexity and other.perplexity and one.perplexity < other.perplexity


def test_a_start_text_says_which_words_are_joined(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": "sentence", "length": 6}
    result = pez.invert(pictures[0], init="boat lemon", set=["words=2", "pool=2"], **settings)
    assert isinstance(result, pez.Result)
    assert {"boat", "lemon"} <= {*result.prompt.split()}


def test_an_objective_that_adds_no_words_is_refused(spoken: Problem) -> None:
    class Bent:
        linear = False

    with pytest.raises(PezError, match="--method vgd"):
        search(replace(spoken, objective=Bent()), Sentence(), jobs_for(1), Budget(1), CPU)  # type: ignore[arg-type]
