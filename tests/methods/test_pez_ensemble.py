"""Searches for several models at once: Algorithm 1 on both, scores, the words both know."""

import pytest
import torch
from common import ProblemMaker, jobs_for
from pez_runs import CPU, algorithm_1, path_of, run, scores_of
from PIL import Image
from torch import Tensor

import pez
from pez.methods.pez import Pez
from pez.models import Reader, load_model
from pez.models.ensemble import Ensemble
from pez.models.openclip import OpenClip
from pez.search.rows import Rows


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
