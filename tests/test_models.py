"""Loading models by name, the shipped ones, ensembles, and what is said when it cannot be."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

import pez
from pez.errors import PezError
from pez.models import Reader, load_model
from pez.models.catalogue import catalogue
from pez.models.devices import pick_device, pick_dtype
from pez.models.ensemble import Ensemble
from pez.models.generators import DEFAULT, GENERATORS, models_for
from pez.models.hub import prepare_hub
from pez.models.openclip import OpenClip, model_tokens, wrap
from pez.models.shipped import data_folder, load_folder, scatter_rows, shipped_names
from pez.options import SearchOptions
from pez.session import model_names, open_reader, reader_vocabulary

CPU = torch.device("cpu")
FOLDER = data_folder() / "models"


@pytest.fixture(scope="module")
def shipped(mini: Reader) -> Callable[[str], OpenClip]:
    """Shipped models, each loaded once."""
    loaded: dict[str, Reader] = {"mini": mini}

    def get(name: str) -> OpenClip:
        if name not in loaded:
            loaded[name] = load_model(name, "cpu")
        reader = loaded[name]
        assert isinstance(reader, OpenClip)
        return reader

    return get


@pytest.fixture(scope="module")
def pair(shipped: Callable[[str], OpenClip]) -> Ensemble:
    return Ensemble.join([shipped("mini"), shipped("mini-b")])


def picture(seed: int = 0, size: tuple[int, int] = (50, 40)) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def small_folder(folder: Path, **text: int) -> Path:
    """A CLIP with random weights in a folder as open_clip publishes them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32, "layers": 1, "width": 16, "head_width": 16, "patch_size": 16
        },
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1, **text
        },
    }  # fmt: skip
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**made).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": made}))
    return folder


def refusal(*args: object, **kwargs: object) -> str:
    """What load_model says."""
    with pytest.raises(PezError) as error:
        load_model(*args, **kwargs)  # type: ignore[arg-type]
    text = str(error.value)
    assert "\n" not in text and text.endswith((".", ")"))
    return text


# ------------------------------------------------------------------------------- shipped


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


