"""Several targets of a search: a few of them at each step, weights and negatives."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from common import ProblemMaker, jobs_for
from pez_runs import CPU, path_of, run, scores_of
from torch import Tensor

from pez.errors import PezError
from pez.methods.pez import Pez
from pez.models import Reader
from pez.objectives.match import Match, Targets
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True, eq=False)
class Watched(Match):
    """The real objective, which also notes what it was asked to see."""

    draws: list[Tensor | None] = field(default_factory=list)

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self.draws.append(draw)
        return super().__call__(embeddings, item, draw)


def watched(problem: Problem) -> tuple[Problem, list[Tensor | None]]:
    assert isinstance(problem.objective, Match)
    objective = Watched(problem.objective.reader, problem.objective.items)
    return replace(problem, objective=objective), objective.draws


def test_a_batch_of_all_targets_is_no_batch(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:3]])
    runs = [run(problem, Pez(batch_size=size), jobs_for(1), 20)[0] for size in (0, 3, 9)]
    assert path_of(runs[0]) == path_of(runs[1]) == path_of(runs[2])
    assert scores_of(runs[0]) == scores_of(runs[1]) == scores_of(runs[2])


def test_one_of_three_targets_is_drawn_afresh_but_by_the_seed(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:3]])
    seen = {}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        spied, draws = watched(problem)
        (found,) = run(spied, Pez(batch_size=1), jobs_for(1, seed=seed), 20)
        rows = [d.tolist() for d in draws if d is not None]
        assert len(rows) == 20 and all(len(r) == 1 and len(r[0]) == 1 for r in rows)
        seen[name] = [r[0][0] for r in rows], path_of(found)
    assert set(seen["first"][0]) == {0, 1, 2}
    assert seen["first"] == seen["again"]
    assert seen["first"][0] != seen["other"][0]


def test_a_draw_holds_different_targets_and_rows_draw_for_themselves(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    spied, draws = watched(make_problem(mini, [looks[:4], looks[1:5]]))
    run(spied, Pez(batch_size=2), jobs_for(2), 12)
    rows = torch.stack([d for d in draws if d is not None])  # (steps, b, 2)
    assert (rows[..., 0] != rows[..., 1]).all()
    assert (rows[:, 0] != rows[:, 1]).any()


def test_the_loss_sees_the_drawn_targets_and_the_score_all(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:3], looks[3:]])
    ids = problem.start_ids(Rows(jobs_for(2), CPU))
    chosen = problem.vocabulary.embed(ids)
    item, draw = torch.tensor([1, 0]), torch.tensor([[2], [1]])
    loss, score = problem.evaluate(chosen, item, draw)
    feature = mini.encode_text([mini.tokens.decode(row) for row in ids.tolist()])
    seen = torch.stack([looks[5], looks[1]])
    assert torch.allclose(loss, 1 - (feature * seen).sum(-1), atol=1e-5)
    means = torch.stack([(looks[3:] @ feature[0]).mean(), (looks[:3] @ feature[1]).mean()])
    assert torch.allclose(score, means, atol=1e-5)
    assert torch.allclose(problem.evaluate(chosen, item)[0], 1 - means, atol=1e-5)


def test_weights_and_negatives_make_the_score(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:3]])
    match = Match(mini, [Targets(looks[:3], torch.tensor([3.0, 1.0, -2.0]))])
    ids = problem.start_ids(Rows(jobs_for(1), CPU))
    _, score = match(problem.vocabulary.embed(ids), torch.tensor([0]))
    text = mini.tokens.decode(ids[0].tolist())
    cosines = (looks[:3] @ mini.encode_text([text])[0]).tolist()
    expected = (3 * cosines[0] + cosines[1] - 2 * cosines[2]) / 4
    assert float(score[0]) == pytest.approx(expected, abs=1e-5)
    assert match.text_scores([text], [0]) == [pytest.approx(expected, abs=1e-5)]
    with pytest.raises(PezError, match="nothing to match"):
        Match(mini, [Targets(looks[:1], torch.tensor([-1.0]))]).text_scores(["cat"], [0])
