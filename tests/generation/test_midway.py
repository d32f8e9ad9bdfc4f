"""A drawing between its steps: previews, changes of prompt and guidance, waiting, masks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import options, save_flux, save_sd3, save_sdxl
from tiny_tokenizers import xlm_tokenizer

from pez.generation.frozen import Frozen
from pez.generation.midway import Change, Midway
from pez.generation.painter import Painter
from pez.generation.pipelines import open_painter, with_options

CASTLE, DRAGON = "a photo of a castle", "a sketch of a dragon on red"


@pytest.fixture(scope="module")
def painter() -> Painter:
    return open_painter(options(steps=6))


def drawn(painter: Painter, midway: Midway | None = None, **more: Any) -> np.ndarray:
    (picture,) = painter.paint([CASTLE], [3], midway=midway, **more)
    return np.asarray(picture, dtype=np.int64)


def by_hand(painter: Painter, prompts: list[str], guidances: list[float]) -> np.ndarray:
    """The picture of a prompt and a guidance for each step, as the sampler's equations say."""
    pipe = painter.pipe
    pipe.scheduler.set_timesteps(len(prompts))
    x = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for time, prompt, guidance in zip(
            pipe.scheduler.timesteps, prompts, guidances, strict=True
        ):
            read = painter.encoding.encoded(prompt)
            far, near = (
                pipe.unet(x, time, encoder_hidden_states=e).sample
                for e in (read.negative, read.prompt)
            )
            x = pipe.scheduler.step(far + guidance * (near - far), time, x).prev_sample
        pixels = pipe.vae.decode(x, return_dict=False)[0]
    return np.asarray(pipe.image_processor.postprocess(pixels)[0], dtype=np.int64)


def test_a_change_holds_from_its_step_on(painter: Painter) -> None:
    midway = Midway()

    def progress(done: int, _total: int) -> None:
        if done == 2:
            midway.change(prompt=DRAGON)
            midway.change(guidance=2.0)

    found = drawn(painter, midway, progress=progress)
    assert midway.changes == [Change(2, DRAGON, 2.0)] and not midway.refused
    expected = by_hand(painter, [CASTLE] * 2 + [DRAGON] * 4, [4.0] * 2 + [2.0] * 4)
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - drawn(painter)).max() > 20, "it is another picture"


def test_previews_change_nothing_and_come_nearer(painter: Painter) -> None:
    seen: list[np.ndarray] = []
    midway = Midway(show=lambda pictures: seen.append(np.asarray(pictures[0], dtype=np.int64)))
    found = drawn(painter, midway)
    assert (found == drawn(painter)).all()
    assert len(seen) >= 2
    gaps = [np.abs(one - found).mean() for one in seen]
    assert gaps[-1] < gaps[0]


def test_every_batch_takes_the_changes_at_the_same_steps(painter: Painter) -> None:
    def pictures(rows: int) -> list[np.ndarray]:
        few = with_options(painter, options(steps=6, count=3, rows=rows))
        midway = Midway(changes=[Change(2, DRAGON, 6.0)])
        found = few.paint([CASTLE] * 3, [0, 1, 2], midway=midway)
        return [np.asarray(one, dtype=np.int64) for one in found]

    for one, other in zip(pictures(3), pictures(1), strict=True):
        assert np.abs(one - other).max() <= 1


def test_a_guidance_of_one_is_none(painter: Painter) -> None:
    found = drawn(painter, Midway(changes=[Change(2, guidance=0.5)]))
    expected = by_hand(painter, [CASTLE] * 6, [4.0] * 2 + [1.0] * 4)
    assert np.abs(found - expected).max() <= 1


def test_a_drawing_waits_while_others_draw(painter: Painter) -> None:
    """Prompts, steps and guidance of others do not reach it, nor their places in the sampler."""
    alone = drawn(painter)
    waiting, onward = threading.Event(), threading.Event()
    found: list[np.ndarray] = []

    def progress(done: int, _total: int) -> None:
        if done == 3:
            waiting.set()
            assert onward.wait(60)

    own = with_options(painter, options(steps=6), own=True)
    thread = threading.Thread(target=lambda: found.append(drawn(own, progress=progress)))
    thread.start()
    assert waiting.wait(60)
    other = with_options(painter, options(steps=4, guidance=9.0), own=True)
    other.paint([DRAGON], [8])
    onward.set()
    thread.join(60)
    assert (found[0] == alone).all()


@pytest.mark.parametrize("save", [save_sdxl, save_sd3])
def test_other_kinds_change_too(save: Callable[[Path], str], tmp_path: Path) -> None:
    tiny = open_painter(options(generator=save(tmp_path / "tiny"), steps=4))
    seen: list[Any] = []
    plain = drawn(tiny, Midway(show=seen.append))
    assert seen and seen[0][0].size == (16, 16)
    for change in (Change(1, DRAGON), Change(1, guidance=9.0)):
        midway = Midway(changes=[change])
        assert (drawn(tiny, midway) != plain).any() and not midway.refused
    assert (drawn(tiny, Midway(changes=[Change(2, CASTLE, 4.0)])) == plain).all()


