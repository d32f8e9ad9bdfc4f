"""Our default: the pursuit over words, swaps made together, the prompt forms."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ProblemMaker, jobs_for
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import pez
from pez.errors import PezError
from pez.methods.pursuit import Pursuit, together
from pez.models import Reader
from pez.options import InvertOptions
from pez.search.engine import Budget, search
from pez.search.init import CONE, RATED, mean_cosine
from pez.search.problem import Problem
from pez.search.rows import Job, Rows
from pez.search.template import parse_template
from pez.session.session import Session
from pez.session.styles import STYLES, style_template, styled

CPU = torch.device("cpu")
ALL = 10**6  # more candidates than there are


# ---- the start


def plain_pursuit(problem: Problem, item: int, table: Tensor, begun: Tensor) -> list[int]:
    """Ids (k,): each adds to the sum from ``begun`` (e,) the row of ``table`` (n, e) that brings it
    nearest to the item's target.
    """
    total, found = begun, []
    for _ in range(problem.template.slots):
        sums = torch.nn.functional.normalize(total + table, dim=-1)
        likeness = problem.objective.rate(sums, [item])[0]
        said = torch.tensor([*found, *problem.said.tolist()])
        likeness[torch.isin(problem.vocabulary.ids, said)] = -9
        best = int(likeness.argmax())
        total, found = total + table[best], [*found, int(problem.vocabulary.ids[best])]
    return found


def test_a_pursuit_takes_the_word_that_brings_the_sum_nearest(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    """With what words share or without it, and with the template's part of it: the best prompt."""
    groups = [look[None] for look in looks]
    problem = make_problem(mini, groups, 4, "a {} and {}", init="pursuit")
    words = [mini.tokens.decode([i]) for i in problem.vocabulary.ids.tolist()]
    inside = mini.encode_text([f"a {word}" for word in words])  # "and" belongs to the second slot
    mean, alone = inside.mean(0), mini.encode_text(words[:: -(-len(words) // 256)]).mean(0)
    ways = [(inside, 0 * mean), (inside - mean, mean - alone), (inside - mean, 0 * mean)]
    used = set()
    for n, found in enumerate(problem.start_ids(Rows(jobs_for(6), CPU)).tolist()):
        tried = torch.tensor([plain_pursuit(problem, n, *way) for way in ways])
        scores = problem.evaluate(problem.vocabulary.embed(tried), torch.full((3,), n))[1]
        assert found == tried[scores.argmax()].tolist()
        used.add(int(scores.argmax()))
    assert len(used) > 1


def test_many_words_are_rated_without_the_template(
    few: Problem, mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = replace(few, init="pursuit")
    count = len(problem.vocabulary.ids)
    problem.start_ids(Rows(jobs_for(4), CPU))
    # in the template, and alone for their mean; three prompts tried
    assert problem.around and problem.start_forwards == 2 * count + 3
    monkeypatch.setattr("pez.search.problem.AROUND", count - 1)
    problem = replace(few, init="pursuit")
    problem.start_ids(Rows(jobs_for(4), CPU))
    assert problem.around == () and problem.memo[RATED] == count
    tried = problem.start_forwards - count
    assert tried == (3 if mean_cosine(problem.word_features) > CONE else 0)


def test_words_in_a_cone_start_a_search_as_well_as_others(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cone of published CLIPs, put around mini's words: a mean cosine of about .75."""
    shared = torch.randn(mini.encode_text(["a"]).shape[1], generator=torch.manual_seed(0))
    shared *= 1.7 / shared.norm()

    def coned(ids: Tensor, rate: Any, around: Any) -> Tensor:
        return torch.nn.functional.normalize(rate(ids) + shared, dim=-1)

    def start(**changes: Any) -> float:
        problem = make_problem(mini, [look[None] for look in looks], 4, init="pursuit")
        problem = replace(problem, **changes)
        ids = problem.start_ids(Rows(jobs_for(6), CPU))
        return float(problem.evaluate(problem.vocabulary.embed(ids), torch.arange(6))[1].mean())

    plain, narrow = start(), start(kept=coned)
    monkeypatch.setattr("pez.search.init.CONE", 1.0)
    assert start() == plain  # mini's own words lie in none
    assert start(kept=coned) < plain - 0.05 and narrow > plain - 0.03


def test_a_pursuit_of_one_word_is_the_best_word(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks[:4]], 1, init="pursuit")
    best = problem.vocabulary.ids[problem.word_scores([0, 1, 2, 3]).argmax(1)]
    assert problem.start_ids(Rows(jobs_for(4), CPU))[:, 0].tolist() == best.tolist()


def test_pursued_words_match_better_than_the_best_single_ones(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    scores = {}
    for init in ("words", "pursuit"):
        problem = make_problem(mini, [look[None] for look in looks], 4, init=init)
        ids = problem.start_ids(Rows(jobs_for(6), CPU))
        _, score = problem.evaluate(problem.vocabulary.embed(ids), torch.arange(6))
        scores[init] = float(score.mean())
    assert scores["pursuit"] > scores["words"] + 0.1


def test_more_places_than_words_are_filled_again(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker, few_words: Any
) -> None:
    problem = make_problem(mini, [looks[:1]], 12, init="pursuit", vocabulary=str(few_words))
    (ids,) = problem.start_ids(Rows(jobs_for(1), CPU)).tolist()
    known = len(problem.vocabulary.ids)
    assert len(set(ids)) == known < 12 and ids[known:] == ids[: 12 - known]


def test_restarts_and_seeds_pursue_other_words(few: Problem) -> None:
    jobs = [Job(0, "a", restart) for restart in range(6)]
    ids = replace(few, init="pursuit").start_ids(Rows(jobs, CPU))
    assert len({tuple(row) for row in ids.tolist()}) > 1
    assert all(len(set(row)) == len(row) for row in ids.tolist())


def test_a_pursuit_adds_features_or_is_refused(few: Problem) -> None:
    class Curved:
        linear = False

    problem = replace(few, init="pursuit", objective=Curved())  # type: ignore[arg-type]
    with pytest.raises(PezError, match="--init words or random"):
        problem.start_ids(Rows(jobs_for(1), CPU))


# ---- the swaps


def test_together_takes_the_best_improvement_of_each_place() -> None:
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    place = torch.tensor([[0, 0, 2, 1], [0, 1, 2, 2]])
    word = torch.tensor([[10, 11, 12, 13], [20, 21, 22, 23]])
    change = torch.tensor([[-0.1, -0.2, -0.1, 0.3], [0.0, 0.1, 0.2, 0.3]])
    assert together(ids, place, word, change).tolist() == [[11, 2, 12], [4, 5, 6]]


@given(st.data())
def test_together_is_the_plain_loop(data: st.DataObject) -> None:
    k, c = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 8))
    row = st.lists(st.integers(0, k - 1), min_size=c, max_size=c)
    place = data.draw(row)
    change = data.draw(st.lists(st.integers(-20, 20), min_size=c, max_size=c, unique=True))
    expected = list(range(k))
    for n in sorted(range(c), key=change.__getitem__, reverse=True):
        if change[n] < 0:
            expected[place[n]] = 100 + n
    words = torch.arange(100, 100 + c)[None]
    found = together(torch.arange(k)[None], torch.tensor([place]), words, torch.tensor([change]))
    assert found.tolist() == [expected]


def test_a_pursuit_without_escape_never_goes_back(problem: Problem) -> None:
    method = Pursuit(8, 16, escape=0)
    found = search(problem, method, jobs_for(4), Budget(6), CPU, keep_history=True)
    for one in found:
        scores = [step["score"] for step in one.history]
        assert all(b >= a - 1e-6 for a, b in pairwise(scores))
        assert scores[-1] > scores[0]


def test_a_pursuit_leaves_a_local_optimum_and_keeps_the_best(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker, tmp_path: Path
) -> None:
    """With all swaps tried at every step, a search that only improves stays at its best."""
    path = tmp_path / "words.txt"
    path.write_text(
        "red blue green yellow cat dog tree boat star apple fish bird house car sun lemon moon key "
        "cup hat painting sketch photo forest"
    )
    problem = make_problem(mini, [look[None] for look in looks[:2]], vocabulary=str(path))
    rows = Rows(jobs_for(2), CPU)
    plain, leaving = Pursuit(ALL, ALL, escape=0), Pursuit(ALL, ALL, escape=1)
    state = plain.start(problem, rows)
    for _ in range(12):
        optimum, score, state = plain.step(problem, rows, state)
    assert bool((state["stuck"] > 0).all())
    again, same, state = leaving.step(problem, rows, state)
    assert again.tolist() == optimum.tolist() and same.tolist() == score.tolist()
    assert ((state["ids"] != optimum).sum(1) == 1).all()  # one swap away
    assert state["stuck"].tolist() == [0] * 2
    found = search(problem, leaving, jobs_for(2), Budget(16), CPU)
    stayed = search(problem, plain, jobs_for(2), Budget(16), CPU)
    pairs = list(zip(found, stayed, strict=True))
    assert all(a.score >= b.score - 1e-6 for a, b in pairs)


def test_one_step_with_all_candidates_finds_the_best_word(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks[:4]], length=1)
    best = problem.word_scores([0, 1, 2, 3]).max(1)
    for found in search(problem, Pursuit(ALL, ALL), jobs_for(4), Budget(1), CPU):
        n = found.job.item
        assert found.ids == [int(problem.vocabulary.ids[best.indices[n]])]
        assert found.score == pytest.approx(float(best.values[n]), abs=1e-5)


# ---- the prompt forms


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("length", [*range(1, 14), 29])
def test_a_style_keeps_to_the_length(style: str, length: int, mini: Reader) -> None:
    template = parse_template(style_template(style, length), mini.tokens, length)
    assert length - 1 <= template.length <= length and template.slots >= 1
    if style == "words":
        assert template.slots == template.length


def test_phrases_stand_between_commas(mini: Reader) -> None:
    assert style_template("phrases", 7) == "{1} , {1} , {1} , {1}" == style_template("phrases", 8)
    assert style_template("caption", 9) == "a {1} of a {1} , {1} , {1}"
    assert style_template("caption", 8) == "{1} of a {1} , {1} , {1}"
    with pytest.raises(PezError, match="phrases"):
        style_template("phrase", 8)


def test_the_default_writes_phrases_and_pez_words(pictures: list[Any], mini: Reader) -> None:
    ours: Any = pez.invert(pictures[0], reader=mini, length=7, steps=2)
    assert ours.method == "pursuit" and ours.prompt.count(", ") == 3 == ours.prompt.count(",")
    assert len(ours.ids) == 7 and " ," not in ours.prompt
    plain: Any = pez.invert(pictures[0], reader=mini, length=7, steps=2, method="pez")
    assert "," not in plain.prompt and len(plain.ids) == 7
    both: Any = pez.invert(
        pictures[0], reader=mini, length=7, steps=2, method="pez", style="phrases"
    )
    assert both.prompt.count(", ") == 3


def test_a_style_fills_the_slots_of_a_template(pictures: list[Any], mini: Reader) -> None:
    asked: dict[str, Any] = {"reader": mini, "length": 6, "steps": 3}
    found: Any = pez.invert(pictures[0], template="a photo of {}", style="phrases", **asked)
    assert found.prompt.startswith("a photo of ") and found.prompt.count(", ") == 2
    assert styled("{} by {2}", "phrases", 7) == "{1} , {1} , {1} by {2}"
    assert styled("{2} , boat", "words", 9) == "{2} , boat"
    with pytest.raises(PezError, match="no slot"):
        styled("a boat", "phrases", 5)


def test_no_word_comes_twice_unless_repeats_are_allowed(
    pictures: list[Any], mini: Reader, few_words: Path
) -> None:
    asked: dict[str, Any] = {"reader": mini, "length": 6, "style": "words", "steps": 12}
    asked |= {"template": "red {}", "vocabulary": str(few_words)}

    def twice(**more: Any) -> list[int]:
        found: Any = pez.invert(pictures, **(asked | more))
        prompts = [r.prompt.split() for r in found]
        return [len(words) - len(set(words)) for words in prompts]

    assert not any(twice())
    assert any(twice(set={"repeats": True}))
    assert any(twice(length=20))  # more places than words


def test_together_gives_no_word_to_two_places() -> None:
    ids, word = torch.tensor([[1, 2, 3]]), torch.tensor([[9, 9, 8]])
    place, change = torch.tensor([[0, 2, 1]]), torch.tensor([[-1.0, -2.0, -3.0]])
    assert together(ids, place, word, change, twice=True).tolist() == [[9, 8, 9]]
    assert together(ids, place, word, change, twice=False).tolist() == [[9, 8, 3]]


def test_no_function_word_stands_between_commas(pictures: list[Any], mini: Reader) -> None:
    alone = {mini.tokens.encode(word)[0] for word in ("of", "an", "the", "with")}
    session = Session.of(mini, InvertOptions(length=9))
    assert not alone & set(session.words(session.form(9)).ids.tolist())
    assert alone <= set(session.words(session.form(5)).ids.tolist())  # words in a row
    chosen = Session.of(mini, InvertOptions(length=9, vocabulary="all"))
    assert alone <= set(chosen.words(chosen.form(9)).ids.tolist())  # the user's own choice


def test_each_method_has_its_own_number_of_steps(pictures: list[Any], mini: Reader) -> None:
    found: Any = pez.invert(pictures[0], reader=mini, length=3)
    assert found.steps == Pursuit.usual_steps and found.options["steps"] == 0
