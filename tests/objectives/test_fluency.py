"""``--fluency``: prompts that match and read well."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for, small_settings
from PIL import Image
from torch import Tensor

import pez
from pez.cli import main
from pez.errors import PezError
from pez.methods import METHODS, make_method
from pez.methods.random import Random
from pez.models import Reader, open_language_model
from pez.models.language import LanguageModel
from pez.objectives.fluency import Fluent
from pez.objectives.match import Targets
from pez.options import InvertOptions, SearchOptions
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.session.items import Item
from pez.session.language import Spoken
from pez.session.scoring import Done, Scorer

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "scenes" / "scenes-00.png"
CPU = torch.device("cpu")
WEIGHT = 0.1
WORDLESS = {"soft"}  # search embeddings that are no words


@pytest.fixture(scope="module")
def fluent(problem: Problem, mini_lm: LanguageModel) -> Problem:
    """The pictures' problem with a fluency term."""
    return Spoken(mini_lm, problem.vocabulary, WEIGHT).join(problem, Random())


@pytest.fixture
def objective(fluent: Problem) -> Fluent:
    assert isinstance(fluent.objective, Fluent)
    return fluent.objective


def drawn(problem: Problem, count: int) -> Tensor:
    """Random allowed ids (count, k)."""
    ids = problem.vocabulary.ids
    shape = (count, problem.template.slots)
    return ids[torch.randint(len(ids), shape, generator=torch.Generator().manual_seed(1))]


# ---- the objective


def test_loss_and_score_differ_from_the_match_by_the_texts_log_perplexity(
    problem: Problem, fluent: Problem, mini_lm: LanguageModel
) -> None:
    ids, item = drawn(problem, 4), torch.arange(4)
    texts = [problem.vocabulary.tokens.decode(row) for row in ids.tolist()]
    nats = torch.tensor([math.log(p or 1) for p in mini_lm.perplexities(texts)])
    loss, score = problem.evaluate(problem.vocabulary.embed(ids), item)
    both, total = fluent.evaluate(fluent.vocabulary.embed(ids), item)
    torch.testing.assert_close(both, loss + WEIGHT * nats, atol=1e-4, rtol=0)
    torch.testing.assert_close(total, score - WEIGHT * nats, atol=1e-4, rtol=0)


def test_the_gradient_of_fluency_agrees_with_differences(
    fluent: Problem, objective: Fluent
) -> None:
    point = fluent.vocabulary.embed(drawn(fluent, 3)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective.nll(point).sum(), point)
    dice = torch.Generator().manual_seed(2)
    way = torch.randn(point.shape, generator=dice) * fluent.vocabulary.scale
    with torch.no_grad():
        ahead, behind = objective.nll(point + 0.01 * way), objective.nll(point - 0.01 * way)
    expected = (ahead - behind) / 0.02
    torch.testing.assert_close((gradient * way).sum((1, 2)), expected, rtol=0.02, atol=0.02)


def test_the_last_words_gradient_ranks_exchanges_as_the_losses_do(
    fluent: Problem, objective: Fluent
) -> None:
    """The last word is only a target: its loss is linear, so the ranking is exact."""
    vocabulary, ids = fluent.vocabulary, drawn(fluent, 1)
    point = vocabulary.embed(ids).requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective.nll(point).sum(), point)
    tried = ids.repeat(len(vocabulary.ids), 1)
    tried[:, -1] = vocabulary.ids
    with torch.no_grad():
        losses = objective.nll(vocabulary.embed(tried))
    slope = vocabulary.rows @ gradient[0, -1]
    torch.testing.assert_close(slope - slope[0], losses - losses[0], atol=1e-4, rtol=1e-4)


def test_language_counts_in_a_projection_by_its_weight(
    problem: Problem, mini_lm: LanguageModel
) -> None:
    faint, loud = (
        Spoken(mini_lm, problem.vocabulary, w).join(problem, Random()).vocabulary
        for w in (1e-6, 1e6)
    )
    one, other = problem.vocabulary.ids[[3, 200]]
    width = problem.vocabulary.table.shape[1]
    mixed = faint.embed(one).clone()
    mixed[width:] = faint.embed(other)[width:]
    assert faint.nearest(mixed[None]) == one and loud.nearest(mixed[None]) == other


@pytest.mark.parametrize("name", [name for name in METHODS if name not in WORDLESS])
def test_every_method_serves_it(name: str, problem: Problem, mini_lm: LanguageModel) -> None:
    method = make_method(name, steps=3, **small_settings(name))
    fluent = Spoken(mini_lm, problem.vocabulary, WEIGHT).join(problem, method)
    found = search(fluent, method, jobs_for(2), Budget(3), CPU, keep_history=True)
    for one in found:
        ids = torch.tensor([step["ids"] for step in one.history])
        item = torch.full((len(ids),), one.job.item)
        _, score = problem.evaluate(problem.vocabulary.embed(ids), item)
        total = score - WEIGHT * problem.nll(ids)
        told = [step["score"] for step in one.history]
        assert told == pytest.approx(total.tolist(), abs=1e-4)


