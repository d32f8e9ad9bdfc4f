"""T5 encoders and CLIPs of transformers read as transformers itself does; weights are random."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as typed_transformers
from converted_clips import END, clip, converted, same, tokenizer
from small_clips import refusal, trained_further
from tiny_tokenizers import LETTERS, WORDS, xlm_tokenizer

import pez
from pez.cli import main
from pez.models import load_model, model_tokens
from pez.models.clip import Clip
from pez.models.identity import identity, weights_hash
from pez.models.t5 import T5
from pez.search.english import english_words
from pez.session.words import english_list

transformers: Any = typed_transformers
TEXTS = ["cat", "a red cat", "the blue sea light night", "", " ".join(WORDS * 2)]


def shaken(model: Any) -> Any:
    """As built, towers hardly tell texts apart."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's folders: text_encoder_3 is a gated T5, tokenizer_3 lies beside it."""
    folder = tmp_path_factory.mktemp("sd3")
    size = xlm_tokenizer(folder / "tokenizer_3", start=False)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4}
    config = transformers.T5Config(
        vocab_size=size + 5, pad_token_id=1, eos_token_id=2, feed_forward_proj="gated-gelu", **sizes
    )
    shaken(transformers.T5EncoderModel(config)).save_pretrained(folder / "text_encoder_3")
    return folder


@pytest.fixture(scope="module")
def t5(t5_folder: Path) -> T5:
    reader = load_model(f"t5:{t5_folder}/text_encoder_3", "cpu")
    assert isinstance(reader, T5)
    return reader


# -------------------------------------------------------------------------------- T5


