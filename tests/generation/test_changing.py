"""Prompts that change between steps or are added up are drawn as A1111's web UI defines them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import TEXT, options, save_sd3, save_sdxl

from pez.errors import PezError
from pez.generation import Painter, open_painter
from pez.generation.changing import changing
from pez.generation.encoded import Course, Encoded
from pez.generation.pipelines import with_options
from pez.generation.schedule import Part, changes, parts_of_sum, texts_of

OTHER = "a large castle on green"
STEPS = 4


@pytest.fixture(scope="module")
def painter() -> Painter:
    return open_painter(options(steps=STEPS))


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    folder = save_sdxl(tmp_path_factory.mktemp("xl"))
    painter = open_painter(options(generator=folder, steps=STEPS, width=16, height=16))
    for name, weights in painter.pipe.unet.named_parameters():
        if "attn2" in name or "add_embedding" in name:
            weights.data *= 5  # so that prompts are seen, which random weights hardly read
    for encoder in (painter.pipe.text_encoder, painter.pipe.text_encoder_2):
        encoder.get_input_embeddings().weight.data *= 50
    return painter


def drawn(painter: Painter, prompt: str, **more: Any) -> Image.Image:
    (picture,) = painter.paint([prompt], [3], **more)
    return picture


def off(a: Image.Image, b: Image.Image) -> int:
    """The largest difference of two pictures, of 255."""
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


# ---- the texts


@pytest.mark.parametrize(
    ("prompt", "runs"),
    [  # of ten steps; the examples are those of the web UI's own parser
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (7, "a b")]),
        ("a [b: 3]", [(3, "a "), (7, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (8, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (7, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (9, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (1, "ace"), (8, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (5, "a b c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (7, "((a][:b:c d")]),
        ("[fe|]male", [(1, "female"), (1, "male")] * 5),
        ("[a::0.2]", [(2, "a"), (8, "")]),
        (r"\[a:b:3\] [12:30]", [(10, r"\[a:b:3\] [12:30]")]),
    ],
)
def test_a_prompt_has_a_text_for_each_step(prompt: str, runs: list[tuple[int, str]]) -> None:
    assert list(texts_of(prompt, 10)) == [text for count, text in runs for _ in range(count)]
    assert bool(changes(prompt)) == (len(runs) > 1)


def test_a_sum_has_parts_with_weights() -> None:
    assert parts_of_sum("a :1.2 AND b:-.5 AND at 12:30") == [
        Part("a", 1.2),
        Part("b", -0.5),
        Part("at 12:30"),
    ]
    for whole in ("a cat", "CATS AND DOGS", "(a AND b:1.2)", "AND a", "a BRAND"):
        assert parts_of_sum(whole) == [Part(whole)]
    with pytest.raises(PezError, match="no words"):
        parts_of_sum("a AND :0.5 AND b")


# ---- the pictures


@pytest.mark.parametrize(
    "prompt",
    [f"[{OTHER}:{TEXT}:0]", f"[{TEXT}:{OTHER}:1.0]", f"[{TEXT}:{OTHER}:4]", f"[{TEXT}|{TEXT}]"],
)
def test_one_text_at_all_steps_is_the_plain_prompt(prompt: str, painter: Painter) -> None:
    assert drawn(painter, prompt).tobytes() == drawn(painter, TEXT).tobytes()


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_a_change_is_that_of_diffusers_callback(kind: str, painter: Painter, xl: Painter) -> None:
    here = painter if kind == "sd" else xl
    later, pipe = here.encoding._own(OTHER), here.pipe
    names = {"prompt_embeds": (later.negative, later.prompt)}
    if kind == "xl":
        names["add_text_embeds"] = (later.negative_pooled, later.pooled)  # type: ignore[assignment]

    def change(_pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 1:
            tensors |= {name: torch.cat(pair) for name, pair in names.items()}
        return tensors

    with torch.no_grad():
        own = pipe(
            TEXT,
            num_inference_steps=STEPS,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(3),
            callback_on_step_end=change,
            **({"width": 16, "height": 16} if kind == "xl" else {}),
        ).images[0]
    assert drawn(here, f"[{TEXT}:{OTHER}:0.5]").tobytes() == own.tobytes()
    assert off(own, drawn(here, TEXT)) and off(own, drawn(here, OTHER))


def test_each_pass_of_a_two_pass_sampler_belongs_to_its_step() -> None:
    heun = open_painter(options(steps=STEPS, scheduler="heun"))
    read: list[int] = []
    own = heun.encoding.read(OTHER, STEPS)
    assert own == OTHER
    later = heun.encoding._own(OTHER).prompt

    def look(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        read.append(int(torch.equal(kwargs["encoder_hidden_states"][1:], later)))

    handle = heun.pipe.unet.register_forward_pre_hook(look, with_kwargs=True)
    drawn(heun, f"[{TEXT}:{OTHER}:2]")
    handle.remove()
    # the hook above was there first, so it sees what the pipeline gives: the start
    assert len(read) == 2 * STEPS - 1 and not any(read)
    seen: list[int] = []
    forward = heun.pipe.unet.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(int(torch.equal(kwargs["encoder_hidden_states"][1:], later)))
        return forward(*args, **kwargs)

    heun.pipe.unet.forward = spy
    drawn(heun, f"[{TEXT}:{OTHER}:2]")
    assert seen == [0, 0, 0, 0, 1, 1, 1]


def test_a_sum_guides_by_each_part(painter: Painter, xl: Painter) -> None:
    for here in (painter, xl):
        more = {} if here is painter else {"generator": xl.options.generator}
        size = {} if here is painter else {"width": 16, "height": 16}
        strong = with_options(here, options(steps=STEPS, guidance=6.0, **more, **size))
        assert off(drawn(here, f"{TEXT} AND {TEXT} :0.5"), drawn(strong, TEXT)) <= 1
        assert off(drawn(here, f"{TEXT} AND {OTHER} :0"), drawn(here, TEXT)) <= 1
        assert off(drawn(here, f"{TEXT} AND {OTHER}"), drawn(here, TEXT)) > 1


def test_rows_of_a_batch_keep_their_own_course(painter: Painter) -> None:
    prompts = [f"[{TEXT}:{OTHER}:2]", f"[{OTHER}|{TEXT}]", f"{TEXT} AND {OTHER}"]
    prompts += [f"{TEXT} AND [{OTHER}:a:1] :.5", TEXT]
    together = painter.paint(prompts, [3] * len(prompts))
    for prompt, picture in zip(prompts, together, strict=True):
        assert off(picture, drawn(painter, prompt)) <= 1


def test_long_and_weighted_texts_change_and_add_up(painter: Painter) -> None:
    long = " ".join(["a (red:1.3) boot on green"] * 12)
    assert off(drawn(painter, f"[{long}:{TEXT}:2]"), drawn(painter, TEXT))
    assert off(drawn(painter, f"{long} AND {TEXT} BREAK {OTHER}"), drawn(painter, TEXT))


def test_the_negative_prompt_changes_too(painter: Painter) -> None:
    plain = with_options(painter, options(steps=STEPS, negative=OTHER))
    same = with_options(painter, options(steps=STEPS, negative=f"[{OTHER}:a:1.0]"))
    other = with_options(painter, options(steps=STEPS, negative=f"[{OTHER}:{TEXT}:2]"))
    assert drawn(plain, TEXT).tobytes() == drawn(same, TEXT).tobytes()
    assert off(drawn(plain, TEXT), drawn(other, TEXT))


def test_literal_prompts_do_not_change(painter: Painter) -> None:
    literal = with_options(painter, options(steps=STEPS, literal=True))
    text = "[a:b:0.5] {c|d} e AND f"
    assert literal.encoding.read(text, STEPS) == text
    assert literal.said(text, 3) == text


# ---- what cannot be drawn


def test_a_sum_without_guidance_is_refused(painter: Painter) -> None:
    weak = with_options(painter, options(steps=STEPS, guidance=1.0))
    with pytest.raises(PezError, match="raise --guidance"):
        drawn(weak, "a AND b")
    assert not painter.pipe.unet._forward_hooks and not painter.pipe.unet._forward_pre_hooks


def test_a_sum_with_a_controlnet_is_refused_and_leaves_no_hook(painter: Painter) -> None:
    course = painter.encoding.read("a AND b", STEPS)
    assert isinstance(course, Course)
    pipe = SimpleNamespace(unet=torch.nn.Identity(), controlnet=torch.nn.Identity())
    with pytest.raises(PezError, match="not drawn with --control"), changing(pipe, [course]):
        pass
    assert not pipe.unet._forward_pre_hooks and not pipe.controlnet._forward_pre_hooks


def test_a_pipeline_that_reads_once_refuses_changes(tmp_path: Path) -> None:
    sd3 = open_painter(options(generator=save_sd3(tmp_path / "sd3")))
    for prompt in ("[cat:dog:0.5]", "a [fish:10]", "[cat|dog] x", "[(a:1.2):b:.3]"):
        with pytest.raises(PezError, match="write one prompt for each, or give --literal"):
            sd3.encoding.read(prompt, 2)
    sd3.encoding.read("a AND b")
    assert "AND is read as a word" in sd3.encoding.take_remarks()[0]


def test_brackets_without_end_are_an_error(painter: Painter) -> None:
    with pytest.raises(PezError, match="brackets within brackets"):
        painter.encoding.read("[a:" * 60 + "b" + ":1]" * 60, STEPS)
    assert isinstance(painter.encoding.read("[" * 3000 + "a", STEPS), Encoded)


def test_one_reading_of_a_prompt_that_changes_is_refused(painter: Painter) -> None:
    for prompt in ("[cat:dog:0.5]", "a AND b"):
        with pytest.raises(PezError, match="leave"):
            painter.encoding.parts(prompt)