# ---- the search


def test_without_fluency_a_language_model_changes_nothing(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "length": 5, "steps": 20, "history": True}
    plain: Any = pez.invert(pictures[0], **settings)
    read: Any = pez.invert(pictures[0], language_model="mini-lm", **settings)
    assert plain.history == read.history and plain.prompt == read.prompt
    assert plain.perplexity is None and "perplexity" not in json.loads(plain.to_json())
    assert read.perplexity > 1 and "perplexity" in json.loads(read.to_json())


@pytest.mark.parametrize(("method", "steps"), [("pez", 40), ("autoprompt", 15)])
def test_fluency_lowers_perplexity(
    method: str, steps: int, mini: Reader, pictures: list[Image.Image]
) -> None:
    settings: dict[str, Any] = {"reader": mini, "method": method, "steps": steps, "length": 6}
    settings |= {"language_model": "mini-lm"}
    nats = []
    for weight in (0.0, WEIGHT):
        found: Any = pez.invert(pictures[:3], fluency=weight, **settings)
        nats.append(sum(math.log(result.perplexity) for result in found) / 3)
    assert nats[1] < nats[0] - 0.5


def test_score_and_perplexity_are_of_the_returned_text_under_several_models(
    mini: Reader, mini_lm: LanguageModel
) -> None:
    two = pez.load_model(["mini", "mini-b"], "cpu")
    settings: dict[str, Any] = {"reader": two, "fluency": 0.05, "length": 4, "steps": 5}
    result: Any = pez.invert(SAMPLE, template="a photo of {}", **settings)
    assert result.prompt.startswith("a photo of ")
    assert result.score == pytest.approx(pez.score(SAMPLE, result.prompt, reader=two), abs=1e-5)
    assert result.perplexity == pytest.approx(mini_lm.perplexities([result.prompt])[0], rel=1e-4)


def test_restarts_are_chosen_by_match_and_fluency_together(
    mini: Reader, make_problem: ProblemMaker, mini_lm: LanguageModel
) -> None:
    """A caption against the same words in disorder: with fluency the caption must win."""
    texts = ["a photo of an octopus in the winter", "winter octopus the of photo in an a"]
    target = mini.encode_text([texts[1]])
    problem = make_problem(mini, [target])
    item, method = Item("x", ["x"], Targets(target, torch.ones(1))), make_method("random")
    found = [Found(jobs_for(1)[0], mini.tokens.encode(text), 0.0, 1, 0.0) for text in texts]
    for weight, expected in ((0.0, texts[1]), (1.0, texts[0])):
        options = SearchOptions(method="random", fluency=weight)
        scorer = Scorer(mini, problem, method, options, {}, mini_lm)
        (result,) = scorer.results([Done(item, 0, found)])
        assert result.prompt == expected


def test_the_command_tells_the_perplexity(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["invert", str(SAMPLE), "--model", "mini", "--device", "cpu", "--steps", "2"]
    assert main([*words, "--length", "3", "--fluency", "0.1", "--json"]) == 0
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert row["perplexity"] > 1 and row["options"]["fluency"] == 0.1
    assert f"perplexity {row['perplexity']:.3g}" in err


# ---- what is refused


def test_fluency_refuses_what_has_no_words_and_prompts_beyond_the_model(
    problem: Problem, mini: Reader, mini_lm: LanguageModel, make_problem: ProblemMaker
) -> None:
    with pytest.raises(PezError, match="--method soft"):
        Spoken(mini_lm, problem.vocabulary, 0.1).join(problem, make_method("soft"))
    short = replace(mini_lm)
    short.model.config.max_position_embeddings, before = 5, mini_lm.limit
    try:
        with pytest.raises(PezError, match="reads at most 5 tokens, not 6"):
            Spoken(short, problem.vocabulary, 0.1).join(problem, Random())
    finally:
        mini_lm.model.config.max_position_embeddings = before
    with pytest.raises(PezError, match="--fluency must be 0 or more"):
        InvertOptions(fluency=-1.0)


def test_fluency_needs_one_table_for_input_and_output(problem: Problem) -> None:
    untied = open_language_model("mini-lm", "cpu")
    untied.model.lm_head.weight = torch.nn.Parameter(untied.model.lm_head.weight.flip(0))
    with pytest.raises(PezError, match="not one plain table"):
        Spoken(untied, problem.vocabulary, 0.1).join(problem, Random())


def test_a_language_model_that_cannot_be_had_stops_the_search(mini: Reader, tmp_path: Path) -> None:
    with pytest.raises(PezError, match="nowhere"):
        pez.invert(SAMPLE, reader=mini, language_model=str(tmp_path / "nowhere"), steps=1)