def test_a_t5_feature_is_the_mean_of_its_whole_padded_forward(t5: T5, t5_folder: Path) -> None:
    words = transformers.AutoTokenizer.from_pretrained(t5_folder / "tokenizer_3")
    own = transformers.T5EncoderModel.from_pretrained(t5_folder / "text_encoder_3").eval()
    typed = words(TEXTS, padding="max_length", max_length=512, return_tensors="pt")
    seen = typed["attention_mask"]
    with torch.no_grad():
        states = own(input_ids=typed["input_ids"], attention_mask=seen).last_hidden_state
    mean = (states * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
    same(t5.encode_text(TEXTS), F.normalize(mean, dim=-1))
    for text in (TEXTS[0], TEXTS[2]):  # as a search reads it, without padding
        rows = t5.table[torch.tensor([t5.tokens.encode(text)])]
        same(t5.features(rows), t5.encode_text([text]))
    rows = t5.table[torch.tensor([t5.tokens.encode("sea cat")])].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(t5.features(rows).square()[:, :5].sum(), rows)
    assert (gradient.abs().sum(-1) > 0).all(), "every place has a say"


def test_a_t5_tokenizer_is_read_as_it_is(t5: T5, t5_folder: Path) -> None:
    tokens = t5.tokens
    assert t5.limit == 511 and len(t5.table) == tokens.size
    ids = tokens.whole_words().tolist()
    assert (
        {tokens.decode([i]) for i in ids}
        == {*WORDS, *LETTERS} & {tokens.decode([i]) for i in ids}
        >= set(WORDS)
    )
    assert not tokens.special & set(ids) and set(
        english_words(tokens, english_list()).tolist()
    ) <= set(ids)
    text = "red cat sea"
    assert tokens.decode(tokens.encode(text)) == text and len(tokens.encode(text)) == 3
    assert model_tokens(t5.name).signature == tokens.signature


def test_a_t5_shortens_texts_and_finds_neighbours_and_sees_no_pictures(
    t5: T5, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    text = "the red cat sea light night"
    settings: dict[str, Any] = {"model": t5.name, "device": "cpu", "vocabulary": "words"}
    found = pez.distill(text, length=6, steps=30, method="gcg", seed=1, **settings)
    assert isinstance(found, pez.Result) and len(found.prompt.split()) == 6
    start = pez.distill(text, length=6, steps=1, method="random", seed=1, **settings)
    assert isinstance(start, pez.Result) and found.score > start.score
    cosine = (t5.encode_text([text]) @ t5.encode_text([found.prompt]).T).item()
    assert found.score == pytest.approx(cosine, abs=1e-5)
    mixed = pez.mix(text=["red cat", "blue sea"], length=2, steps=3, **settings)
    assert mixed.score > 0
    assert pez.neighbours("cat", 3, **settings)[0][1] == "cat"
    assert main(["tokens", "red cat", "--model", t5.name]) == 0
    assert "red" in capsys.readouterr().out
    for verb in (["score", "photos/p0.png", "cat"], ["invert", "photos/p0.png"]):
        assert main([*verb, "--model", t5.name, "--device", "cpu"]) == 2
        err = capsys.readouterr().err
        assert "reads only texts" in err and "Traceback" not in err
    assert "do not share a tokenizer" in refusal([t5.name, "mini"], "cpu")


def test_a_whole_t5_is_read_by_its_encoder(t5_folder: Path, tmp_path: Path) -> None:
    config = transformers.T5Config.from_pretrained(t5_folder / "text_encoder_3")
    model = shaken(transformers.T5ForConditionalGeneration(config))
    model.save_pretrained(tmp_path)
    for file in (t5_folder / "tokenizer_3").iterdir():
        shutil.copy(file, tmp_path)
    reader = load_model(f"t5:{tmp_path}", "cpu")
    assert torch.equal(reader.table, model.shared.weight[: reader.tokens.size])


def test_what_is_no_t5_is_refused_in_one_sentence(t5_folder: Path, tmp_path: Path) -> None:
    assert "text_encoder_3" in refusal(f"t5:{t5_folder}", "cpu"), "the pipeline's part is named"
    assert "not clip" in refusal(f"clip:{t5_folder}/text_encoder_3", "cpu")
    assert "t5:owner/name" in refusal("t5:", "cpu")
    assert "t5:FOLDER" in refusal(f"t5:{tmp_path}/nowhere", "cpu")
    part = shutil.copytree(t5_folder, tmp_path / "p") / "text_encoder_3"
    config = json.loads((part / "config.json").read_text()) | {"num_layers": 3}
    (part / "config.json").write_text(json.dumps(config))
    assert "lacks encoder.block.2" in refusal(f"t5:{part}", "cpu")
    (part / "model.safetensors").write_bytes(b"no weights")
    assert "check the folder" in refusal(f"t5:{part}", "cpu")


def test_weights_and_tokenizer_of_a_part_count(t5_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(t5_folder, tmp_path / "p")
    name = f"t5:{folder}/text_encoder_3"
    before = weights_hash(name)
    assert before and identity(name) == f"{name}@{before}"
    assert weights_hash(f"t5:{t5_folder}/text_encoder_3") == before
    trained_further(folder / "text_encoder_3")
    after = weights_hash(name)
    (folder / "tokenizer_3" / "tokenizer.json").write_text("{}")
    assert len({before, after, weights_hash(name)}) == 3
    assert identity("t5:") == "t5:"


# ------------------------------------------------------------------------------ CLIP


@pytest.mark.parametrize("kind", ["CLIPTextModel", "CLIPTextModelWithProjection"])
@pytest.mark.parametrize("eos", [2, 49407])
def test_a_clip_text_tower_reads_as_transformers_and_as_open_clip(
    kind: str, eos: int, tmp_path: Path
) -> None:
    source = clip(32, 24, True)
    own = converted(source, kind, eos=eos)
    own.save_pretrained(tmp_path / "text_encoder")
    words = tokenizer(END)
    words.save_pretrained(tmp_path / "tokenizer")
    reader = load_model(f"clip:{tmp_path}/text_encoder", "cpu")
    assert isinstance(reader, Clip) and reader.tower is not None and reader.limit == 75
    ids = words(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.no_grad():
        out = own(ids["input_ids"])
    projected = "Projection" in kind
    theirs = F.normalize(out.text_embeds if projected else out.pooler_output, dim=-1)
    same(reader.encode_text(TEXTS), theirs)
    if projected:
        same(theirs, source.encode_text(TEXTS))
    rows = reader.table[torch.tensor([reader.tokens.encode("the blue sea light")])]
    same(reader.features(rows), reader.encode_text(["the blue sea light"]))
    reader.tower = None  # the whole forward
    same(reader.features(rows), reader.encode_text(["the blue sea light"]))
    assert reader.tokens.signature == source.tokens.signature, "the two may be joined"
    if projected and eos == 2:
        assert len(load_model([reader.name, "mini"], "cpu").parts) == 2


def test_a_whole_clip_reads_pictures_too(tmp_path: Path, folder: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "projection_dim": 24}
    ends: dict[str, Any] = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    torch.manual_seed(0)
    own = shaken(
        transformers.CLIPModel(
            transformers.CLIPConfig(
                text_config={**sizes, **ends, "vocab_size": 49408},
                vision_config={**sizes, "image_size": 32, "patch_size": 16},
                projection_dim=24,
            )
        )
    )
    size = {"height": 32, "width": 32}
    prepare = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    place = tmp_path / "whole"
    for part in (own, prepare, tokenizer(END)):
        part.save_pretrained(place)
    reader = load_model(f"clip:{place}", "cpu")
    ids = reader.tokens.inputs(TEXTS)
    with torch.no_grad():
        texts = own.get_text_features(ids).pooler_output
        picture = pez.images.read_image("photos/p0.png")
        pixels = prepare(images=[picture], return_tensors="pt")["pixel_values"]
        looks = own.get_image_features(pixels).pooler_output
    same(reader.encode_text(TEXTS), F.normalize(texts, dim=-1))
    same(reader.encode_images([picture]), F.normalize(looks, dim=-1))
    found = pez.invert(
        "photos/p0.png", model=f"clip:{place}", length=2, steps=2, init="random", device="cpu"
    )
    assert isinstance(found, pez.Result)
    assert found.score == pytest.approx(pez.score(picture, found.prompt, reader=reader), abs=1e-5)
