"""What is no picture of its prompt is told; what a pipeline would ignore is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_pipelines import TEXT, options, save_sd

import pez
from pez.errors import PezError
from pez.generation import GenerateOptions, Painter, open_painter
from pez.generation.lora_files import check_lora
from pez.generation.steering import steering


@pytest.fixture
def painter() -> Painter:
    return open_painter(options())


def test_a_picture_without_numbers_is_none(painter: Painter) -> None:
    torch.nn.init.constant_(painter.pipe.unet.conv_out.weight, float("nan"))
    kept, lost = [], []
    painter.paint(
        [TEXT, TEXT],
        [0, 1],
        done=lambda n, _: kept.append(n),
        spoilt=lambda n, why: lost.append((n, why)),
    )
    assert kept == [] and [n for n, _ in lost] == [0, 1]
    assert "computed no numbers in float32" in lost[0][1]
    with pytest.raises(PezError, match="no picture of seed 0"):
        painter.paint([TEXT], [0])
    (drawing,) = pez.generate(TEXT, painter=painter)
    assert "no numbers" in drawing.flaw


def test_a_blackened_picture_is_none(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    real = painter.pipe.run_safety_checker

    def strict(image: Any, *rest: Any) -> Any:
        image, _ = real(image, *rest)
        image[1] = 0
        return image, [False, True]

    monkeypatch.setattr(painter.pipe, "run_safety_checker", strict)
    kept, lost = [], []
    painter.paint(
        [TEXT, TEXT],
        [0, 1],
        done=lambda n, _: kept.append(n),
        spoilt=lambda n, why: lost.append((n, why)),
    )
    assert kept == [0] and lost[0][0] == 1 and "safety checker blackened" in lost[0][1]


# ---- guidance and negative prompts


def of(call: Any, **config: Any) -> Any:
    """A pipeline that is called as ``call``, before a transformer with a configuration."""
    return SimpleNamespace(call=call, transformer=SimpleNamespace(config=config))


def qwen(prompt: str, negative_prompt=None, true_cfg_scale=4.0, guidance_scale=None) -> None: ...


def flux(prompt: str, negative_prompt=None, true_cfg_scale=1.0, guidance_scale=3.5) -> None: ...


def plain(prompt: str, negative_prompt: str = "", guidance_scale: float = 5.0) -> None: ...


def lcm(prompt: str, guidance_scale: float = 8.5) -> None: ...


def bare(prompt: str) -> None: ...


FLUX = of(flux, guidance_embeds=True)


@pytest.mark.parametrize(
    ("pipe", "asked", "negative", "numbers", "read"),
    [
        (of(qwen), {}, "", {"true_cfg_scale": 4.0}, " "),
        (of(qwen), {"guidance": 7.0}, "ugly", {"true_cfg_scale": 7.0}, "ugly"),
        (of(qwen), {"guidance": 1.0}, "", {"true_cfg_scale": 1.0}, ""),
        (FLUX, {"guidance": 2.0}, "", {"guidance_scale": 2.0}, ""),
        (FLUX, {"true_guidance": 2.0}, "ugly", {"true_cfg_scale": 2.0}, "ugly"),
        (FLUX, {}, "", {}, ""),
        (of(plain), {"guidance": 2.0}, "ugly", {"guidance_scale": 2.0}, "ugly"),
        (of(plain), {}, "ugly", {}, "ugly"),
        (of(bare), {}, "", {}, ""),
    ],
)
def test_guidance_reaches_each_pipeline_under_its_name(
    pipe: Any, asked: dict[str, float], negative: str, numbers: dict[str, float], read: str
) -> None:
    takes = inspect.signature(pipe.call).parameters
    found = steering(pipe, takes, "it", GenerateOptions(**asked), negative)  # type: ignore[arg-type]
    assert (found.numbers, found.negative) == (numbers, read)


@pytest.mark.parametrize(
    ("pipe", "asked", "negative", "why"),
    [
        (of(qwen), {"guidance": 1.0}, "ugly", "nothing steers"),
        (of(plain), {"guidance": 1.0}, "ugly", "nothing steers"),
        (FLUX, {}, "ugly", "--true-guidance"),
        (of(flux), {"guidance": 2.0}, "", "omit --guidance"),
        (of(plain), {"true_guidance": 2.0}, "", "give --guidance instead"),
        (of(lcm), {}, "ugly", "takes no negative prompt"),
        (of(bare), {"guidance": 2.0}, "", "takes no guidance"),
    ],
)
def test_what_would_do_nothing_is_refused(
    pipe: Any, asked: dict[str, float], negative: str, why: str
) -> None:
    takes = inspect.signature(pipe.call).parameters
    with pytest.raises(PezError, match=why):
        steering(pipe, takes, "it", GenerateOptions(**asked), negative)  # type: ignore[arg-type]


def test_a_weighted_prompt_is_refused_alike() -> None:
    painter = open_painter(options(guidance=1.0, negative="ugly"))
    for text in (TEXT, "a (red:1.3) boot"):
        with pytest.raises(PezError, match="nothing steers mini-sd"):
            painter.paint([text], [0])


# ---- files that are read in part


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["lora_unet_a.lora_up.weight", "lora_unet_a.dora_scale"], "is a DoRA"),
        (["lora_unet_a.hada_w1_a"], "LyCORIS file with LoHa"),
        (["lora_unet_a.lokr_w1"], "LyCORIS file with LoKr"),
        (["emb_params"], "give it as --embedding"),
        (["model.diffusion_model.out.0.weight"], "give it as --generator"),
        (["layer_structure", "activation_func"], "hypernetwork"),
        (["anything"], "holds no LoRA"),
    ],
)
@pytest.mark.parametrize("end", ["safetensors", "pt"])
def test_what_is_no_plain_lora_is_named(
    names: list[str], why: str, end: str, tmp_path: Path
) -> None:
    held = {name: torch.zeros(2) for name in names}
    path = tmp_path / f"x.{end}"
    save_file(held, path) if end == "safetensors" else torch.save(held, path)
    with pytest.raises(PezError, match=why):
        check_lora(path, "x")


def test_a_unet_that_needs_a_mask_says_so(tmp_path: Path) -> None:
    import diffusers

    folder = Path(save_sd(tmp_path / "sd"))
    unet: Any = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    config = dict(unet.config) | {"in_channels": 9}
    diffusers.UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")  # type: ignore[union-attr]
    with pytest.raises(PezError, match="draws only within a picture"):
        open_painter(options(generator=str(folder)))
    with pytest.raises(PezError, match=r"nothing\.safetensors is not a generator: there is no"):
        open_painter(options(generator=str(tmp_path / "nothing.safetensors")))
