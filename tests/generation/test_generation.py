"""Prompts become pictures: each by its own prompt and seed, texts and soft prompts alike."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import MINI, TEXT, options, save_sd3, save_sdxl

import pez
from pez.errors import PezError
from pez.generation import GenerateOptions, Painter, open_painter
from pez.generation.additions import SCHEDULERS, set_scheduler
from pez.generation.encoding import Encoded, Encoding
from pez.generation.pipelines import make_setup
from pez.models import Reader
from pez.models.generators import GENERATORS, find_generator, weights_digest

diffusers: Any = importlib.import_module("diffusers")


@pytest.fixture(scope="module")
def painter() -> Painter:
    return open_painter(options())


@pytest.fixture(scope="module")
def rows(mini: Reader) -> torch.Tensor:
    """mini's own embeddings of the words of TEXT."""
    return mini.table[torch.tensor(mini.tokens.encode(TEXT))].clone()


def far(a: Image.Image, b: Image.Image) -> int:
    """The largest difference of two pictures, 0 to 255."""
    assert a.size == b.size
    return int(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).max())


def test_a_plain_prompt_is_drawn_exactly_as_diffusers_draws_it(painter: Painter) -> None:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(MINI, dtype=torch.float32)
    seeds = [torch.Generator().manual_seed(s) for s in (3, 4)]
    own = pipe([TEXT, "a fish"], num_inference_steps=2, guidance_scale=4.0, generator=seeds)
    found = painter.paint([TEXT, "a fish"], [3, 4])
    assert [far(a, b) for a, b in zip(found, own.images, strict=True)] == [0, 0]


def test_a_picture_does_not_depend_on_its_neighbours(painter: Painter, rows: torch.Tensor) -> None:
    prompts = [TEXT, "a (fish:1.4)", rows, rows, "cat " * 40, TEXT]
    seeds = [0, 1, 2, 0, 0, 5]
    together = painter.paint(prompts, seeds)
    for n in (1, 3, 4, 5):
        assert far(together[n], painter.paint([prompts[n]], [seeds[n]])[0]) <= 1
    assert far(together[0], together[5]) > 20  # other seeds draw other pictures


