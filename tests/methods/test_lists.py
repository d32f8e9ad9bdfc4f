"""Methods that start from lists of prompts, and soft prompts with the files they write."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ROOT, ProblemMaker, jobs_for
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import pez
from pez.cli import main
from pez.datasets.samples import KINDS, samples
from pez.errors import PezError
from pez.methods.bank import PezBank, shipped_bank
from pez.methods.interrogator import Interrogator
from pez.methods.pez import Pez
from pez.methods.phrases import read_lines, split_phrases
from pez.methods.soft import Soft
from pez.models import Reader
from pez.options import InvertOptions
from pez.search.engine import Budget, Found, search
from pez.search.problem import Problem
from pez.search.rows import Rows
from pez.session.embeddings import part_names, save_embeddings

CPU = torch.device("cpu")
CAPTURE = pytest.CaptureFixture[str]
ITEM = torch.tensor([0])
BANK = """a small boot in front of a green wall, a photograph
a pencil sketch of a green dragon in the night
a very large photograph of some fries on a table
the cat and the dog in the snow, an oil painting
"""


def run(problem: Problem, method: Any, steps: int, restarts: int = 1) -> list[Found]:
    jobs = jobs_for(1, restarts)
    found = search(problem, method, jobs, Budget(steps), CPU, keep_history=True)
    return sorted(found, key=lambda f: f.job.restart)


def score_of(problem: Problem, ids: list[int]) -> float:
    """The score of free places' ids, looked up and scored alone."""
    _, score = problem.evaluate(problem.vocabulary.embed(torch.tensor([ids])), ITEM)
    return float(score)


@pytest.fixture
def bank(tmp_path: Path) -> str:
    path = tmp_path / "bank.txt"
    path.write_text(BANK)
    return str(path)


# ---- the bank


def test_after_one_step_pez_bank_gives_the_best_prompt_of_the_bank(
    bank: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=4)
    prompts = split_phrases(problem.vocabulary, read_lines(bank, "bank"), 4)
    ranked = sorted(prompts, key=lambda ids: -score_of(problem, ids))
    found = run(problem, PezBank(bank=bank), 1, restarts=3)
    assert [f.ids for f in found] == ranked[:3]
    assert found[0].score == pytest.approx(score_of(problem, ranked[0]), abs=1e-5)
    (later,) = run(problem, PezBank(bank=bank), 12)
    assert later.score > found[0].score


