"""Every published pair of open_clip is built as open_clip builds it for that tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from tiny_hub import QUICK, TinyHub
from torch import nn

from pez.errors import PezWarning
from pez.models import load_model, model_tokens
from pez.models.build import build_model
from pez.models.families import catalogue
from pez.models.generators import DEFAULT
from pez.models.identity import identity
from pez.models.openclip import OpenClip

PAIRS = open_clip.list_pretrained()
TEXTS = ["A Photo of the CAT's_tail!", "the cat, the dog", ""]  # show how a tokenizer cleans
DISAGREED = "roberta-ViT-B-32"  # QuickGELU by its architecture, not by its tag

pytestmark = pytest.mark.filterwarnings(f"ignore:{DISAGREED}", "ignore:QuickGELU mismatch")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyHub]:
    with pytest.MonkeyPatch.context() as patch:
        yield TinyHub(tmp_path_factory.mktemp("hub"), patch)


def load(architecture: str, tag: str) -> OpenClip:
    reader = load_model(f"{architecture}/{tag}", "cpu")
    assert isinstance(reader, OpenClip)
    return reader


def activations(model: nn.Module) -> set[type]:
    """Of the blocks of open_clip's own towers, of text and of pictures."""
    blocks = [m for m in model.modules() if isinstance(m, ResidualAttentionBlock)]
    return {type(block.mlp.gelu) for block in blocks}


def test_the_default_model_and_another_trained_otherwise(hub: TinyHub) -> None:
    """The table of all pairs, one line each."""
    quick = hub.publish(*DEFAULT.split("/")), hub.publish("ViT-L-14", "laion2b_s32b_b82k")
    assert activations(load(*DEFAULT.split("/")).model) == {QuickGELU}
    plain = load("ViT-L-14", "laion2b_s32b_b82k")
    assert activations(plain.model) == {nn.GELU}
    assert tuple(plain.transform.transforms[-1].mean) == (0.5, 0.5, 0.5)
    for file in quick:
        file.unlink()


def test_a_file_of_weights_has_the_activation_that_its_architecture_names(hub: TinyHub) -> None:
    file = str(hub.weights("ViT-B-32"))
    with pytest.warns(PezWarning, match="ViT-B-32-quickgelu"):
        assert activations(load("ViT-B-32", file).model) == {nn.GELU}
    assert activations(load("ViT-B-32-quickgelu", file).model) == {QuickGELU}  # and no warning


def mapped(model: nn.Module) -> set[str]:
    """The files whose pages hold weights; "" for memory of the model's own."""
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, rest = line.partition(" ")
        first, last = (int(number, 16) for number in span.split("-"))
        spans.append((first, last, rest.split()[-1] if "/" in rest else ""))
    places = [p.data_ptr() for p in model.parameters()]
    return {file for first, last, file in spans if any(first <= p < last for p in places)}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells")
def test_weights_of_the_hubs_cache_are_read_in_place_and_those_of_the_users_copied(
    hub: TinyHub,
) -> None:
    """A user may write a file anew while its model is searched; the cache's never change."""
    tag = open_clip.list_pretrained_tags_by_model("ViT-B-32")[-1]
    published = hub.publish("ViT-B-32", tag)
    cached, copied = load("ViT-B-32", tag).model, build_model("ViT-B-32", str(published))
    named = dict(copied.named_parameters())
    for name, weight in cached.named_parameters():
        assert torch.equal(weight, named[name])
    assert mapped(cached) == {str(published.resolve())}
    assert mapped(copied) == {""}
    published.unlink()


