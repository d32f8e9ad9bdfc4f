"""The diffusion model's loss as an objective, and the search made for it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from common import jobs_for
from diffusers import StableDiffusionPipeline
from PIL import Image
from tiny_pipelines import save_sd, save_sdxl
from torch import Tensor

import pez
from pez.cli import main
from pez.datasets.samples import KINDS, Sample, samples
from pez.errors import PezError
from pez.methods import make_method
from pez.methods.pez import Pez
from pez.methods.ph2p import Ph2p
from pez.models.diffusion import Denoiser, load_denoiser
from pez.objectives.denoise import Denoise
from pez.objectives.match import Targets
from pez.options import InvertOptions, SearchOptions
from pez.search.engine import Budget, search
from pez.search.problem import Problem
from pez.search.template import parse_template
from pez.session.session import reader_vocabulary

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return load_denoiser("mini-sd", "cpu")


@pytest.fixture(scope="module")
def known() -> list[Sample]:
    found = [s for kind in ("scenes", "attributes") for s in samples(kind)]
    names = ("octopus", "robot", "panda", "pig", "guitar", "pizza")
    one = [s for s in found if sum(n in s.captions[0] for n in names) == 1]
    return [s for s in one if " and " not in s.captions[0] and "beside" not in s.captions[0]][:4]


@pytest.fixture(scope="module")
def latents(denoiser: Denoiser, known: list[Sample]) -> Tensor:
    return denoiser.encode_images([Image.open(s.path).convert("RGB") for s in known])


@pytest.fixture(scope="module")
def problem(denoiser: Denoiser, latents: Tensor) -> Problem:
    """An item for each picture; two noisy pictures each, for speed."""
    vocabulary = reader_vocabulary(denoiser, SearchOptions())
    template = parse_template("{}", denoiser.tokens, 4, (), denoiser.limit)
    items = [Targets(z[None], torch.ones(1)) for z in latents]
    return Problem(vocabulary, template, Denoise(denoiser, items, noises=2))


def test_the_true_caption_denoises_best_for_most_large_things(denoiser: Denoiser) -> None:
    """mini-sd knows things that stand large in the middle; by chance one in twenty were first."""
    every = [s for kind in KINDS for s in samples(kind)]
    large = [
        s for s in every if s.attributes["size"] == "large" and len(s.attributes["things"]) == 1
    ]
    captions = [s.captions[0] for s in large]
    looks = denoiser.encode_images([Image.open(s.path).convert("RGB") for s in large])
    objective = Denoise(denoiser, [Targets(z[None], torch.ones(1)) for z in looks], noises=2)
    first = 0
    for n in range(len(large)):
        scores = objective.text_scores(captions, [n] * len(captions))
        first += scores[n] == max(scores)
    assert len(set(captions)) == len(large) >= 20
    assert first >= 0.7 * len(large)


def test_the_search_scores_prompts_as_their_texts_are_scored(
    problem: Problem, known: list[Sample]
) -> None:
    for n, sample in enumerate(known):
        caption = sample.captions[0]
        (score,) = problem.objective.text_scores([caption], [n])
        features = problem.objective.features(  # the path of the search, from embeddings
            problem.vocabulary.embed(torch.tensor([denoiser_ids(problem, caption)]))
        )
        assert float(problem.objective.rate(features, [n])) == pytest.approx(score, abs=1e-4)


def denoiser_ids(problem: Problem, text: str) -> list[int]:
    return problem.vocabulary.tokens.encode(text)


def test_prompts_are_read_as_the_pipeline_reads_them(denoiser: Denoiser) -> None:
    from pez.generation.options import GenerateOptions
    from pez.generation.pipelines import open_painter

    pipe = open_painter(GenerateOptions(generator="mini-sd", device="cpu")).pipe
    text = "a watercolor of a large castle, red"
    own = pipe.encode_prompt(text, CPU, 1, False)[0].flatten(1)
    torch.testing.assert_close(denoiser.encode_text([text]), own)
    ids = torch.tensor([denoiser.tokens.encode(text)])
    torch.testing.assert_close(denoiser.features(denoiser.table[ids]), own)
    words = reader_vocabulary(denoiser, SearchOptions()).ids.tolist()
    assert {denoiser.tokens.decode([i]) for i in words} == set(denoiser.own_words or ())
    lookup = denoiser.text_encoder.get_input_embeddings()
    assert not lookup._forward_hooks  # nothing stays in its place


def test_the_gradient_is_that_of_the_loss(problem: Problem) -> None:
    point = problem.vocabulary.embed(problem.vocabulary.ids[None, :4]).clone().requires_grad_(True)
    loss, score = problem.evaluate(point, torch.tensor([1]))
    (slope,) = torch.autograd.grad(loss.sum(), point)
    assert float(loss.detach()) == pytest.approx(-float(score.detach())) and slope.norm() > 0
    for part in problem.objective.reader.unet.parameters():  # type: ignore[attr-defined]
        assert not part.requires_grad
    step = 1e-3 * slope / slope.norm()
    with torch.no_grad():
        up, _ = problem.evaluate(point + step, torch.tensor([1]))
        down, _ = problem.evaluate(point - step, torch.tensor([1]))
    assert float(up - down) == pytest.approx(2e-3 * float(slope.norm()), rel=0.05)


def test_a_draw_of_noisy_pictures_changes_the_loss_alone(problem: Problem) -> None:
    point = problem.vocabulary.embed(problem.vocabulary.ids[None, :4])
    item = torch.tensor([0])
    with torch.no_grad():
        loss, score = problem.evaluate(point, item)
        parts = [problem.evaluate(point, item, torch.tensor([[n]])) for n in range(2)]
    assert problem.objective.targets(0) == 2
    assert all(torch.allclose(part[1], score) for part in parts)
    losses = [float(part[0]) for part in parts]
    assert losses[0] != losses[1] and sum(losses) / 2 == pytest.approx(float(loss), rel=1e-4)


def test_pictures_of_one_prompt_count_by_weight(denoiser: Denoiser, latents: Tensor) -> None:
    text = ["a robot"]
    alone = [
        Denoise(denoiser, [Targets(z[None], torch.ones(1))], 2).text_scores(text, [0])[0]
        for z in latents[:2]
    ]
    both = Denoise(denoiser, [Targets(latents[:2], torch.tensor([3.0, 1.0]))], 2)
    score = both.text_scores(text, [0])[0]
    assert score == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-4)


def test_a_pipeline_of_sd1s_kind_is_read_as_diffusers_would(
    tmp_path: Path, pictures: list[Image.Image]
) -> None:
    denoiser = load_denoiser(save_sd(tmp_path / "sd"), "cpu")
    pipe: Any = StableDiffusionPipeline.from_pretrained(tmp_path / "sd")
    x = pipe.image_processor.preprocess(pictures[0], 16, 16)
    with torch.no_grad():
        z = pipe.vae.encode(x).latent_dist.mode() * 0.5
    torch.testing.assert_close(
        denoiser.encode_images(pictures[:1]), z.flatten(1), atol=2e-2, rtol=0
    )
    objective = Denoise(denoiser, [Targets(z.flatten(1), torch.ones(1))], noises=1)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([700])  # the middle of the late ones
    context = pipe.encode_prompt("a red boot", CPU, 1, False)[0]
    with torch.no_grad():
        said = pipe.unet(pipe.scheduler.add_noise(z, noise, time), time, context).sample
    wanted = -float((said - noise).square().mean())
    assert objective.text_scores(["a red boot"], [0])[0] == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(PezError, match="StableDiffusionXLPipeline"):
        load_denoiser(save_sdxl(tmp_path / "xl"), "cpu")


def test_ph2p_beats_random_words_under_the_denoising_loss_at_equal_cost(problem: Problem) -> None:
    def total(name: str, passes: int = 48) -> float:
        method = make_method(name)
        steps = passes // (method.forwards + method.backwards)
        found = search(problem, method, jobs_for(2), Budget(steps), CPU)
        return sum(f.score for f in found)

    assert total("ph2p") > total("random") + 0.05


def test_ph2p_that_projects_at_once_is_pez(problem: Problem) -> None:
    runs = [
        search(problem, method, jobs_for(1), Budget(4), CPU, keep_history=True)[0].history
        for method in (Ph2p(delay=1), Pez(), Ph2p(delay=2))
    ]
    assert [s["ids"] for s in runs[0]] == [s["ids"] for s in runs[1]]
    assert [s["ids"] for s in runs[0]] != [s["ids"] for s in runs[2]]


def test_the_prompt_reads_back_and_scores_what_is_said(
    denoiser: Denoiser, known: list[Sample]
) -> None:
    settings: dict[str, Any] = {"method": "ph2p", "objective": "denoise", "length": 3, "steps": 2}
    result = pez.invert(str(known[0].path), reader=denoiser, **settings)
    assert isinstance(result, pez.Result) and result.model == "mini-sd"
    assert denoiser.tokens.decode(result.ids) == result.prompt and len(result.ids) == 3
    own = denoiser.tokenizer(result.prompt, add_special_tokens=False)["input_ids"]
    rows = denoiser.text_encoder.get_input_embeddings().weight[own]
    assert torch.equal(rows, denoiser.table[result.ids])  # the pipeline reads the same words
    items = [Targets(denoiser.encode_images([Image.open(known[0].path)]), torch.ones(1))]
    again = Denoise(denoiser, items).text_scores([result.prompt], [0])[0]
    assert result.score == pytest.approx(again, abs=1e-5)
    assert result.options["objective"] == "denoise"


@pytest.mark.parametrize("kind", ["auto", "words", "ascii", "all"])
def test_the_pipeline_reads_the_ids_that_were_searched(kind: str, denoiser: Denoiser) -> None:
    ids = reader_vocabulary(denoiser, SearchOptions(vocabulary=kind)).ids
    names, own = denoiser.tokens.full.decoder, denoiser.tokenizer.get_vocab()
    assert len(ids) > 50
    for row in ids[torch.randint(len(ids), (50, 6), generator=torch.manual_seed(0))].tolist():
        text = denoiser.tokens.decode(row)
        if kind in ("auto", "words"):
            assert denoiser.tokens.encode(text) == row
        read = denoiser.tokenizer(text, add_special_tokens=False)["input_ids"]
        typed = [own.get(names[i]) for i in denoiser.tokens.encode(text)]
        assert None in typed or read == typed


def test_what_denoise_cannot_do_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = ["invert", str(tmp_path / "a.png"), "--objective"]
    assert main([*command, "denoise"]) == 2
    assert "give --for mini-sd" in capsys.readouterr().err
    assert main([*command, "denoise", "--for", "mini-sd", "--model", "mini"]) == 2
    assert main([*command, "nothing"]) == 2
    assert "there are match, denoise" in capsys.readouterr().err
    with pytest.raises(PezError, match="delay must be 1"):
        Ph2p(delay=0)
    options = InvertOptions(objective="denoise")
    assert options.fingerprint() != replace(options, objective="match").fingerprint()