def test_places_that_the_best_prompt_leaves_free_hold_the_next_best(
    tmp_path: Path, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    (tmp_path / "bank.txt").write_text("boot green\ndragon night\nfries\n")
    problem = make_problem(mini, [looks[:1]], length=6)
    (found,) = run(problem, PezBank(bank=str(tmp_path / "bank.txt")), 1)
    split = split_phrases(problem.vocabulary, ["boot green", "dragon night", "fries"], 6)
    ranks = {}
    for ids in split:
        alone = make_problem(mini, [looks[:1]], length=len(ids))
        ranks[tuple(ids)] = score_of(alone, ids)
    order = sorted(split, key=lambda ids: -ranks[tuple(ids)])
    assert found.ids == ([i for ids in order for i in ids] * 2)[:6]


def test_pez_bank_goes_on_as_pez_from_that_prompt(
    bank: str, mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=4)
    (found,) = run(problem, PezBank(bank=bank), 10)
    start = torch.tensor(found.history[0]["ids"])
    (same,) = run(make_problem(mini, [looks[:1]], length=4, init=start), Pez(), 10)
    assert [s["ids"] for s in found.history] == [s["ids"] for s in same.history]
    given = make_problem(mini, [looks[:1]], length=4, init=start[:2])
    (behind,) = run(given, PezBank(bank=bank), 1)
    assert behind.ids == [*start[:2].tolist(), *start[:2].tolist()]  # the best of the bank


def test_the_shipped_bank_holds_no_caption_of_a_sample(mini: Reader) -> None:
    lines = read_lines(shipped_bank(), "bank")
    captions = {c for kind in KINDS for sample in samples(kind) for c in sample.captions}
    assert len(set(lines)) == len(lines) == 2000 and captions
    assert not captions & set(lines)


def test_words_of_a_list_that_may_not_be_chosen_are_left_out(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("boot green night")
    problem = make_problem(mini, [looks[:1]], vocabulary=str(tmp_path / "words.txt"))
    lines = ["a green boot, unpronounceable", "boot the night boot", "green boot", "a dog"]
    split = split_phrases(problem.vocabulary, lines, 2)
    assert [mini.tokens.decode(ids) for ids in split] == ["green boot", "boot night"]
    with pytest.raises(PezError, match="no phrase of the list"):
        split_phrases(problem.vocabulary, ["a dog"], 2)
    with pytest.raises(PezError, match=r"none\.txt cannot be read"):
        read_lines(str(tmp_path / "none.txt"), "--set bank")
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(PezError, match="holds no text"):
        read_lines(str(tmp_path / "empty.txt"), "--set bank")


def test_a_bank_that_changed_makes_another_run(bank: str) -> None:
    options = InvertOptions(method="pez-bank", set=(f"bank={bank}",))
    before = options.fingerprint()
    assert options.fingerprint() == before
    Path(bank).write_text(BANK + "a dog\n")
    assert options.fingerprint() != before


# ---- the interrogator


def test_an_interrogator_of_one_word_finds_the_exhaustive_best(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=1)
    scores = problem.word_scores([0])[0]
    # in reversed order the best word comes last, so that every word must have been tried
    steps = -(-len(scores) // 64)
    method = Interrogator()
    rows = Rows(jobs_for(1), CPU)
    state = method.start(problem, rows)
    state["listed"] = state["listed"].flip(1)
    reached = []
    for _ in range(steps):
        ids, score, state = method.step(problem, rows, state)
        reached.append((float(score), ids[0].tolist()))
    assert max(reached)[1] == [int(problem.vocabulary.ids[scores.argmax()])]
    assert max(reached)[0] == pytest.approx(float(scores.max()), abs=1e-5)
    assert max(reached[:-1])[0] < max(reached)[0]


def test_each_place_of_a_chain_gets_the_best_of_all_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=2)
    (found,) = run(problem, Interrogator(candidates=279), 4)
    allowed = problem.vocabulary.ids

    def best(prompts: Tensor) -> tuple[list[int], float]:
        _, score = problem.evaluate(problem.vocabulary.embed(prompts), ITEM.expand(len(prompts)))
        return prompts[score.argmax()].tolist(), float(score.max())

    first, _ = best(torch.stack([allowed, allowed], 1))  # alone, it fills both places
    second, score = best(torch.stack([torch.full_like(allowed, first[0]), allowed], 1))
    assert [s["ids"] for s in found.history[:2]] == [first, second]
    again, better = best(torch.stack([allowed, torch.full_like(allowed, second[1])], 1))
    assert found.history[2]["ids"] == again and better >= score
    assert found.history[3]["score"] >= better - 1e-6


def test_the_chain_grows_behind_the_start_text(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker, tmp_path: Path
) -> None:
    (tmp_path / "phrases.txt").write_text("one butterfly\npencil sketch\nthe sea\n")
    said = mini.tokens.encode("a photo of")
    problem = make_problem(mini, [looks[:1]], length=7, init=torch.tensor(said))
    method = Interrogator(phrases=str(tmp_path / "phrases.txt"), candidates=3)
    (found,) = run(problem, method, 6)
    phrases = [mini.tokens.encode(p) for p in ("one butterfly", "pencil sketch", "the sea")]
    assert all(step["ids"][:3] == said for step in found.history)
    full = found.history[2:]  # the text itself, repeated, may do better than the first phrase
    assert all(s["ids"][3:5] in phrases and s["ids"][5:] in phrases for s in full)
    scores = [step["score"] for step in full]
    assert scores == sorted(scores)  # gone over again nothing gets worse
    tried = [[*said, *p, *q] for p in phrases for q in phrases]
    assert scores[-1] <= max(score_of(problem, ids) for ids in tried) + 1e-5


def test_restarts_of_the_interrogator_begin_at_other_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], length=3)
    found = run(problem, Interrogator(candidates=8, top=8), 1, restarts=4)
    assert len({f.ids[0] for f in found}) > 1


# ---- soft prompts