def test_pictures_come_whole_and_in_order_where_memory_is_short(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sizes, places, steps = painter._draw, [], [], []

    def short(prompts, *rest):  # type: ignore[no-untyped-def]
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.cuda.OutOfMemoryError
        return real(prompts, *rest)

    monkeypatch.setattr(painter, "_draw", short)
    found = painter.paint(
        [TEXT] * 3,
        [0, 1, 2],
        done=lambda n, _: places.append(n),
        progress=lambda a, b: steps.append((a, b)),
    )
    monkeypatch.undo()
    assert (sizes, places) == ([3, 1, 1, 1], [0, 1, 2])
    assert steps == [(n, 6) for n in range(1, 7)]
    assert max(far(a, b) for a, b in zip(found, painter.paint([TEXT] * 3, [0, 1, 2]))) <= 1  # noqa: B905


def test_a_soft_prompt_of_a_texts_own_rows_draws_the_very_same_picture(
    painter: Painter, rows: torch.Tensor
) -> None:
    text, soft = painter.paint([TEXT, rows], [7, 7])
    assert far(text, soft) <= 1
    other = painter.paint([rows.flip(0)], [7])[0]
    assert far(text, other) > 1


def test_a_soft_prompt_stands_where_the_template_has_room(
    painter: Painter, rows: torch.Tensor
) -> None:
    framed = Encoding(painter.pipe, template="a photo of {}, oil painting").read(rows)
    assert isinstance(framed, Encoded)
    own = painter.encoding._own(f"a photo of {TEXT}, oil painting")
    torch.testing.assert_close(framed.prompt, own.prompt)
    torch.testing.assert_close(framed.negative, own.negative)
    with pytest.raises(PezError, match="30"):
        painter.encoding.read(rows.repeat(20, 1))
    with pytest.raises(PezError, match=r"\(tokens, 192\)"):
        painter.encoding.read(rows[:, :50])


def test_a_weight_moves_its_own_word_alone(painter: Painter) -> None:
    plain = painter.encoding._own("a red boot").prompt
    strong = painter.encoding.read("a (red:1.5) boot")
    weak = painter.encoding.read("a (red:0.5) boot")
    gone = painter.encoding.read("a (red:0) boot")
    assert isinstance(strong, Encoded) and isinstance(weak, Encoded) and isinstance(gone, Encoded)
    moved = (strong.prompt - plain).abs().amax(-1)[0]
    assert moved[2] > 0.05
    assert moved[[0, 1, *range(3, 32)]].max() < 1e-4
    # a weaker word is a blend with the text that lacks it
    behind = slice(3, None)
    half = (plain + gone.prompt)[:, behind] / 2
    torch.testing.assert_close(weak.prompt[:, behind], half, atol=1e-3, rtol=1e-3)
    assert (gone.prompt - plain)[:, behind].abs().max() > 0.05
    assert painter.encoding.read("a (red:1.0) \\(boot\\)") == "a red (boot)"
    literal = Encoding(painter.pipe, literal=True)
    assert literal.read("a (red:1.5) boot") == "a (red:1.5) boot"


def test_a_long_prompt_is_read_to_its_end(painter: Painter) -> None:
    long = "a red boot and a fish on blue " * 5
    found = painter.encoding.read(long + "dragon")
    other = painter.encoding.read(long + "crown")
    assert isinstance(found, Encoded) and isinstance(other, Encoded)
    assert found.prompt.shape == found.negative.shape == (1, 64, 192)
    assert (found.prompt - other.prompt).abs().max() > 0.1
    start = painter.encoding._own(("a red boot and a fish on blue " * 4)[:-1]).prompt
    torch.testing.assert_close(found.prompt[:, :20], start[:, :20], atol=1e-4, rtol=1e-4)


def test_negative_prompts_are_read_like_prompts(painter: Painter) -> None:
    plain = Encoding(painter.pipe, negative="a fish")
    assert plain.read(TEXT) == TEXT and plain.negative == "a fish"
    weighted = Encoding(painter.pipe, negative="a (fish:1.5)").read(TEXT)
    assert isinstance(weighted, Encoded)
    torch.testing.assert_close(weighted.prompt, painter.encoding._own(TEXT).prompt)
    fish = painter.encoding._own("a fish").prompt
    moved = (weighted.negative - fish).abs().amax(-1)[0]
    assert moved.argmax() == 2 and moved[2] > 0.05


def test_every_scheduler_keeps_the_noise_schedule(painter: Painter) -> None:
    before = painter.pipe.scheduler
    keep = ("beta_start", "beta_end", "beta_schedule", "prediction_type")
    try:
        for name in (n for n in SCHEDULERS if not n.startswith("flow")):
            painter.pipe.scheduler = before
            set_scheduler(painter.pipe, name)
            assert type(painter.pipe.scheduler).__name__ == SCHEDULERS[name][0]
            assert all(painter.pipe.scheduler.config[k] == before.config[k] for k in keep)
        set_scheduler(painter.pipe, "DPM++")
        assert painter.paint([TEXT], [0])[0].size == (64, 64)
        with pytest.raises(PezError, match="ddim, ddpm"):
            set_scheduler(painter.pipe, "fastest")
        with pytest.raises(PezError, match="does not fit"):
            set_scheduler(painter.pipe, "flow_euler")
    finally:
        painter.pipe.scheduler = before
    for kind, _ in SCHEDULERS.values():
        assert hasattr(importlib.import_module("diffusers"), kind)


def test_sdxl_reads_weights_and_soft_prompts_with_both_encoders(tmp_path: Path) -> None:
    painter = open_painter(options(generator=save_sdxl(tmp_path / "xl")))
    tables = [e.table.weight for e in painter.encoding._encoders]
    ids = painter.pipe.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    soft = torch.cat([table[ids] for table in tables], 1)
    text, same, strong, long = painter.paint([TEXT, soft, "a (red:3) boot", "boot " * 40], [1] * 4)
    assert far(text, same) <= 1
    assert min(far(text, strong), far(text, long)) > 0
    own, read = painter.encoding._own(TEXT), painter.encoding.read("(a:1.2) red boot")
    assert isinstance(read, Encoded) and own.pooled is not None and read.pooled is not None
    torch.testing.assert_close(read.pooled, own.pooled)
    assert not read.negative.any()  # SDXL's empty negative prompt is zero
    torch.testing.assert_close(read.prompt[:, 4:], own.prompt[:, 4:], atol=1e-5, rtol=1e-5)
    with pytest.raises(PezError, match=r"32 \+ 32"):
        painter.encoding.read(soft[:, :32])


def test_a_transformer_draws_too_and_tells_what_it_cannot_read(tmp_path: Path) -> None:
    painter = open_painter(options(generator=save_sd3(tmp_path / "sd3"), scheduler="flow_heun"))
    assert painter.paint([TEXT, r"\(a\) fish"], [0, 1])[0].size == (16, 16)
    said: list[str] = []
    words = painter.paint(["a (red:1.3) boot BREAK [x]", "a fish"], [0, 0], warn=said.append)[0]
    assert len(said) == 1 and "reads no weights" in said[0]
    literal = Encoding(painter.pipe, literal=True)
    assert painter.encoding.read("a (red:1.3) boot") == literal.read("a (red:1.3) boot")
    assert words.size == (16, 16)
    with pytest.raises(PezError, match="soft prompt"):
        painter.paint([torch.zeros(3, 64)], [0])
    with pytest.raises(PezError, match="does not fit"):
        set_scheduler(painter.pipe, "ddim")
    for name, kind in (("Euler", "FlowMatchEuler"), ("DPM++ 2M", "DPMSolverMultistep")):
        set_scheduler(painter.pipe, name)
        assert type(painter.pipe.scheduler).__name__.startswith(kind)
        assert painter.pipe.scheduler.config.get("use_flow_sigmas", True)
        assert painter.paint([TEXT], [0])[0].size == (16, 16)


def test_the_public_function_tells_prompt_seed_and_settings() -> None:
    found = pez.generate(
        [TEXT, "a fish"],
        **{k: getattr(options(), k) for k in ("generator", "device", "steps", "guidance")},
        count=2,
        seed=5,
    )
    assert [(p.prompt, p.seed) for p in found] == [
        (TEXT, 5),
        (TEXT, 6),
        ("a fish", 5),
        ("a fish", 6),
    ]
    assert found[0].settings["steps"] == 2 and found[0].settings["generator"] == "mini-sd"
    with pytest.raises(PezError, match="unknown option 'step'"):
        pez.generate(TEXT, step=3)


def test_names_lead_to_generators_and_wrong_ones_are_explained(tmp_path: Path) -> None:
    assert find_generator("SD1.5") == GENERATORS["sd15"]
    assert find_generator("stabilityai/stable-diffusion-xl-base-1.0").guidance == 5.0
    assert find_generator("someone/else").source == "someone/else"
    assert find_generator("mini-sd").folder == MINI
    for name in ("mini-ds", "sd99", "a/b/c", "x/model.safetensors"):
        with pytest.raises(PezError, match="not a generator"):
            find_generator(name)
    with pytest.raises(PezError, match="model_index"):
        find_generator(str(tmp_path))
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "pez.json").write_text('{"steps": 7, "guidance": 3.5, "size": 64}')
    setup = make_setup(GenerateOptions(generator=str(tmp_path), guidance=2.0))
    assert (setup.options.steps, setup.options.guidance, setup.options.width) == (7, 2.0, 64)
    digest = weights_digest(tmp_path)
    (tmp_path / "unet.safetensors").write_bytes(b"trained")
    assert weights_digest(tmp_path) != digest
    (tmp_path / "pez.json").write_text("[1]")
    with pytest.raises(PezError, match="not a generator card"):
        find_generator(str(tmp_path))


def test_weights_that_cannot_be_had_are_no_silent_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PezError, match=r"stable-diffusion-v1-5.*--generator mini-sd"):
        open_painter(options(generator="sd15"))