def test_a_hub_model_is_built_as_its_own_file_says(hub: TinyHub) -> None:
    snapshot = hub.snapshot("some/body")
    pictures = {"mean": [0.1, 0.2, 0.3], "std": [0.4] * 3, "interpolation": "bilinear"}
    pictures |= {"resize_mode": "squash", "size": 7}  # the tower knows its size better
    made = {"model_cfg": hub.small("ViT-B-32") | {"quick_gelu": True}, "preprocess_cfg": pictures}
    (snapshot / "open_clip_config.json").write_text(json.dumps(made))
    (snapshot / "open_clip_model.safetensors").hardlink_to(hub.weights("ViT-B-32"))
    reader = load_model("hf-hub:some/body", "cpu")
    assert isinstance(reader, OpenClip)
    assert activations(reader.model) == {QuickGELU}
    resize, *_, normalize = reader.transform.transforms
    assert (resize.size, resize.interpolation.value) == ((224, 224), "bilinear")
    assert (normalize.mean, normalize.std) == (pictures["mean"], pictures["std"])


@pytest.mark.parametrize("pair", [("ViT-B-32", "openai"), ("ViT-B-16-SigLIP", "webli")])
def test_random_weights_are_built_like_those_of_a_tag_and_nothing_is_fetched(
    pair: tuple[str, str], hub: TinyHub
) -> None:
    made: Any = build_model(*pair, weights=False)
    file = hub.publish(*pair)
    published = load(*pair)
    file.unlink()
    assert repr(made) == repr(published.model)
    assert made.visual.preprocess_cfg == published.model.visual.preprocess_cfg


def test_results_of_a_tag_built_otherwise_before_count_as_others() -> None:
    assert identity("ViT-B-32/openai") == "ViT-B-32/openai@quickgelu"
    for name in ("ViT-B-32-quickgelu/openai", "ViT-B-32/laion2b_s34b_b79k", "ViT-B-32/no-tag"):
        assert identity(name) == name


def test_the_list_tells_which_names_are_of_one_model() -> None:
    notes = {row["name"]: row["note"] for row in catalogue()}
    assert "the same as ViT-B-32/openai" in notes["ViT-B-32-quickgelu/openai"]
    assert "the same" not in notes["ViT-B-32/openai"]


@pytest.mark.parametrize(("architecture", "tag"), PAIRS)
def test_a_published_pair_is_built_as_open_clip_builds_it(
    architecture: str, tag: str, hub: TinyHub
) -> None:
    file = hub.publish(architecture, tag)
    try:
        ours = load(architecture, tag)
        # open_clip's own way to QuickGELU is the architecture of that name
        own = architecture + QUICK if (architecture + QUICK, tag) in PAIRS else architecture
        three: Any = open_clip.create_model_and_transforms(own, tag)
    finally:
        file.unlink()
    theirs, _, preprocess = three
    assert repr(ours.model) == repr(theirs)
    weights = theirs.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in ours.model.state_dict().items())
    assert ours.model.visual.preprocess_cfg == theirs.visual.preprocess_cfg
    assert repr(ours.transform) == repr(preprocess)
    tokenizer = open_clip.get_tokenizer(architecture)
    for tokens in (ours.tokens, model_tokens(f"{architecture}/{tag}")):
        assert type(tokens.full) is type(tokenizer)
        assert torch.equal(tokens.inputs(TEXTS), tokenizer(TEXTS))

    # and as the published tables say, whatever open_clip's factory makes of them
    config, known = get_pretrained_cfg(architecture, tag), hub.known[architecture]
    quick = config.get("quick_gelu", False) or architecture == DISAGREED
    assert activations(ours.model) <= {QuickGELU if quick else nn.GELU}
    timm, foreign = "timm_model_name" in known["vision_cfg"], "hf_model_name" in known["text_cfg"]
    assert activations(ours.model) or (timm and foreign)
    resize, normalize = ours.transform.transforms[0], ours.transform.transforms[-1]
    assert (tuple(normalize.mean), tuple(normalize.std)) == (config["mean"], config["std"])
    assert resize.interpolation.value == config["interpolation"]
    size = known["vision_cfg"]["image_size"]
    assert resize.size == ((size, size) if config["resize_mode"] == "squash" else size)
    assert ours.tokens.inputs(TEXTS).shape[1] == known["text_cfg"].get("context_length", 77)