def test_a_soft_prompt_bounds_what_pez_reaches(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    for start in ("random", "words"):
        problem = make_problem(mini, [looks[:1]], init=start)
        (soft,) = run(problem, Soft(), 40)
        (hard,) = run(problem, Pez(), 40)
        assert float(soft.extra["soft_score"]) > hard.score
        assert soft.score < float(soft.extra["soft_score"])  # that of words is another
        assert soft.score == pytest.approx(score_of(problem, soft.ids), abs=1e-5)


def test_the_embeddings_score_what_is_said_and_are_no_words(
    mini: Reader, looks: Tensor, make_problem: ProblemMaker
) -> None:
    problem = make_problem(mini, [looks[:1]], template="a photo of {}", length=2)
    found = run(problem, Soft(), 15, restarts=2)
    for one in found:
        kept = one.extra["embeddings"]
        assert kept.shape == (2, mini.table.shape[1]) and not kept.requires_grad
        _, score = problem.evaluate(kept[None], ITEM)
        assert float(score) == pytest.approx(float(one.extra["soft_score"]), abs=1e-5)
        assert (torch.cdist(kept, problem.vocabulary.rows).min(1).values > 0.1).all()
    budget = Budget(15)  # steps after a row's budget do not count
    late = search(problem, Soft(), jobs_for(1) + jobs_for(1, 2)[1:], budget, CPU, width=1)
    for one, other in zip(found, late, strict=True):
        torch.testing.assert_close(one.extra["embeddings"], other.extra["embeddings"])


def test_soft_results_hold_embeddings_in_memory_and_write_them_as_textual_inversion(
    mini: Reader, pictures: list[Image.Image], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"reader": mini, "steps": 10, "length": 3}
    result = pez.invert(pictures[0], method="soft", restarts=2, **settings)
    assert isinstance(result, pez.Result) and result.soft_score and result.embeddings
    assert result.soft_score > result.score
    assert result.score == pytest.approx(
        pez.score(pictures[0], result.prompt, reader=mini), abs=1e-5
    )
    read = pez.Result.from_json(result.to_json())
    assert read == result and read.embeddings is None and read.soft_score == result.soft_score
    save_embeddings(result, tmp_path / "a" / "cat.safetensors")
    with safe_open(tmp_path / "a" / "cat.safetensors", "pt") as file:
        assert list(file.keys()) == ["emb_params"]
        assert torch.equal(file.get_tensor("emb_params"), result.embeddings[0])
        assert file.metadata()["prompt"] == result.prompt
    plain = pez.invert(pictures[0], **settings)
    assert isinstance(plain, pez.Result) and plain.soft_score is None
    assert "soft_score" not in json.loads(plain.to_json())
    with pytest.raises(PezError, match="--method soft"):
        save_embeddings(plain, tmp_path / "b.safetensors")
    assert part_names([768, 1280]) == ["clip_l", "clip_g"]
    assert part_names([512, 512]) == ["model_0", "model_1"]


def test_the_command_writes_embeddings_and_again_where_they_are_missing(
    tmp_path: Path, capsys: CAPTURE
) -> None:
    art = str(ROOT / "data" / "samples" / "art" / "art-0")
    command = ["invert", f"{art}1.png", f"{art}2.png", "--model", "mini", "--method", "soft"]
    command += ["--steps", "3", "--length", "2", "--output", str(tmp_path / "found.jsonl")]
    command += ["--output-embeddings", str(tmp_path / "soft")]
    assert main(command) == 0
    files = [tmp_path / "soft" / f"art-0{n}.safetensors" for n in (1, 2)]
    assert sorted((tmp_path / "soft").iterdir()) == sorted(files)
    before = load_file(files[0])["emb_params"]
    files[0].unlink()
    assert main(command) == 0
    torch.testing.assert_close(load_file(files[0])["emb_params"], before, atol=1e-4, rtol=1e-3)
    assert "1 of 2 were done before" in capsys.readouterr().err
    assert main([*command[:1], f"{art}1.png", *command[3:]]) == 2  # a folder for one input
    assert "is a folder" in capsys.readouterr().err
    command[command.index("soft")] = "pez"
    assert main(command) == 2
    assert "add --method soft" in capsys.readouterr().err
