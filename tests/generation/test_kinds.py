"""Drawing from pictures and with additions, on the small shipped pipeline's real classes."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from common import drawn
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import save_file
from tiny_pipelines import MINI, TEXT, options, save_sdxl
from torch import Tensor

from pez.cli.generate import read_prompts
from pez.errors import PezError
from pez.generation import GenerateOptions, Painter, open_painter
from pez.generation.control import condition, control_model

diffusers: Any = importlib.import_module("diffusers")


@pytest.fixture(scope="module")
def plain() -> Painter:
    return open_painter(options())


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 64 by 96 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "p.png"
    drawn(1).resize((64, 96)).save(path)
    return path


def far(a: Image.Image, b: Image.Image) -> float:
    """The mean difference of two pictures, 0 to 255."""
    assert a.size == b.size
    return float(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean())


def test_a_strength_that_leaves_no_step_is_refused(picture: Path) -> None:
    painter = open_painter(options(image=str(picture), strength=0.03, steps=20))
    with pytest.raises(PezError, match=r"leaves none of 20 steps; give 0\.05 or more"):
        painter.paint([TEXT], [0])
    enough = open_painter(options(image=str(picture), strength=0.34, steps=3))
    assert len(enough.paint([TEXT], [0])) == 1


def test_little_strength_stays_near_the_picture(picture: Path) -> None:
    more = {"image": str(picture), "width": 64, "height": 96}
    near = open_painter(options(**more, strength=0.1, steps=10))
    wild = open_painter(options(**more, strength=1.0, steps=2))
    start = near.pictures["image"]
    assert start.size == (64, 96)
    (a, b), (c,) = near.paint([TEXT, "a (fish:1.3)"], [0, 1]), wild.paint([TEXT], [0])
    assert type(near.pipe).__name__ == "StableDiffusionImg2ImgPipeline"
    assert max(far(start, a), far(start, b)) < far(start, c)


def test_inpainting_keeps_what_the_mask_leaves_to_the_pixel(picture: Path, tmp_path: Path) -> None:
    mask = Image.new("L", (64, 96))
    mask.paste(255, (16, 16, 48, 48))
    mask.save(tmp_path / "mask.png")
    more = {"image": str(picture), "mask": str(tmp_path / "mask.png"), "strength": 1.0}
    painter = open_painter(options(generator=save_sdxl(tmp_path / "xl"), **more))
    assert "Inpaint" in type(painter.pipe).__name__
    before = np.asarray(painter.pictures["image"])
    inside = np.asarray(mask) > 0
    for found in painter.paint([TEXT, "a (fish:1.3)"], [0, 1]):
        after = np.asarray(found)
        assert (before[~inside] == after[~inside]).all()
        assert (before[inside] != after[inside]).any(-1).mean() > 0.9
    assert "Inpaint" not in type(open_painter(options(**more)).pipe).__name__, (
        "ours for 32 channels"
    )


def test_a_picture_is_brought_to_the_generators_size(tmp_path: Path) -> None:
    folder = tmp_path / "sized"
    shutil.copytree(MINI, folder)
    (folder / "pez.json").write_text('{"steps": 2, "guidance": 4.0, "size": 64}')
    drawn(0).resize((800, 400)).save(tmp_path / "wide.png")
    painter = open_painter(options(generator=str(folder), image=str(tmp_path / "wide.png")))
    assert painter.paint([TEXT], [0])[0].size == (96, 48)
    assert painter.options.steps == 2


def save_control(plain: Painter, folder: Path, loud: bool) -> str:
    """A ControlNet for the small U-Net: as it begins training, or with an effect."""
    torch.manual_seed(0)
    net = diffusers.ControlNetModel.from_unet(plain.pipe.unet)
    if loud:
        convolutions = [net.controlnet_mid_block, *net.controlnet_down_blocks]
        for part in (*convolutions, net.controlnet_cond_embedding.conv_out):
            torch.nn.init.normal_(part.weight)  # type: ignore[arg-type]
    net.save_pretrained(folder)
    return str(folder)


def test_a_controlnet_that_has_learned_nothing_changes_nothing(
    plain: Painter, picture: Path, tmp_path: Path
) -> None:
    name = save_control(plain, tmp_path / "still", loud=False)
    more = {"control": str(picture), "control_model": name, "width": 64, "height": 64}
    found = open_painter(options(**more)).paint([TEXT], [0])[0]
    assert far(found, plain.paint([TEXT], [0])[0]) < 0.1


def test_a_controlnet_steers_by_its_picture(plain: Painter, picture: Path, tmp_path: Path) -> None:
    name = save_control(plain, tmp_path / "loud", loud=True)
    blank = tmp_path / "blank.png"
    Image.new("RGB", (64, 96)).save(blank)
    seen = []
    for path in (picture, blank, picture):
        more = {"control": str(path), "control_model": name, "control_kind": "ready"}
        painter = open_painter(options(**more))
        seen.append(painter.paint([TEXT, "a (fish:1.2)"], [0, 0])[0])
    assert far(seen[0], seen[2]) == 0
    assert far(seen[0], seen[1]) > 0.01
    both = open_painter(options(control=str(picture), control_model=name, image=str(picture)))
    assert "ControlNetImg2Img" in type(both.pipe).__name__
    assert both.paint([TEXT], [0])[0].size == both.pictures["control"].size


def test_edges_and_sketches_lie_where_the_shapes_end() -> None:
    square = Image.new("RGB", (64, 64), "white")
    square.paste((30, 30, 160), (16, 16, 48, 48))
    border = np.zeros((64, 64), bool)
    border[10:54, 10:54] = True
    border[28:36, 28:36] = False
    for kind in ("edge", "sketch"):
        lines = np.asarray(condition(square, kind, "", "cpu").convert("L")) > 0
        assert lines.sum() > 100 and not (lines & ~border).any()
    edges = np.asarray(condition(square, "edge", "", "cpu"))[..., 0]
    assert (cv2.Canny(np.asarray(square), 100, 200) == edges).all()
    assert condition(square, "ready", "", "cpu") is square


def test_control_models_are_known_or_asked_for() -> None:
    assert "canny" in control_model("sd15", "edge", "")
    assert control_model("sd15", "edge", "me/mine") == "me/mine"
    with pytest.raises(PezError, match="--control-model"):
        control_model("mini-sd", "edge", "")
    with pytest.raises(PezError, match="edge, sketch, depth, ready"):
        control_model("sd15", "colour", "")


def test_depth_without_its_model_says_what_to_do(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Painter
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = save_control(plain, tmp_path / "still", loud=False)
    more = {"control": str(picture), "control_model": name, "control_kind": "depth"}
    with pytest.raises(PezError, match="Depth-Anything"):
        open_painter(options(**more))


def test_depth_is_seen_by_any_model_of_its_kind(tmp_path: Path) -> None:
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        reassemble_factors=[4, 2, 1, 0.5],
    )
    DPTForDepthEstimation(config).save_pretrained(tmp_path)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    found = condition(drawn(0), "depth", str(tmp_path), "cpu")
    assert found.size == drawn(0).size and found.mode == "RGB"
    assert (np.asarray(found).min(), np.asarray(found).max()) == (0, 255)


def save_lora(folder: Path, seed: int) -> Path:
    """A LoRA of the small U-Net's attention with random weights."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(MINI, dtype=torch.float32)
    torch.manual_seed(seed)
    kind = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    pipe.unet.add_adapter(kind)
    layers = get_peft_model_state_dict(pipe.unet)
    name = f"style{seed}.safetensors"
    diffusers.StableDiffusionPipeline.save_lora_weights(folder, layers, weight_name=name)
    return folder / name