def test_a_pipeline_that_would_ignore_a_change_refuses_it(tmp_path: Path) -> None:
    generator = save_flux(tmp_path / "tiny", xlm_tokenizer(tmp_path / "t5"), tmp_path / "t5")
    tiny = open_painter(options(generator=generator, steps=3))
    midway = Midway()
    midway.change(guidance=2.0)
    found = drawn(tiny, midway)
    assert (
        midway.refused == ["FluxPipeline cannot change prompt or guidance midway; draw anew."]
        and not midway.changes
    )
    assert (found == drawn(tiny)).all()


def test_packed_latents_are_previewed(tmp_path: Path) -> None:
    generator = save_flux(tmp_path / "tiny", xlm_tokenizer(tmp_path / "t5"), tmp_path / "t5")
    tiny = open_painter(options(generator=generator, steps=6, width=32, height=16))
    seen: list[Image.Image] = []
    midway = Midway(show=lambda pictures: seen.extend(pictures))
    midway.halted = lambda: True  # after each step
    found = drawn(tiny, midway)
    assert (
        len(seen) == 5 and {one.size for one in seen} == {(32, 16)} and found.shape[:2] == (16, 32)
    )
    gaps = [np.abs(np.asarray(one, dtype=np.int64) - found).mean() for one in seen]
    assert gaps[-1] < gaps[0] and gaps[-1] < 3


def test_what_cannot_be_read_leaves_the_drawing_as_it_was(painter: Painter) -> None:
    midway = Midway()
    midway.change(prompt="[a:b:0.5]")
    assert (drawn(painter, midway) == drawn(painter)).all()
    assert midway.refused and not midway.changes


@pytest.fixture
def masked(tmp_path: Path, pictures: list[Image.Image]) -> dict[str, Any]:
    """A picture of 64 pixels, of which the right part is redrawn."""
    pictures[0].resize((64, 64)).save(tmp_path / "own.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (29, 0, 64, 64))
    mask.save(tmp_path / "mask.png")
    return {"image": str(tmp_path / "own.png"), "mask": str(tmp_path / "mask.png")}


def test_outside_a_mask_every_pixel_stays(masked: dict[str, Any]) -> None:
    own = np.asarray(Image.open(masked["image"]).convert("RGB"), dtype=np.int64)
    tiny = open_painter(options(**masked, steps=6, strength=1.0))
    seen: list[Image.Image] = []
    midway = Midway(show=lambda found: seen.extend(found))
    found = drawn(tiny, midway)
    for picture in (found, *(np.asarray(one, dtype=np.int64) for one in seen)):
        assert (picture[:, :29] == own[:, :29]).all()
    assert np.abs(found[:, 29:] - own[:, 29:]).mean() > 10


def test_frozen_latents_are_those_of_the_picture(painter: Painter, masked: dict[str, Any]) -> None:
    picture, mask = (Image.open(masked[name]) for name in ("image", "mask"))
    scheduler = painter.pipe.scheduler
    scheduler.set_timesteps(4)
    frozen = Frozen(painter.pipe, picture.convert("RGB"), mask, [3, 4])
    drawn = torch.full((2, 32, 8, 8), 7.0)
    out = [frozen.after_step(scheduler, time, drawn) for time in scheduler.timesteps]
    pixels = painter.pipe.vae.decode(out[-1], return_dict=False)[0]
    again = np.asarray(painter.pipe.image_processor.postprocess(pixels)[0], dtype=np.int64)
    own = np.asarray(picture.convert("RGB"), dtype=np.int64)
    assert np.abs(again[:, :24] - own[:, :24]).mean() < 8, "as the autoencoder knows it"
    for step in out:
        assert (step[..., 3:] == 7).all(), "a place that the mask touches is redrawn"
    apart = [float((step - out[-1])[..., :3].std()) for step in out]
    assert apart == sorted(apart, reverse=True), "less and less noise"


def test_a_prompt_that_changes_by_itself_takes_no_other_one(painter: Painter) -> None:
    midway = Midway()

    def progress(done: int, _total: int) -> None:
        if done == 2:
            midway.change(prompt=DRAGON)

    own = f"[{CASTLE}:{DRAGON}:3]"
    (found,) = painter.paint([own], [3], midway=midway, progress=progress)
    assert not midway.changes and "a text of its own for each step" in midway.refused[0]
    (alone,) = painter.paint([own], [3])
    assert found.tobytes() == alone.tobytes()
