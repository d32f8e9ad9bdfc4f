"""Several models searched as one: their cosines, their words, their limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_clips import CPU, picture, refusal, small_folder

from pez.models import Reader, load_model
from pez.models.ensemble import Ensemble
from pez.models.openclip import OpenClip, wrap


@pytest.fixture(scope="module")
def pair(shipped: Callable[[str], OpenClip]) -> Ensemble:
    return Ensemble.join([shipped("mini"), shipped("mini-b")])


def test_an_ensemble_means_the_cosines(pair: Ensemble) -> None:
    assert pair.name == "mini + mini-b"
    assert pair.parts == (192, 192)
    assert pair.table.shape == (49408, 384)
    assert pair.limit == 30
    texts = ["red circle", "blue house night"]
    pictures = [picture(0), picture(1)]
    text, image = pair.encode_text(texts), pair.encode_images(pictures)
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(image.norm(dim=-1), torch.ones(2))
    cosines = [r.encode_text(texts) @ r.encode_images(pictures).T for r in pair.readers]
    torch.testing.assert_close(text @ image.T, sum(cosines) / 2, atol=1e-6, rtol=1e-5)
    assert (cosines[0] - cosines[1]).abs().max() > 1e-4, "the two are one model"


def test_an_ensembles_features_are_of_the_typed_text(pair: Ensemble) -> None:
    text = "red blue green house"
    embeddings = pair.table[torch.tensor([pair.tokens.encode(text)])].requires_grad_(True)
    features = pair.features(embeddings)
    torch.testing.assert_close(features, pair.encode_text([text]), atol=1e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(features[0, 0] + features[0, -1], embeddings)
    assert gradient[..., :192].any()
    assert gradient[..., 192:].any()


def test_an_ensemble_searches_words_that_all_of_it_know(pair: Ensemble) -> None:
    first, second = pair.readers
    assert pair.known is not None and first.known is not None and second.known is not None
    shared = set(first.known.tolist()) & set(second.known.tolist())
    assert set(pair.known.tolist()) == shared
    assert pair.own_words == sorted(set(first.own_words or []) & set(second.own_words or []))
    nothing = wrap("other", second.model, second.tokens.full, CPU)  # type: ignore[attr-defined]
    joined = Ensemble.join([nothing, first])
    assert joined.known is first.known
    assert joined.own_words == sorted(first.own_words or [])
    less = wrap("less", second.model, second.tokens.full, CPU, known=first.known[:9])  # type: ignore[attr-defined]
    assert Ensemble.join([first, less]).known is not None
    assert torch.equal(Ensemble.join([first, less]).known, first.known[:9])  # type: ignore[arg-type]


def test_an_ensemble_asks_for_the_memory_of_all(pair: Ensemble) -> None:
    each = [reader.bytes_per_row(8) for reader in pair.readers]
    assert pair.bytes_per_row(8) == sum(each)
    assert min(each) > 0
    assert pair.bytes_per_row(16) > pair.bytes_per_row(8)


def test_the_shorter_limit_counts(tmp_path: Path, mini: Reader) -> None:
    short = load_model(f"local-dir:{small_folder(tmp_path, context_length=12)}", "cpu")
    joined = Ensemble.join([mini, short])
    assert joined.limit == 10
    text = "red blue"
    embeddings = joined.table[torch.tensor([joined.tokens.encode(text)])]
    own = joined.encode_text([text])
    torch.testing.assert_close(joined.features(embeddings), own, atol=1e-5, rtol=1e-4)


def test_models_of_different_tokenizers_are_refused(tmp_path: Path) -> None:
    first, folder = small_folder(tmp_path / "one"), small_folder(tmp_path / "other")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"additional_special_tokens": ["<x>"]}
    config["model_cfg"]["text_cfg"]["vocab_size"] = 49409
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    del config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]
    state = open_clip.CLIP(**config["model_cfg"]).state_dict()
    save_file(state, folder / "open_clip_model.safetensors")
    said = refusal([f"local-dir:{first}", f"local-dir:{folder}"], "cpu")
    assert str(first) in said and str(folder) in said and "tokenizer" in said


def test_several_names_give_an_ensemble_and_freeing_it_frees_all(tmp_path: Path) -> None:
    names = (f"local-dir:{small_folder(tmp_path / 'a')}", f"local-dir:{small_folder(tmp_path)}")
    reader = load_model(names, "cpu")
    assert isinstance(reader, Ensemble)
    assert reader.name == " + ".join(names)
    assert reader.encode_images([picture()]).shape == (1, 32)
    reader.free_vision()
    for one in reader.readers:
        with pytest.raises(RuntimeError, match="freed"):
            one.encode_images([picture()])
