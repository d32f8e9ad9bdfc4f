"""Probe sampling: Algorithm 1 of Zhao et al. 2024, its draft, its cost."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import open_clip
import pytest
import torch
from common import SMALL_PLAN, ProblemMaker, jobs_for
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

import pez
from pez.errors import PezError
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.methods.candidates import evaluate_all
from pez.methods.gcg import Gcg
from pez.methods.probe import filtered_size, judge_probed, set_sizes, spearman
from pez.methods.random import Random
from pez.models import Reader
from pez.objectives.match import Match, Targets
from pez.options import InvertOptions
from pez.search.engine import Budget, Found, search
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows
from pez.search.tokens import Tokens
from pez.session.drafts import Drafted, draft_problem, draft_words, with_draft
from pez.session.items import Item, picture_items
from pez.session.session import Session, search_items

CPU = torch.device("cpu")
DRAFTED = Gcg(candidates=24, topk=16, draft="mini-b", probe=4, reduction=3)


def run(problem: Problem, method: Method, budget: Budget, width: int = 0) -> list[Found]:
    """What was found for four items, in their order."""
    found = search(problem, method, jobs_for(4), budget, CPU, width=width, keep_history=True)
    return sorted(found, key=lambda f: f.job.item)


@pytest.fixture(scope="module")
def mini_b() -> Reader:
    return pez.load_model("mini-b", "cpu")


@pytest.fixture(scope="module")
def drafted(
    mini_b: Reader, problem: Problem, pictures: list[Image.Image], make_problem: ProblemMaker
) -> Problem:
    """The four pictures in ``mini``, with what ``mini-b`` makes of them."""
    looks = mini_b.encode_images(pictures)
    return replace(problem, draft=make_problem(mini_b, [look[None] for look in looks[:4]]))


@pytest.fixture(scope="module")
def candidates(drafted: Problem) -> Tensor:
    """Prompts (3, 40, k) in random order."""
    words = drafted.vocabulary.ids
    places = torch.randint(len(words), (3, 40, 5), generator=torch.Generator().manual_seed(0))
    return words[places]


# ---- the algorithm


numbers = st.lists(st.tuples(st.integers(-9, 9), st.floats(-1e3, 1e3, width=32)), min_size=2)


@given(numbers)
@settings(max_examples=60, deadline=None)
def test_the_rank_correlation_is_scipys(pairs: list[tuple[int, float]]) -> None:
    a, b = ([float(x) for x in column] for column in zip(*pairs, strict=True))
    both = spearman(torch.tensor([a, b]), torch.tensor([b, a]))
    alike = len(set(a)) == 1 or len(set(b)) == 1
    expected = 0.0 if alike else float(spearmanr(a, b).statistic)  # type: ignore[attr-defined]
    assert both.tolist() == pytest.approx([expected] * 2, abs=1e-5)


def test_one_number_has_no_order() -> None:
    assert spearman(torch.ones(2, 1), torch.zeros(2, 1)).tolist() == [0, 0]


@given(st.integers(1, 600), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_sets_are_as_large_as_the_paper_says(b: int, k: int, r: int, agreement: float) -> None:
    probed, most = set_sizes(b, k, r)
    assert probed == min(b, max(2, b // k))
    assert probed + most <= b and (most >= 1 or probed == b)
    none, own, full = filtered_size(torch.tensor([0.0, agreement, 1.0]), b, r).tolist()
    assert abs(own - (1 - agreement) * b / r) <= 0.51 or own == 1
    assert 1 == full <= own <= none
    assert set_sizes(512, 16, 8) == (32, 64)


def test_the_candidates_read_are_those_of_algorithm_1(drafted: Problem, candidates: Tensor) -> None:
    rows, k, r = Rows(jobs_for(3), CPU), 4, 1
    assert drafted.draft is not None
    guess, _ = evaluate_all(drafted.draft, candidates, rows.item)
    true, score = evaluate_all(drafted, candidates, rows.item)
    ids, loss, scores = judge_probed(drafted, candidates, rows.item, None, k, r)
    sizes = set()
    for row in range(3):
        rho = spearmanr(guess[row, :10], true[row, :10]).statistic  # type: ignore[attr-defined]
        size = max(1, round((1 - (rho + 1) / 2) * 40 / r))
        filtered = sorted(range(10, 40), key=lambda n: float(guess[row, n]))[:size]
        read = [*range(10), *filtered]
        there = loss[row].isfinite()
        assert torch.equal(ids[row, there], candidates[row, read])
        assert torch.allclose(loss[row, there], true[row, read], atol=1e-5)
        assert torch.allclose(scores[row, there], score[row, read], atol=1e-5)
        sizes.add(size)
    assert len(sizes) > 1 and max(sizes) < 20, "rows agree by shares of their own"


def test_with_itself_as_draft_each_step_is_that_of_gcg(problem: Problem) -> None:
    """rho is 1, so one prompt is filtered, and that or one of the probe set is the best of all."""
    own = replace(problem, draft=problem)
    plain = run(problem, Gcg(candidates=24, topk=16), Budget(6))
    probed = run(own, DRAFTED, Budget(6))
    for one, other in zip(plain, probed, strict=True):
        assert [s["ids"] for s in one.history] == [s["ids"] for s in other.history]
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_all_candidates_in_the_probe_set_are_plain_gcg(drafted: Problem) -> None:
    all_read = Gcg(candidates=24, topk=16, draft="mini-b", probe=1)
    plain = run(drafted, Gcg(candidates=24, topk=16), Budget(4))
    probed = run(drafted, all_read, Budget(4))
    assert [f.ids for f in plain] == [f.ids for f in probed]
    assert all_read.forwards == 25


@dataclass(frozen=True, eq=False)
class Contrary(Match):
    """A draft that likes best what is worst."""

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        loss, score = super().__call__(embeddings, item, draw)
        return -loss, score


def test_a_draft_that_is_always_wrong_gets_the_largest_filtered_set(
    problem: Problem, candidates: Tensor
) -> None:
    assert isinstance(problem.objective, Match)
    wrong = Contrary(problem.objective.reader, problem.objective.items)
    own = replace(problem, draft=replace(problem, objective=wrong))
    _, loss, _ = judge_probed(own, candidates, torch.arange(3), None, 4, 8)
    assert loss.shape == (3, 10 + 5) and loss.isfinite().all()
    agreeing = replace(problem, draft=problem)
    _, loss, _ = judge_probed(agreeing, candidates, torch.arange(3), None, 4, 8)
    assert loss.isfinite().sum(1).tolist() == [11] * 3


def test_it_beats_random_words_at_the_same_cost_the_draft_included(drafted: Problem) -> None:
    cost = DRAFTED.forwards + DRAFTED.backwards + DRAFTED.drafts
    found = run(drafted, DRAFTED, Budget(240 // cost))
    floor = run(drafted, Random(), Budget(240))
    assert sum(f.score for f in found) > sum(f.score for f in floor) + 0.05


def test_rows_that_leave_and_join_change_nothing_with_a_draft(drafted: Problem) -> None:
    whole = run(drafted, DRAFTED, Budget(6, patience=3), width=4)
    narrow = run(drafted, DRAFTED, Budget(6, patience=3), width=2)
    for one, other in zip(whole, narrow, strict=True):
        assert [s["ids"] for s in one.history] == [s["ids"] for s in other.history]


# ---- its cost


@dataclass(frozen=True, eq=False)
class Counting(Match):
    """The real objective, which notes how many prompts it was given."""

    seen: list[int] = field(default_factory=list)

    def features(self, embeddings: Tensor) -> Tensor:
        self.seen.append(len(embeddings))
        return super().features(embeddings)


def counting(problem: Problem) -> tuple[Problem, list[int]]:
    assert isinstance(problem.objective, Match)
    objective = Counting(problem.objective.reader, problem.objective.items)
    return replace(problem, objective=objective), objective.seen


@pytest.mark.parametrize("method", [DRAFTED, Gcg(candidates=6, draft="mini-b")])
def test_it_tells_what_a_step_costs_both_models(method: Gcg, drafted: Problem) -> None:
    assert drafted.draft is not None
    draft, drafts = counting(drafted.draft)
    whole, forwards = counting(replace(drafted, draft=draft))
    rows = Rows(jobs_for(3), CPU)
    state = method.start(whole, rows)
    for _ in range(3):
        _, _, state = method.step(whole, rows, state)
    assert sum(forwards) == 3 * 3 * method.forwards < 3 * 3 * (1 + method.candidates)
    assert sum(drafts) == 3 * 3 * method.drafts == 3 * 3 * method.candidates


def test_a_result_counts_the_drafts_passes_apart(mini: Reader, pictures: list[Image.Image]) -> None:
    more: dict[str, Any] = {"reader": mini, "method": "gcg", "steps": 2, "init": "random"}
    plain = pez.invert(pictures[0], set=("candidates=32",), **more)
    probed = pez.invert(pictures[0], set=("candidates=32", "draft=mini-b"), restarts=2, **more)
    assert isinstance(plain, pez.Result) and isinstance(probed, pez.Result)
    assert plain.passes == {"forward": 66, "backward": 2}
    assert probed.passes == {"forward": 2 * 2 * (1 + 2 + 4), "backward": 4, "draft": 128}


# ---- what a user asks for


ASKED: dict[str, Any] = {"method": "gcg", "steps": 2, "length": 4, "init": "random"}
ASKED |= {"set": ("candidates=12", "draft=mini-b")}


def test_the_draft_reads_the_targets_by_itself(
    mini: Reader, mini_b: Reader, problem: Problem, pictures: list[Image.Image]
) -> None:
    options = InvertOptions(**ASKED)
    both = with_draft(mini, options)
    assert both is with_draft(both, options) and with_draft(both, InvertOptions()) is mini
    assert isinstance(both, Drafted)
    (item,) = picture_items(both, [pictures[:3]], together=True).values()
    words = draft_words(both, problem.vocabulary)
    draft = draft_problem(both, [item.draft], problem, words)
    texts = ["red boat", "a huge dog"]
    expected = (mini_b.encode_text(texts) @ mini_b.encode_images(pictures[:3]).T).mean(1)
    assert draft.objective.text_scores(texts, [0, 0]) == pytest.approx(expected.tolist(), abs=1e-5)
    assert torch.equal(draft.vocabulary.rows, mini_b.table[draft.vocabulary.ids].float())


def test_scores_are_the_searched_models_alone(mini: Reader, pictures: list[Image.Image]) -> None:
    for models in (["mini"], ["mini", "mini-judge"]):
        reader = pez.load_model(models, "cpu")
        invert: Any = pez.invert(pictures[0], model=models, device="cpu", **ASKED)
        assert invert.score == pytest.approx(
            pez.score(pictures[0], invert.prompt, reader=reader), abs=1e-5
        )
        assert invert.model == reader.name
        again: Any = pez.invert(pictures[0], reader=reader, **ASKED)
        assert again.prompt == invert.prompt
    text = "a large red boat in the snow"
    short: Any = pez.distill(text, reader=mini, **ASKED)
    expected = mini.encode_text([text])[0] @ mini.encode_text([short.prompt])[0]
    assert short.score == pytest.approx(float(expected), abs=1e-5)
    mixed = pez.mix(image=[(pictures[0], 0.5)], text=["snow=0.5"], reader=mini, **ASKED)
    negative: Any = pez.invert(pictures[0], reader=mini, also_negative=True, fluency=0.1, **ASKED)
    assert mixed.passes["draft"] == 24 and negative.passes["draft"] == 48
    assert negative.negative


def test_the_draft_changes_what_is_searched(problem: Problem, drafted: Problem) -> None:
    by_b = run(drafted, replace(DRAFTED, probe=24), Budget(6))
    by_itself = run(replace(problem, draft=problem), replace(DRAFTED, probe=24), Budget(6))
    assert [f.ids for f in by_b] != [f.ids for f in by_itself]


def test_words_that_the_draft_does_not_know_are_not_chosen(mini: Reader, mini_b: Reader) -> None:
    assert mini.known is not None and mini_b.known is not None
    less = copy.copy(mini_b)
    less.known, less.limit = mini_b.known[:40], 9
    both = Drafted.join(mini, less)
    assert both.known is not None and set(both.known.tolist()) <= set(mini_b.known[:40].tolist())
    assert both.limit == 9


def test_a_draft_that_cannot_serve_is_a_users_error(
    mini: Reader, mini_b: Reader, pictures: list[Image.Image], problem: Problem
) -> None:
    asked: dict[str, Any] = ASKED | {"set": ("draft=mini-x",)}
    with pytest.raises(PezError, match=r"unknown model 'mini-x'; .*mini-b"):
        pez.invert(pictures[0], reader=mini, **asked)
    with pytest.raises(PezError, match="does not apply to --objective denoise, as mini-b"):
        pez.invert(pictures[0], objective="denoise", generator="mini-sd", **ASKED)
    with pytest.raises(PezError, match="pez has no option 'draft'"):
        pez.invert(pictures[0], reader=mini, **{**asked, "method": "pez"})
    for setting in ("probe=0", "reduction=-1"):
        with pytest.raises(PezError, match="must be 1 or more"):
            pez.invert(pictures[0], reader=mini, **{**ASKED, "set": (setting,)})
    other = copy.copy(mini_b)
    other.tokens = Tokens(open_clip.SimpleTokenizer(clean="canonicalize"), 32)
    with pytest.raises(PezError, match=r"mini-b cannot be the draft of mini: .* tokenizer"):
        Drafted.join(mini, other)
    items = [Item("a", ["a"], Targets(mini.encode_images(pictures[:1]), torch.ones(1)))]
    options = InvertOptions(**ASKED)
    for reader in (mini, with_draft(mini, options)):
        with pytest.raises(PezError, match="mini-b has not read the targets"):
            search_items(Session.of(reader, options), items)
    with pytest.raises(PezError, match="no draft that has read the targets"):
        run(problem, DRAFTED, Budget(1))


def test_a_plan_may_ask_for_a_draft(tmp_path: Any) -> None:
    plain = SMALL_PLAN.replace('"pez"', '"gcg"')
    text = plain.replace('"random" }', '"random", set = ["candidates=12", "draft=mini-b"] }')
    rows = evaluate(parse_plan(text), tmp_path, device="cpu")
    (found,) = {(r["forwards"], r["backwards"]) for r in rows if r["method"] == "gcg"}
    assert found == (3 * (1 + 2 + 1 + 12), 3) and not any(r["error"] for r in rows)
