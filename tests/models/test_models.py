"""The shipped models, and what every model gives once it is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from small_clips import CPU, picture, small_folder

import pez
from pez.errors import PezError
from pez.files import data_folder
from pez.models import Reader, load_model, model_tokens
from pez.models.names import shipped_names
from pez.models.openclip import OpenClip, wrap
from pez.models.shipped import load_folder, scatter_rows
from pez.options import SearchOptions
from pez.session.session import reader_vocabulary

FOLDER = data_folder() / "models"


def test_the_shipped_file_holds_only_the_rows_it_needs(mini: Reader) -> None:
    state = load_file(FOLDER / "mini" / "model.safetensors")
    ids, rows = state["token_ids"].long(), state["token_embedding.weight"].float()
    assert len(ids) == len(rows) < 2000, "or the file is as large as the whole table"
    table = torch.zeros(49408, rows.shape[1])
    table[ids] = rows
    assert torch.equal(mini.table, table)
    assert torch.equal(scatter_rows(rows, ids, 49408), table)


def test_the_compact_file_gives_the_features_of_open_clips_own_model(mini: Reader) -> None:
    """The file read by hand into open_clip's class, with ids of the compact table."""
    config = json.loads((FOLDER / "mini" / "open_clip_config.json").read_text())["model_cfg"]
    state = load_file(FOLDER / "mini" / "model.safetensors")
    ids = state.pop("token_ids").long()
    state = {name: tensor.float() for name, tensor in state.items()}
    config["text_cfg"]["vocab_size"] = len(ids)
    compact: Any = open_clip.CLIP(**config).eval()
    compact.load_state_dict(state)
    assert mini.own_words
    words = [word for word in mini.own_words if len(mini.tokens.encode(word)) == 1]
    texts = [" ".join(words[n : n + k]) for n, k in ((0, 1), (3, 5), (10, 16))]
    typed = mini.tokens.full(texts)
    where = {int(i): n for n, i in enumerate(ids)}
    places = torch.tensor([[where[int(i)] for i in row] for row in typed])
    x = compact.token_embedding(places) + compact.positional_embedding
    x = compact.ln_final(compact.transformer(x, attn_mask=compact.attn_mask))
    x = x[torch.arange(len(texts)), typed.argmax(-1)] @ compact.text_projection
    own = F.normalize(x, dim=-1).detach()
    torch.testing.assert_close(mini.encode_text(texts), own, atol=1e-5, rtol=1e-4)
    for text, feature in zip(texts, own, strict=True):
        embeddings = mini.table[torch.tensor([mini.tokens.encode(text)])]
        torch.testing.assert_close(mini.features(embeddings)[0], feature, atol=1e-5, rtol=1e-4)


def test_unknown_words_have_rows_of_zeros(mini: Reader) -> None:
    assert mini.known is not None
    known = set(mini.known.tolist())
    strange = [i for i in range(1, 49406) if i not in known]
    assert len(strange) > 40_000
    assert not mini.table[torch.tensor(strange)].any()
    assert mini.table[mini.known].abs().amax(-1).min() > 0
    assert torch.isfinite(mini.encode_text(["xylophone quasar"])).all()


def test_known_words_exclude_start_end_and_padding(mini: Reader) -> None:
    assert mini.known is not None
    assert not {0, 49406, 49407} & set(mini.known.tolist())
    assert not mini.tokens.special & set(mini.known.tolist())
    assert mini.tokens.special == {49406, 49407}


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_reads_what_it_lists(name: str, shipped: Callable[[str], OpenClip]) -> None:
    reader = shipped(name)
    assert reader.causal
    assert reader.limit == 30
    assert reader.name == name
    assert reader.device == CPU
    assert reader.table.shape == (49408, reader.parts[0])
    assert not any(p.requires_grad for p in reader.model.parameters())
    assert not reader.model.training
    assert reader.own_words
    assert reader.known is not None
    known = set(reader.known.tolist())
    for word in reader.own_words:
        ids = reader.tokens.encode(word)
        assert reader.tokens.decode(ids) == word
        assert set(ids) <= known, f"the model was not trained on {word}"
    allowed = reader_vocabulary(reader, SearchOptions()).ids.tolist()
    assert len(allowed) > 100
    assert reader.tokens.encode(reader.tokens.decode(allowed[:30])) == allowed[:30]


def test_a_shipped_tokenizer_is_known_without_its_weights(mini: Reader) -> None:
    assert model_tokens("mini").signature == mini.tokens.signature
    assert model_tokens("mini").limit == mini.limit


