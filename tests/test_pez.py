"""The algorithm: recorded trajectories, a literal Algorithm 1, and what its settings do."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import sklearn
import torch
import torch.nn.functional as F
from conftest import ROOT, SMALL, ProblemMaker, jobs_for
from open_clip.model import set_model_preprocess_cfg
from PIL import Image
from torch import Tensor, nn

import pez
from pez.engine import Budget, Found, search
from pez.errors import PezError
from pez.methods import METHODS, make_method
from pez.methods.pez import SCHEDULES, Pez
from pez.models import Reader, load_model
from pez.models.ensemble import Ensemble
from pez.models.openclip import OpenClip, wrap
from pez.objectives.match import Match, Targets
from pez.problem import Job, Problem, Rows

REFERENCE = ROOT.parent / "shared" / "reference"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def other() -> OpenClip:
    """A second model with CLIP's tokenizer, random and of other widths than ``mini``."""
    torch.manual_seed(0)
    vision: dict[str, Any] = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text: dict[str, Any] = {"vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    model = open_clip.CLIP(48, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))
    set_model_preprocess_cfg(model, {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    return wrap("other", model, open_clip.SimpleTokenizer(), CPU)


def found_by_job(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda f: (f.job.item, f.job.restart))


def path_of(found: Found) -> list[list[int]]:
    return [step["ids"] for step in found.history]


def scores_of(found: Found) -> list[float]:
    return [step["score"] for step in found.history]


def run(
    problem: Problem, method: Any, jobs: Sequence[Job], steps: int, width: int = 0
) -> list[Found]:
    """All jobs with their histories, in the jobs' order."""
    budget = Budget(steps)
    return found_by_job(search(problem, method, jobs, budget, CPU, width=width, keep_history=True))


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


# ---- Algorithm 1 once more, as literally as can be


def plain_forward(reader: OpenClip, ids: Tensor) -> tuple[Tensor, Tensor]:
    """open_clip's own whole-context forward of prompt ids (k,).

    Gives the feature (e,) and the leaf (k, w) that stands where the embeddings were looked up.
    """
    end = torch.tensor([reader.tokens.full.eot_token_id])
    start = torch.tensor([reader.tokens.full.sot_token_id])
    whole = torch.cat([start, ids, end])
    whole = F.pad(whole, (0, reader.model.context_length - len(whole)))
    leaf: list[Tensor] = []

    def cut_loose(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        leaf.append(output.detach().requires_grad_(True))
        return leaf[0]

    hook = reader.model.token_embedding.register_forward_hook(cut_loose)
    try:
        feature = reader.model.encode_text(whole[None], normalize=True)[0]
    finally:
        hook.remove()
    return feature, leaf[0]


def algorithm_1(
    readers: list[OpenClip],
    allowed: Tensor,
    targets: list[Tensor],
    start: Tensor,
    steps: int,
    lr: float = 0.1,
    weight_decay: float = 0.1,
    schedule: Callable[[int], float] = lambda step: 1.0,
) -> tuple[list[list[int]], list[float]]:
    """Wen et al. 2023, Algorithm 1, for the mean over targets (t, e) and over models."""
    tables = [reader.model.token_embedding.weight.detach() for reader in readers]
    points = [table[start].clone().requires_grad_(True) for table in tables]
    optimizer = torch.optim.AdamW(points, lr=lr, weight_decay=weight_decay)
    schedule_of = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    path, scores = [], []
    for _ in range(steps):
        cosine = torch.zeros(len(start), len(allowed))
        for point, table in zip(points, tables, strict=True):
            cosine += F.normalize(point.detach(), dim=-1) @ F.normalize(table[allowed], dim=-1).T
        ids = allowed[cosine.argmax(-1)]  # P' = Proj_E(P)
        score = 0.0
        for reader, point, wanted in zip(readers, points, targets, strict=True):
            feature, leaf = plain_forward(reader, ids)
            share = (wanted @ feature).mean() / len(readers)
            (gradient,) = torch.autograd.grad(1 - share, leaf)
            point.grad = gradient[0, 1 : 1 + len(start)]
            score += float(share.detach())
        path.append(ids.tolist())
        scores.append(score)
        optimizer.step()  # P = P - lr * gradient at P'
        schedule_of.step()
    return path, scores


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
        assert path_of(found) == path


# ---- several models at once


def test_two_models_follow_algorithm_1_on_both(
    mini: OpenClip, other: OpenClip, pictures: list[Image.Image], make_problem: ProblemMaker
) -> None:
    pair = Ensemble.join([mini, other])
    targets = [reader.encode_images(pictures[:2]) for reader in (mini, other)]
    problem = make_problem(pair, [pair.encode_images(pictures[:2])])
    (found,) = run(problem, Pez(), jobs_for(1), 40)
    start = problem.start_ids(Rows(jobs_for(1), CPU))[0]
    path, scores = algorithm_1([mini, other], problem.vocabulary.ids, targets, start, 40)
    assert path_of(found) == path
    assert scores_of(found) == pytest.approx(scores, abs=1e-5)


def test_the_score_for_two_models_is_the_mean_of_their_cosines(
    mini: Reader, other: Reader, pictures: list[Image.Image]
) -> None:
    pair = Ensemble.join([mini, other])
    result = pez.invert(pictures[0], reader=pair, length=5, steps=15, history=True)
    assert isinstance(result, pez.Result) and result.history is not None
    assert result.model == "mini + other"
    cosines = [pez.score(pictures[0], [result.prompt], reader=one)[0] for one in (mini, other)]
    assert abs(cosines[0] - cosines[1]) > 1e-3
    assert result.score == pytest.approx(sum(cosines) / 2, abs=1e-5)
    assert max(step["score"] for step in result.history) == pytest.approx(result.score, abs=1e-4)


def test_two_models_are_loaded_as_one_by_their_names(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    texts = ["a cat", "snow"]
    each = [pez.score(pictures[0], texts, reader=r) for r in (mini, load_model("mini-b", "cpu"))]
    both = pez.score(pictures[0], texts, model=("mini", "mini-b"), device="cpu")
    assert both == pytest.approx([(a + b) / 2 for a, b in zip(*each, strict=True)], abs=1e-5)


def test_ids_for_two_models_are_known_to_both(
    mini: OpenClip, other: OpenClip, pictures: list[Image.Image]
) -> None:
    words = [word for word in mini.own_words or [] if len(mini.tokens.encode(word)) == 1]
    ids = torch.tensor([mini.tokens.encode(word)[0] for word in words])
    half, most = len(words) // 2, len(words) * 2 // 3
    left = knowing(mini, ids[:most], words[:most])
    right = knowing(other, ids[half:], words[half:])
    shared = {mini.tokens.encode(word)[0] for word in words[half:most]}
    for vocabulary in ("auto", "all"):
        result = pez.invert(
            pictures[0],
            reader=Ensemble.join([left, right]),
            vocabulary=vocabulary,
            length=6,
            steps=15,
            history=True,
        )
        assert isinstance(result, pez.Result) and result.history is not None
        assert all(set(step["ids"]) <= shared for step in result.history)


def knowing(reader: OpenClip, known: Tensor, words: list[str]) -> OpenClip:
    """The same model as if it had been trained on ``known`` ids only."""
    return OpenClip(
        reader.name, reader.model, reader.transform, reader.tokens, reader.device, known, words
    )


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
    method = make_method(name, lr=0.5, steps=7, nonsense=1)
    assert method.name == name and method.forwards >= 1 and method.backwards >= 0
    assert getattr(method, "lr", 0.5) == 0.5 and getattr(method, "steps", 7) == 7


# ---- batch_size: a few of the targets at each step


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
    loss, score = problem.judge(chosen, item, draw)
    feature = mini.encode_text([mini.tokens.decode(row) for row in ids.tolist()])
    seen = torch.stack([looks[5], looks[1]])
    assert torch.allclose(loss, 1 - (feature * seen).sum(-1), atol=1e-5)
    means = torch.stack([(looks[3:] @ feature[0]).mean(), (looks[:3] @ feature[1]).mean()])
    assert torch.allclose(score, means, atol=1e-5)
    assert torch.allclose(problem.judge(chosen, item)[0], 1 - means, atol=1e-5)


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


# ---- rows of a batch


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("init", ["random", "words"])
def test_a_batch_of_rows_equals_each_row_alone(
    name: str, init: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    groups = [looks[n : n + 3] for n in range(3)]
    problem = make_problem(mini, groups, template="a photo of {} and {}", init=init)
    method = make_method(name, batch_size=2, steps=15, **SMALL)
    jobs = jobs_for(3, restarts=2)
    together = run(problem, method, jobs, 10)  # rounding parts longer paths
    for job, row in zip(jobs, together, strict=True):
        (alone,) = run(problem, method, [job], 10)
        assert path_of(row) == path_of(alone)
        assert scores_of(row) == pytest.approx(scores_of(alone), abs=1e-5)
    paths = [tuple(map(tuple, path_of(row))) for row in together]
    assert len(set(paths)) == len(paths)


def test_neighbours_and_places_do_not_change_a_rows_path(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    here = make_problem(mini, [looks[:1], looks[1:2]])
    there = make_problem(mini, [looks[n : n + 1] for n in (4, 3, 1, 2)])
    (first,) = [f for f in run(here, Pez(), jobs_for(2), 20) if f.job.item == 1]
    jobs = [replace(job, key=f"other-{n}") for n, job in enumerate(jobs_for(4))]
    jobs[2] = replace(first.job, item=2)  # the same key and seed at another place
    again = run(there, Pez(), jobs, 20)[2]
    assert path_of(first) == path_of(again)
    assert scores_of(first) == pytest.approx(scores_of(again), abs=1e-5)


def test_seed_restart_and_key_each_give_another_start(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]])
    jobs = [Job(0, "a"), Job(0, "a", seed=1), Job(0, "a", restart=1), Job(0, "b"), Job(0, "a")]
    starts = [tuple(ids) for ids in problem.start_ids(Rows(jobs, CPU)).tolist()]
    assert starts[0] == starts[4] and len(set(starts)) == 4


def test_start_words_are_the_best_single_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1], looks[1:2]], length=3, init="words")
    starts = problem.start_ids(Rows(jobs_for(2), CPU)).tolist()
    words = [mini.tokens.decode([i]) for i in problem.vocabulary.ids.tolist()]
    for n, start in enumerate(starts):
        cosines = mini.encode_text(words) @ looks[n]
        best = [words[i] for i in cosines.topk(3).indices.tolist()]
        assert [mini.tokens.decode([i]) for i in start] == best


def test_start_ids_fill_the_first_places_and_chance_the_rest(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    init = torch.tensor(mini.tokens.encode("cat dog"))
    problem = make_problem(mini, [looks[:1]], length=4, init=init)
    starts = problem.start_ids(Rows(jobs_for(1, restarts=2), CPU))
    assert starts[:, :2].tolist() == [init.tolist()] * 2
    assert starts[0, 2:].tolist() != starts[1, 2:].tolist()
    assert torch.isin(starts[:, 2:], problem.vocabulary.ids).all()
    with pytest.raises(PezError, match="only 1 places"):
        make_problem(mini, [looks[:1]], length=1, init=init).start_ids(Rows(jobs_for(1), CPU))


# ---- what it is good for


def test_pez_beats_random_words_at_the_same_number_of_steps(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [look[None] for look in looks], length=6)
    best = {
        name: sum(f.score for f in run(problem, make_method(name), jobs_for(len(looks)), 80))
        for name in ("pez", "random")
    }
    assert best["pez"] > best["random"]


# ---- the returned score is of the returned text


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"vocabulary": "words"},
        {"vocabulary": "words", "template": "a photo of {} , {2}"},
        {"vocabulary": "ascii"},
        {"vocabulary": "all"},
        {"vocabulary": "all", "length": 0},  # as long as the model reads
    ],
    ids=str,
)
def test_the_returned_score_is_of_the_returned_text(
    settings: dict[str, Any], mini: Reader, other: Reader, pictures: list[Image.Image]
) -> None:
    reader = other if settings else mini  # ``other`` may use every id, broken words too
    options = {"length": 7, "steps": 12, "history": True, **settings}
    options["length"] = options["length"] or reader.limit
    results = pez.invert(pictures[:3], reader=reader, **options)
    assert isinstance(results, list)
    survived = []
    for result, look in zip(results, reader.encode_images(pictures[:3]), strict=True):
        whole = reader.tokens.full([result.prompt])[0].tolist()  # as open_clip reads the text
        assert result.ids == whole[1 : whole.index(49407)]
        cosine = float(reader.encode_text([result.prompt])[0] @ look)
        assert result.score == pytest.approx(cosine, abs=1e-6)
        assert result.history is not None
        searched = max(result.history, key=lambda step: step["score"])
        survived.append(result.ids == searched["ids"])
        if survived[-1]:
            assert result.score == pytest.approx(searched["score"], abs=1e-4)
    if settings.get("vocabulary") in ("ascii", "all"):
        assert not all(survived)  # or this test would not test much
    else:
        assert all(survived)


def test_a_callers_model_stays_whole(mini: Reader, pictures: list[Image.Image]) -> None:
    quick = {"reader": mini, "steps": 1, "length": 2}
    first = pez.invert(pictures[0], **quick)
    pez.distill("a cat and a dog", **quick)
    pez.mix(
        image=[pictures[0]], text=["a cat"], negative=["a " + "very " * 100 + "long text"], **quick
    )
    again = pez.invert(pictures[0], **quick)
    assert isinstance(first, pez.Result) and isinstance(again, pez.Result)
    assert first.prompt == again.prompt