def test_loras_count_by_their_weights(plain: Painter, tmp_path: Path) -> None:
    one, two = save_lora(tmp_path, 1), save_lora(tmp_path, 2)
    own = plain.paint([TEXT], [0])[0]
    seen = {}
    for weights in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)):
        loras = tuple(f"{path}={w}" for path, w in zip((one, two), weights, strict=True))
        seen[weights] = open_painter(options(lora=loras)).paint([TEXT], [0])[0]
    assert far(seen[0.0, 0.0], own) < 0.1
    assert far(seen[1.0, 0.0], own) > 0.1
    assert far(seen[1.0, 1.0], seen[1.0, 0.0]) > 0.1
    alone = open_painter(options(lora=(str(one),))).paint([TEXT], [0])[0]
    assert far(alone, seen[1.0, 0.0]) < 0.1


@pytest.mark.parametrize("name", ["no.safetensors", "style.pt", "./style", "loras/art/style", "a"])
@pytest.mark.parametrize("option", ["lora", "embedding"])
def test_a_missing_file_is_not_asked_of_the_hub(option: str, name: str) -> None:
    given: dict[str, Any] = {option: (name,)}
    with pytest.raises(PezError, match=f"--{option} {name} does not exist"):
        open_painter(GenerateOptions(generator="mini-sd", device="cpu", **given))