def test_a_missing_file_of_a_shipped_model_is_said(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "mini", tmp_path / "mini")
    (tmp_path / "mini" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(Exception, match=r"(?i)header|safetensors|deserializ"):
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


# ------------------------------------------------------------------------------- several


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


# ----------------------------------------------------------------------- names and folders


def test_a_local_folder_is_loaded_with_its_weights(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    reader = load_model(f"local-dir:{folder}", "cpu")
    weights = load_file(folder / "open_clip_model.safetensors")
    assert torch.equal(reader.table, weights["token_embedding.weight"])
    assert reader.limit == 75
    assert reader.known is None and reader.own_words is None
    assert isinstance(reader, OpenClip)
    assert not reader.model.training, "dropout would make features random"
    assert reader.encode_images([picture()]).shape == (1, 16)


def test_a_home_folder_may_be_written_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_folder(tmp_path / "clip")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_model("local-dir:~/clip", "cpu").limit == 75
    assert model_tokens("local-dir:~/clip").limit == 75


def test_a_known_architecture_with_a_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ViT-B-32//path/to/weights``: the folder of this test stands for ViT-B-32."""
    folder = small_folder(tmp_path)
    made = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", made)
    name = f"ViT-B-32/{folder / 'open_clip_model.safetensors'}"
    assert load_model(name, "cpu").table.shape == (49408, 16)


def test_padding_rows_of_the_table_are_no_words(tmp_path: Path) -> None:
    reader = load_model(f"local-dir:{small_folder(tmp_path, vocab_size=49500)}", "cpu")
    assert reader.table.shape == (49408, 16)
    assert reader.tokens.size == 49408


def test_an_unknown_architecture_names_the_nearest() -> None:
    said = refusal("ViT-L-41/openai", "cpu")
    assert "'ViT-L-41/openai'" in said and "ViT-L-14" in said
    assert "mini" in refusal("minni", "cpu")
    assert "pez models" in refusal("///", "cpu")
    refusal("", "cpu")


def test_a_missing_tag_names_those_that_exist() -> None:
    said = refusal("ViT-B-32", "cpu")
    assert "ViT-B-32/openai" in said and "which weights" in said
    assert "ViT-B-32/openai" in refusal("ViT-B-32/", "cpu")
    assert "none is published" in refusal("ViT-e-14", "cpu")


def test_a_wrong_tag_names_the_nearest() -> None:
    said = refusal("ViT-H-14/laion2b_s32b_b79", "cpu")
    assert "ViT-H-14/laion2b_s32b_b79k" in said
    assert "ViT-B-32/" in refusal("ViT-B-32/%%%", "cpu")
    assert "none" in refusal("ViT-e-14/openai", "cpu")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert "open_clip_config.json" in refusal(f"local-dir:{tmp_path}", "cpu")
    assert "open_clip_config.json" in refusal(f"local-dir:{tmp_path}/nowhere", "cpu")
    assert "open_clip_config.json" in refusal("local-dir:", "cpu")


def test_broken_folders_are_refused_with_their_name(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "clip")
    weights = folder / "open_clip_model.safetensors"
    whole = weights.read_bytes()
    for broken in (b"", b"not weights at all", whole[: len(whole) // 2], whole[:100]):
        weights.write_bytes(broken)
        said = refusal(f"local-dir:{folder}", "cpu")
        assert str(folder) in said and "check the folder" in said
    weights.unlink()
    assert "check the folder" in refusal(f"local-dir:{folder}", "cpu")
    save_file({"a": torch.zeros(2)}, weights)  # the weights of something else
    assert "check the folder" in refusal(f"local-dir:{folder}", "cpu")
    (folder / "open_clip_config.json").write_text("{")
    assert "check the folder" in refusal(f"local-dir:{folder}", "cpu")
    (folder / "open_clip_config.json").write_text("{}")
    assert "check the folder" in refusal(f"local-dir:{folder}", "cpu")


def test_a_folder_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = small_folder(tmp_path)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "bert-base-uncased"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    assert "check the folder" in refusal(f"local-dir:{folder}", "cpu")
    with pytest.raises(PezError, match="check the folder"):
        model_tokens(f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["ViT-B-32/openai", "ViT-B-16-SigLIP2/webli", "hf-hub:no/body"])
def test_weights_that_cannot_be_had_are_said_soon(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    start = time.monotonic()
    said = refusal(name, "cpu")
    assert time.monotonic() - start < 20, "one retry of the hub takes half a minute"
    assert name in said and "--model mini" in said


def test_without_a_network_the_hub_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://no-such-host.invalid")
    monkeypatch.setenv("HF_HUB_OFFLINE", "x")
    monkeypatch.delenv("HF_HUB_OFFLINE")  # and is put back after the test
    prepare_hub()
    assert constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")  # names are the proxy's business
    prepare_hub()
    assert not constants.HF_HUB_OFFLINE


def test_tokenizers_are_known_without_weights() -> None:
    assert model_tokens("").limit == 75
    assert model_tokens("ViT-L-14/openai").limit == 75
    assert model_tokens("PE-Core-B-16/meta").limit == 30
    with pytest.raises(PezError, match="nearest"):
        model_tokens("ViT-L-41/openai")


def test_a_model_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise MemoryError

    folder = small_folder(tmp_path)
    monkeypatch.setattr(open_clip, "create_model", full)
    said = refusal(f"local-dir:{folder}", "cpu")
    assert "memory" in said and str(folder) in said


# ---------------------------------------------------------------- devices and generators


def test_unknown_devices_and_formats() -> None:
    assert "auto, cpu, cuda" in refusal("mini", "gpu")
    assert "auto, cpu, cuda" in refusal("mini", "")
    assert "--device cpu" in refusal("mini", "meta")
    assert "float32, bfloat16, float16" in refusal("mini", "cpu", "int8")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert "--device cpu" in refusal("mini", "cuda")
    assert "--device cpu" in refusal("mini", "mps")
    assert pick_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto").type == "cuda"
    assert pick_device("cuda:0") == torch.device("cuda:0")
    assert "1 GPU" in refusal("mini", "cuda:1")


def test_half_precision_is_for_gpus() -> None:
    for dtype in ("bfloat16", "float16"):
        said = refusal("mini", "cpu", dtype)
        assert dtype in said and "slower" in said
        assert pick_dtype(dtype, torch.device("cuda")).is_floating_point
    assert pick_dtype("float32", CPU) == torch.float32


def test_generators_name_real_models() -> None:
    published = {f"{a}/{t}" for a, t in open_clip.list_pretrained()}
    for generator, names in GENERATORS.items():
        assert set(names) <= published | set(shipped_names())
        assert models_for(generator) == names
    assert models_for("SD-1.5") == models_for("sd15")
    assert DEFAULT in published
    assert len(models_for("sdxl")) == 2


def test_an_unknown_generator_names_all() -> None:
    with pytest.raises(PezError, match="sdxl") as error:
        models_for("midjourney")
    assert "midjourney" in str(error.value)
    with pytest.raises(PezError, match="midjourney"):
        open_reader(SearchOptions(generator="midjourney"))


def test_which_models_are_searched() -> None:
    assert model_names(SearchOptions()) == (DEFAULT,)
    assert model_names(SearchOptions(model=("mini",))) == ("mini",)
    assert model_names(SearchOptions(generator="mini")) == ("mini",)
    with pytest.raises(PezError, match="not both"):
        model_names(SearchOptions(model=("mini",), generator="sd15"))


def test_the_catalogue_lists_what_can_be_loaded() -> None:
    rows = catalogue()
    names = [row["name"] for row in rows]
    assert names[: len(shipped_names())] == shipped_names()
    assert {"mini", "mini-b"} <= set(shipped_names())
    assert len(names) == len(set(names)) > 100
    notes = {row["name"]: row["note"] for row in rows}
    assert "default" in notes[DEFAULT]
    assert all("sdxl" in notes[name] for name in GENERATORS["sdxl"])


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
