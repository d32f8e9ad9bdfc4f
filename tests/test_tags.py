"""Every published pair of open_clip is built as open_clip builds it for that tag."""

from __future__ import annotations

from collections.abc import Iterator

import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from tiny_hub import QUICK, TinyHub
from torch import nn

from pez.models import load_model
from pez.models.openclip import OpenClip, model_tokens

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


def activations(model: nn.Module) -> set[type[nn.Module]]:
    """Of the blocks of open_clip's own towers, of text and of pictures."""
    blocks = [m for m in model.modules() if isinstance(m, ResidualAttentionBlock)]
    return {type(block.mlp.gelu) for block in blocks}


@pytest.mark.parametrize(("architecture", "tag"), PAIRS)
def test_a_published_pair_is_built_as_open_clip_builds_it(
    architecture: str, tag: str, hub: TinyHub
) -> None:
    file = hub.publish(architecture, tag)
    try:
        ours = load(architecture, tag)
        # open_clip's own way to QuickGELU is the architecture of that name
        own = architecture + QUICK if (architecture + QUICK, tag) in PAIRS else architecture
        theirs, _, preprocess = open_clip.create_model_and_transforms(own, tag)
    finally:
        file.unlink()
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