@pytest.mark.parametrize("asked", [{"width": 96}, {"height": 32}])
def test_one_side_that_is_asked_for_is_drawn(asked: dict[str, Any]) -> None:
    options = GenerateOptions(generator="mini-sd", device="cpu", steps=1, **asked)
    sizes: list[tuple[int, int]] = []
    painter = open_painter(options)
    painter.paint(["a cat"], [0], done=lambda _, picture: sizes.append(picture.size))
    assert sizes == [(asked.get("width", 64), asked.get("height", 64))]


def test_a_lora_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    save_file({"unet.nowhere.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "odd.safetensors")
    with pytest.raises(PezError, match=r"odd\.safetensors"):
        open_painter(options(lora=(str(tmp_path / "odd.safetensors"),)))
    with pytest.raises(PezError, match="no usable weight"):
        open_painter(options(lora=(f"{tmp_path}/odd.safetensors=inf",)))


@pytest.fixture
def words(plain: Painter) -> Tensor:
    """The rows (2, w) of "red boot" in the generator's own table."""
    ids = plain.pipe.tokenizer("red boot", add_special_tokens=False)["input_ids"]
    return plain.pipe.text_encoder.get_input_embeddings().weight[ids].clone()


def test_a_learned_word_stands_for_its_vectors(
    plain: Painter, words: Tensor, tmp_path: Path
) -> None:
    save_file({"<both>": words}, tmp_path / "both.safetensors")
    save_file({"emb_params": words[1:]}, tmp_path / "shoe.safetensors")
    files = tuple(str(tmp_path / name) for name in ("both.safetensors", "shoe.safetensors"))
    painter = open_painter(options(embedding=files))
    assert {"<both>", "<shoe>"} <= set(painter.words)
    own = plain.paint([TEXT, "a (red boot:1.3)"], [0, 0])
    found = painter.paint(["a <both>", "a (<both>:1.3)", "a red <shoe>"], [0, 0, 0])
    assert max(far(own[0], found[0]), far(own[1], found[1]), far(own[0], found[2])) < 0.1


def test_a_broken_learned_word_is_explained(
    words: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    save_file({"clip_l": words, "clip_g": words.clone()}, tmp_path / "xl.safetensors")
    with pytest.raises(PezError, match="for SDXL"):
        open_painter(options(embedding=(str(tmp_path / "xl.safetensors"),)))
    with pytest.raises(PezError, match="not cached and cannot be downloaded"):
        open_painter(options(embedding=("nobody/nothing-at-all",)))


@pytest.mark.parametrize("name", ["x.pt", "learned_embeds.bin", "x.safetensors"])
@pytest.mark.parametrize("shape", [(192,), (2, 192)])
def test_soft_prompts_are_read_as_training_scripts_save_them(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    held = torch.nn.Parameter(torch.zeros(shape))
    file = tmp_path / name
    if name.endswith("safetensors"):
        save_file({"<x>": held.detach()}, file)
    else:
        torch.save({"<x>": held}, file)
    ((label, soft),) = read_prompts(str(file))
    assert "soft" in label and isinstance(soft, torch.Tensor)
    assert soft.shape == (1, 192) if len(shape) == 1 else soft.shape == shape
    assert not soft.requires_grad