def test_features_have_length_one_and_tell_pictures_apart(mini: Reader) -> None:
    features = mini.encode_images([picture(0), picture(1, (200, 30)), picture(2, (1, 1))])
    assert features.shape == (3, 192)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3))
    assert features[0] @ features[1] < 0.9999
    texts = mini.encode_text(["red circle", "blue square"])
    torch.testing.assert_close(texts.norm(dim=-1), torch.ones(2))


def test_batches_do_not_change_features(mini: Reader) -> None:
    """34 pictures are more than one batch of them, 300 texts more than one of those."""
    pictures = [picture(n) for n in range(34)]
    together = mini.encode_images(pictures)
    for n in (31, 32):
        torch.testing.assert_close(
            together[n], mini.encode_images([pictures[n]])[0], atol=1e-5, rtol=1e-4
        )
    assert mini.own_words
    words = [mini.own_words[n % len(mini.own_words)] for n in range(300)]
    every = mini.encode_text(words)
    for n in (255, 256):
        torch.testing.assert_close(every[n], mini.encode_text([words[n]])[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("share", [None, 0.0, 0.5], ids=["missing", "empty", "cut"])
def test_a_damaged_shipped_model_is_said(tmp_path: Path, share: float | None) -> None:
    shutil.copytree(FOLDER / "mini", tmp_path / "mini")
    weights = tmp_path / "mini" / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if share is not None:
        weights.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(PezError, match=r"mini is damaged .*; replace .*model\.safetensors\.$"):
        load_folder(tmp_path / "mini", "mini", CPU, torch.float32)


def test_a_freed_image_tower_cannot_read_pictures(tmp_path: Path) -> None:
    reader = load_model(f"local-dir:{small_folder(tmp_path)}", "cpu")
    before = reader.encode_text(["red"])
    assert reader.encode_images([picture()]).shape == (1, 16)
    reader.free_vision()
    reader.free_vision()  # twice is no error
    with pytest.raises(RuntimeError, match="load the model again"):
        reader.encode_images([picture()])
    assert torch.equal(reader.encode_text(["red"]), before)


def test_bytes_per_row_grow_with_what_is_computed(shipped: Callable[[str], OpenClip]) -> None:
    mini = shipped("mini")
    assert mini.bytes_per_row(20) > mini.bytes_per_row(5) > 0
    whole = wrap("whole", mini.model, mini.tokens.full, CPU)
    whole.tower = None  # an uncut tower computes its whole context whatever the length
    assert whole.bytes_per_row(5) == whole.bytes_per_row(20) > mini.bytes_per_row(20)


def test_a_reader_is_usable_by_the_public_names(mini: Reader) -> None:
    result = pez.invert(picture(), reader=mini, steps=3, length=3)
    assert isinstance(result, pez.Result)
    assert result.model == "mini"
    target = mini.encode_images([picture()])[0]
    own = float(mini.encode_text([result.prompt])[0] @ target)
    assert result.score == pytest.approx(own, abs=1e-6)
    assert pez.score(picture(), [result.prompt], reader=mini) == pytest.approx([own], abs=1e-6)


@pytest.mark.parametrize("size_given", [True, False])
def test_a_picture_is_prepared_as_the_model_says(
    size_given: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(FOLDER / "mini", tmp_path / "mini")
    config = json.loads((FOLDER / "mini" / "open_clip_config.json").read_text())
    if not size_given:  # then it is the image tower's own
        config["preprocess_cfg"].pop("size", None)
        (tmp_path / "mini" / "open_clip_config.json").write_text(json.dumps(config))
    mini = load_folder(tmp_path / "mini", "mini", CPU, torch.float32)
    seen: list[torch.Tensor] = []
    fake = SimpleNamespace(
        visual=mini.model.visual, encode_image=lambda x: seen.append(x) or torch.ones(len(x), 4)
    )
    monkeypatch.setattr(mini, "model", fake)
    mini.encode_images([Image.new("RGB", (90, 70), (255, 0, 128))])
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    assert seen[0].shape == (1, 3, size, size)
    colour = torch.tensor([1.0, 0.0, 128 / 255])
    mean, std = (torch.tensor(config["preprocess_cfg"][k]) for k in ("mean", "std"))
    expected = ((colour - mean) / std)[:, None, None].expand(3, size, size)
    torch.testing.assert_close(seen[0][0], expected, atol=1e-4, rtol=1e-4)
