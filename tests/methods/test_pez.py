"""The algorithm: recorded trajectories, a literal Algorithm 1, and what its settings do."""

import json
from pathlib import Path
from typing import Any

import pytest
import sklearn
import torch
from common import ROOT, ProblemMaker, jobs_for
from pez_runs import CPU, algorithm_1, path_of, run, scores_of
from torch import Tensor

import pez
from pez.errors import PezError
from pez.methods import METHODS, make_method, method_class
from pez.methods.pez import SCHEDULES, Pez
from pez.methods.settings import defaults
from pez.models import Reader, load_model
from pez.models.openclip import OpenClip
from pez.search.rows import Rows

REFERENCE = ROOT.parent / "shared" / "reference"

# ---- the reference implementation's recorded runs


@pytest.mark.skipif(not (REFERENCE / "pez_trace.json").is_file(), reason="no recorded runs here")
def test_recorded_trajectories_are_followed_id_by_id() -> None:
    reader = load_model(f"local-dir:{REFERENCE / 'tiny-clip'}", "cpu")
    photographs = Path(sklearn.__file__).parent / "datasets" / "images"
    for recorded in json.loads((REFERENCE / "pez_trace.json").read_text()):
        result = pez.invert(
            [photographs / name for name in recorded["images"]],
            reader=reader,
            together=True,
            vocabulary="all",
            init="ids:" + ",".join(map(str, recorded["ids"][0])),
            length=recorded["length"],
            method="pez",
            steps=recorded["steps"],
            history=True,
        )
        assert isinstance(result, pez.Result) and result.history is not None
        assert [step["ids"] for step in result.history] == recorded["ids"]
        scores = [step["score"] for step in result.history]
        assert scores == pytest.approx(recorded["score"], abs=1e-5)
        assert max(scores) == pytest.approx(recorded["best_score"], abs=1e-5)
        assert result.prompt == recorded["best_text"].strip()


# ---- Algorithm 1 written out literally

SHARES = {
    "constant": lambda step: 1.0,
    "cosine": lambda step: 0.5 * (1 + torch.tensor(step / 40 * torch.pi).cos().item()),
    "linear": lambda step: 1 - step / 40,
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("vocabulary", "count"), [("auto", 1), ("all", 3)])
def test_the_path_is_that_of_a_literal_algorithm_1(
    schedule: str,
    vocabulary: str,
    count: int,
    mini: OpenClip,
    looks: Tensor,
    make_problem: ProblemMaker,
) -> None:
    problem = make_problem(mini, [looks[:count]], vocabulary=vocabulary)
    (found,) = run(problem, Pez(steps=40, schedule=schedule), jobs_for(1), 40)
    start = problem.start_ids(Rows(jobs_for(1), CPU))[0]
    path, scores = algorithm_1(
        [mini], problem.vocabulary.ids, [looks[:count]], start, 40, schedule=SHARES[schedule]
    )
    assert len({tuple(ids) for ids in path}) > 5  # the path does go somewhere
    assert path_of(found) == path
    assert scores_of(found) == pytest.approx(scores, abs=1e-5)


def test_other_settings_follow_algorithm_1_too(
    mini: OpenClip, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    start = problem.start_ids(Rows(jobs_for(1), CPU))[0]
    for lr, weight_decay in ((0.02, 0.0), (0.3, 1.0)):
        (found,) = run(problem, Pez(lr=lr, weight_decay=weight_decay), jobs_for(1), 25)
        path, _ = algorithm_1(
            [mini], problem.vocabulary.ids, [looks[:1]], start, 25, lr, weight_decay
        )
        assert len({tuple(ids) for ids in path}) > 1  # the path does go somewhere
        assert path_of(found) == path


# ---- settings


def test_learning_rate_0_stays_at_the_start(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    start = torch.tensor([mini.tokens.encode(word)[0] for word in (mini.own_words or [])[5:10]])
    problem = make_problem(mini, [looks[:1]], init=start)
    (found,) = run(problem, Pez(lr=0.0), jobs_for(1), 8)
    assert path_of(found) == [start.tolist()] * 8
    assert found.ids == start.tolist()


def test_weight_decay_changes_the_path(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    paths = [
        path_of(run(problem, Pez(weight_decay=decay), jobs_for(1), 30)[0]) for decay in (0.0, 1.0)
    ]
    assert paths[0][0] == paths[1][0] and paths[0] != paths[1]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_fall_from_the_full_rate_to_0(
    schedule: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    rows = Rows(jobs_for(1), CPU)
    method = Pez(schedule=schedule, steps=6, weight_decay=0.0)
    state = method.start(problem, rows)
    moved = []
    for _ in range(9):  # three more than the schedule is long
        before = state["point"]
        _, _, state = method.step(problem, rows, state)
        moved.append(float((state["point"] - before).abs().max()))
    assert moved[0] == pytest.approx(0.1, rel=1e-3)  # AdamW's first step is the rate itself
    if schedule == "constant":
        assert min(moved) > 0.01
    else:
        assert min(moved[:6]) > 0 and moved[6:] == pytest.approx([0.0] * 3, abs=1e-7)
        assert moved[5] < 0.5 * moved[0]


def test_an_unknown_schedule_or_method_is_a_users_error() -> None:
    with pytest.raises(PezError, match="constant, cosine, linear"):
        Pez(schedule="triangle")
    with pytest.raises(PezError, match=r"unknown method 'pezz'.*pez"):
        make_method("pezz")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_the_shared_settings_that_it_has(name: str) -> None:
    own: dict[str, Any] = {"lr": 0.5} if "lr" in defaults(method_class(name)) else {}
    method = make_method(name, steps=7, **own)
    assert method.name == name and method.forwards >= 1 and method.backwards >= 0
    assert getattr(method, "lr", 0.5) == 0.5 and getattr(method, "steps", 7) == 7


# ---- what it reaches


def test_pez_beats_random_words_at_the_same_number_of_steps(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks], length=6)
    best = {
        name: sum(f.score for f in run(problem, make_method(name), jobs_for(len(looks)), 80))
        for name in ("pez", "random")
    }
    assert best["pez"] > best["random"]
