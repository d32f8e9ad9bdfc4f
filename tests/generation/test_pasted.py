"""Prompts and settings pasted from other tools mean what they mean there, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_pipelines import TEXT, options

from pez.errors import PezError
from pez.formats.parameters import COMMENT, EXIF, read_parameters
from pez.generation import GenerateOptions, Painter, open_painter
from pez.generation.encoded import Encoded
from pez.generation.files import save_picture
from pez.generation.pipelines import make_setup
from pez.generation.samplers import SCHEDULERS, parts_of, sampler_name
from pez.generation.syntax import lora_weights, without_tags
from pez.generation.weights import parse_weights


@pytest.fixture(scope="module")
def painter() -> Painter:
    return open_painter(options())


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("DPM++ 2M Karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        ("dpmpp_2m", "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
        ("dpmpp_2m_sde_gpu", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        ("DPM++ SDE", "DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        ("dpmpp_sde", "DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}),
        ("euler_ancestral", "EulerAncestralDiscreteScheduler", {}),
        ("k_euler", "EulerDiscreteScheduler", {}),
        ("LMS Karras", "LMSDiscreteScheduler", {"use_karras_sigmas": True}),
        ("PLMS", "PNDMScheduler", {"skip_prk_steps": True}),
        ("DPM2 a", "KDPM2AncestralDiscreteScheduler", {}),
        ("uni_pc", "UniPCMultistepScheduler", {}),
        ("EulerDiscreteScheduler", "EulerDiscreteScheduler", {}),
        ("euler sgm_uniform", "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("Euler Automatic", "EulerDiscreteScheduler", {}),
        ("SASolverScheduler", "SASolverScheduler", {}),
        ("sa_solver", "SASolverScheduler", {}),
        ("dpmpp_2m ddim_uniform", "DPMSolverMultistepScheduler", {"timestep_spacing": "leading"}),
    ],
)
def test_samplers_are_known_by_each_tools_names(
    name: str, kind: str, more: dict[str, object], painter: Painter
) -> None:
    from pez.generation.additions import set_scheduler

    before = painter.pipe.scheduler
    try:
        set_scheduler(painter.pipe, name)
        found = painter.pipe.scheduler
        assert type(found).__name__ == kind
        assert {k: found.config[k] for k in more} == more
        assert sampler_name(sampler_name(name)) == sampler_name(name)
    finally:
        painter.pipe.scheduler = before


def test_a_sampler_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(PezError, match=r"nearest is dpm\+\+_single"):
        GenerateOptions(scheduler="DPM++ 2S a Karras")
    for name, near in (
        ("dpmpp_2m_cfg_pp", r"dpm\+\+"),
        ("euler_ancestral_cfg_pp", "euler_a"),
        ("res_multistep_cfg_pp", r"dpm\+\+"),
        ("er_sde", r"dpm\+\+_2m_sde"),
        ("DDIM CFG++", "ddim"),
    ):
        with pytest.raises(PezError, match=f"no sampler.*the nearest is {near}\\."):
            GenerateOptions(scheduler=name)
    for name in ("Euler KL Optimal", "dpmpp_2m linear_quadratic"):
        with pytest.raises(PezError, match=r"no schedule.*there are karras"):
            GenerateOptions(scheduler=name)
    with pytest.raises(PezError, match="unknown scheduler 'fastest'"):
        GenerateOptions(scheduler="fastest")
    assert GenerateOptions(scheduler="DPM++ 2M Karras").scheduler == "dpm++_karras"
    assert all(parts_of(name) == (name, "") for name in SCHEDULERS)


def test_break_ends_a_chunk(painter: Painter) -> None:
    found = painter.encoding.read(f"{TEXT} BREAK a fish")
    assert isinstance(found, Encoded) and found.prompt.shape == found.negative.shape
    for n, text in enumerate((TEXT, "a fish")):
        own = painter.encoding._own(text).prompt
        part = found.prompt[:, n * own.shape[1] : (n + 1) * own.shape[1]]
        torch.testing.assert_close(part, own, atol=1e-5, rtol=1e-4)
    assert painter.encoding.read("a BREAKFAST") == "a BREAKFAST"


def test_plain_brackets_and_times_stay_what_they_are(painter: Painter) -> None:
    assert [(f.text, f.weight) for f in parse_weights("open (12:30)")] == [
        ("open ", 1.0),
        ("12:30", 1.1),
    ]
    assert parse_weights("(year 1984:1.3)")[0].weight == 1.3
    assert painter.encoding.read(r"a \[red\] {boot} \{a\|b\}") == "a [red] {boot} {a|b}"
    assert isinstance(painter.encoding.read("at [12:30]"), Encoded)  # a weaker time, no step


def test_weights_without_bound_are_refused() -> None:
    for text in ("(" * 400 + "a boot", "(a boot:100000)"):
        with pytest.raises(PezError, match=r"'a boot' has the weight .*, and 1000 is the most"):
            parse_weights(text)
    assert parse_weights("[" * 400 + "a")[0].weight < 1e-10


def test_and_is_told_to_be_a_word_where_it_is_one(painter: Painter) -> None:
    painter.encoding.take_remarks()
    painter.encoding.read("a (cat AND a dog:1.1)")
    painter.encoding.read("AND a cat")
    painter.encoding.read("CATS AND DOGS")
    assert len(painter.encoding.take_remarks()) == 1
    assert painter.encoding.take_remarks() == []


def test_tags_of_loras_name_files_that_are_given() -> None:
    weights = lora_weights(("styles/Ink.safetensors=0.8", "owner/name"))
    assert without_tags("a cat <lora:ink:0.8> x <lora:name:1>", weights) == "a cat x "
    for tag in ("<lora:ink:0.5>", "<lora:other:1>"):
        with pytest.raises(PezError, match=r"--lora (ink|other)\.safetensors="):
            without_tags(tag, weights)
    assert without_tags("a <lora:ink:0.8:0.8>", weights) == "a "
    with pytest.raises(PezError, match="give one for all"):
        without_tags("<lora:ink:0.8:0.6>", weights)
    with pytest.raises(PezError, match=r"--hypernet x\.pt=1"):
        without_tags("<hypernet:x:1>", weights)


def test_clip_skip_reads_before_the_last_layers(painter: Painter) -> None:
    skipped = open_painter(options(clip_skip=2))
    pipe = painter.pipe
    ids = pipe.tokenizer(
        TEXT, padding="max_length", max_length=pipe.tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        states = pipe.text_encoder(ids, output_hidden_states=True).hidden_states
        norm = next(
            m for n, m in pipe.text_encoder.named_modules() if n.endswith("final_layer_norm")
        )
        torch.testing.assert_close(skipped.encoding._own(TEXT).prompt, norm(states[-2]))
    with pytest.raises(PezError, match="leaves none"):
        open_painter(options(clip_skip=50))


def test_a_picture_tells_the_whole_prompt_that_was_drawn(tmp_path: Path) -> None:
    own = options(
        template="a sketch of {}", scheduler="DPM++ 2M Karras", clip_skip=2, lora=("x/ink.pt=0.8",)
    )
    path = tmp_path / "p.png"
    save_picture(Image.new("RGB", (8, 8)), path, "a cat", 3, make_setup(own).settings)
    with Image.open(path) as picture:
        told = picture.text["parameters"]  # type: ignore[attr-defined]
    assert told.startswith("a sketch of a cat <lora:ink:0.8>\n")
    assert "Sampler: DPM++ 2M, Schedule type: Karras" in told and "Clip skip: 2" in told


def test_a_user_comment_is_read_in_either_byte_order(tmp_path: Path) -> None:
    told = "ein süßer кот\nSteps: 1, Seed: 3, Size: 64x64"
    for order in ("utf-16-be", "utf-16-le"):
        exif = Image.Exif()
        exif.get_ifd(EXIF)[COMMENT] = b"UNICODE\0" + told.encode(order)
        Image.new("RGB", (8, 8)).save(tmp_path / "p.jpg", exif=exif)
        assert read_parameters(tmp_path / "p.jpg").prompt == "ein süßer кот"
