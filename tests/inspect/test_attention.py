"""Where a generator looks: maps of real architectures, and of mini-sd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import CAPTURE, lines
from PIL import Image
from safetensors.torch import save_file
from tiny_pipelines import TEXT, options, save_flux, save_sd, save_sd3, save_sdxl, transformers
from tiny_tokenizers import xlm_tokenizer

import pez
from pez.cli import main
from pez.generation import Painter, open_painter
from pez.generation.files import read_record
from pez.inspect.heatmaps import overlay
from pez.inspect.places import words_of
from pez.inspect.recorder import KNOWN, grid_of, heads_of, recording

SAVES: dict[str, Callable[[Path], str]] = {
    "sd": save_sd,
    "sdxl": save_sdxl,
    "sd3": save_sd3,
    "flux": lambda folder: _flux(folder),
}


def _flux(folder: Path) -> str:
    words = folder.parent / "t5"
    words.mkdir()
    return save_flux(folder, xlm_tokenizer(words, start=False), words)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Painter]:
    """A generator of each family, loaded once."""
    made: dict[str, Painter] = {}

    def get(kind: str) -> Painter:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind) / kind
            name = "mini-sd" if kind == "mini-sd" else SAVES[kind](folder)
            own: dict[str, Any] = {"flux": {"width": 32, "height": 16}, "sd": {"scheduler": "ddim"}}
            made[kind] = open_painter(options(generator=name, **own.get(kind, {})))
        return made[kind]

    return get


KINDS = ["mini-sd", *SAVES]


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_is_the_same_and_the_maps_sum_to_one(
    kind: str, painter: Callable[[str], Painter]
) -> None:
    own = painter(kind)
    net = getattr(own.pipe, "unet", None) or own.pipe.transformer
    before = {name: type(one) for name, one in net.attn_processors.items()}
    (plain,) = own.paint([TEXT], [3])
    (found,) = pez.attention(TEXT, painter=own, options=options(seed=3))
    assert found.image.tobytes() == plain.tobytes()
    assert found.words == ("a", "red", "boot")
    assert torch.allclose(found.every.sum(0), torch.ones(found.every.shape[1:]), atol=1e-5)
    assert (found.every >= 0).all()
    together = found.maps.sum(0) + found.rest
    assert torch.allclose(together, torch.ones_like(together), atol=1e-5)
    assert {name: type(one) for name, one in net.attn_processors.items()} == before
    assert found.every.std() > 0
    high, wide = found.every.shape[1:]
    assert high * found.image.width == wide * found.image.height


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_recorded_is_the_attention_that_draws(
    kind: str, painter: Callable[[str], Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle: the very queries and keys that reach torch's attention."""
    own = painter(kind)
    seen: list[torch.Tensor] = []
    functional = torch.nn.functional
    real = functional.scaled_dot_product_attention
    joint = kind in ("sd3", "flux")

    def attend(query: Any, key: Any, value: Any, *args: Any, **more: Any) -> Any:
        net = own.pipe.transformer if joint else own.pipe.unet
        if drawing and query.shape[1] == heads(net, query):
            weights = (query[-1] @ key[-1].mT * query.shape[-1] ** -0.5).softmax(-1)
            seen.append(weights.mean(0))
        return real(query, key, value, *args, **more)

    def heads(_net: Any, query: Any) -> int:
        return query.shape[1]

    drawing: list[bool] = []
    with recording(own.pipe) as recorder:
        net = own.pipe.transformer if joint else own.pipe.unet
        handles = [
            net.register_forward_pre_hook(lambda *_: drawing.append(True)),
            net.register_forward_hook(lambda *_: drawing.clear()),
        ]
        monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)
        own.paint([TEXT], [0])
        for handle in handles:
            handle.remove()
    text = recorder.text
    if kind == "flux":
        parts = [one[text:, :text] for one in seen]
    elif kind == "sd3":
        parts = [one[: len(one) - text, len(one) - text :] for one in seen]
    else:
        parts = [one for one in seen if one.shape == (len(one), text) and len(one) != text]
    finest = max(len(one) for one in parts)
    total = torch.stack([one for one in parts if len(one) == finest]).sum(0)
    (grid,) = [grid for grid in recorder.sums if grid[0] * grid[1] == finest]
    assert recorder.counts[grid] == sum(len(one) == finest for one in parts) > 1
    assert torch.allclose(recorder.sums[grid].flatten(1).T, total, atol=1e-4)


def test_maps_are_of_the_prompt_and_not_of_the_negative_one(
    painter: Callable[[str], Painter],
) -> None:
    """With guidance each step reads both: the maps follow the prompt's words alone."""
    own = painter("mini-sd")
    a, b = (open_painter(options(negative=text, steps=1)) for text in ("", "a blue fish"))
    first, second = (pez.attention(TEXT, painter=p, options=options())[0] for p in (a, b))
    assert torch.equal(first.every, second.every)  # at the first step all else is the same
    other = pez.attention("a blue fish", painter=a, options=options())[0]
    assert not torch.allclose(first.every, other.every, atol=1e-4)
    assert own.pipe.unet is not None


def test_a_prompt_alone_without_guidance_is_recorded_too(tmp_path: Path) -> None:
    plain = open_painter(options(guidance=1.0))
    (found,) = pez.attention(TEXT, painter=plain, options=options())
    assert found.words == ("a", "red", "boot")


def test_words_stand_where_the_text_encoder_has_them(painter: Callable[[str], Painter]) -> None:
    own = painter("mini-sd")
    words = words_of(own, "a (red:1.3), watercolor boot")
    assert words.names == ["a", "red", "watercolor", "boot"]
    ids = own.pipe.tokenizer("a red, watercolor boot")["input_ids"]
    tokens = own.pipe.tokenizer.convert_ids_to_tokens(ids)
    said = ["".join(tokens[p] for p in own_).replace("</w>", "") for own_ in words.places]
    assert said == words.names


def test_words_of_a_long_prompt_are_found_in_every_chunk(
    painter: Callable[[str], Painter],
) -> None:
    """As compel lays them out."""
    from compel.embeddings_provider import EmbeddingsProvider, SplitLongTextMode

    own = painter("mini-sd")
    text = " ".join(["watercolor butterfly, (panda:1.2)"] * 9)
    words = words_of(own, text)
    limit = own.encoding.limit
    provider = EmbeddingsProvider(
        own.pipe.tokenizer,
        own.pipe.text_encoder,
        truncate=False,
        split_long_text_mode=SplitLongTextMode.WORDS,
        model_max_length=limit + 2,
    )
    parts = own.encoding.parts(text)
    ids, _, _ = provider.get_token_ids_and_expand_weights(
        [part.text for part in parts], [part.weight for part in parts], device="cpu"
    )
    tokens = own.pipe.tokenizer.convert_ids_to_tokens(ids.tolist())
    said = ["".join(tokens[p] for p in own_).replace("</w>", "") for own_ in words.places]
    assert said == words.names == ["watercolor", "butterfly", "panda"] * 9
    (found,) = pez.attention(text, painter=own, options=options(steps=1))
    assert len(found.every) == len(ids) > limit + 2


def test_each_vector_of_a_soft_prompt_has_its_map(painter: Callable[[str], Painter]) -> None:
    """Rows of words, given as a soft prompt, look where the words look."""
    own = painter("mini-sd")
    ids = own.pipe.tokenizer("red boot", add_special_tokens=False)["input_ids"]
    table = own.pipe.text_encoder.get_input_embeddings().weight.detach()
    framed = open_painter(options(template="a {} on blue", steps=2))
    (soft,) = pez.attention(table[ids].float(), painter=framed, options=options())
    (hard,) = pez.attention("red boot", painter=framed, options=options())
    marks = [f"[{n + 1}]" for n in range(len(ids))]
    assert list(soft.words) == ["a", *marks, "on", "blue"]
    assert torch.allclose(soft.every, hard.every, atol=1e-4)
    assert sum(soft.places, ()) == sum(hard.places, ())
    with pytest.raises(pez.PezError, match="soft prompt"):
        pez.attention(torch.zeros(2, 8), painter=painter("flux"), options=options())


def test_sd3_reads_each_word_twice_where_it_has_a_t5(
    painter: Callable[[str], Painter], tmp_path: Path
) -> None:
    alone = words_of(painter("sd3"), TEXT)
    own = open_painter(options(generator=save_sd3(tmp_path / "sd3")))
    (tmp_path / "t5").mkdir()
    pieces = xlm_tokenizer(tmp_path / "t5", start=False)
    sizes: dict[str, Any] = {"d_model": 64, "d_ff": 37, "d_kv": 8, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(vocab_size=pieces, pad_token_id=1, **sizes)
    own.pipe.text_encoder_3 = transformers.T5EncoderModel(config).eval()
    own.pipe.tokenizer_3 = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "t5")
    (found,) = pez.attention(TEXT, painter=own, options=options())
    first = own.pipe.tokenizer_max_length
    assert found.words == tuple(alone.names)
    for places, clip in zip(found.places, alone.places, strict=True):
        assert [p for p in places if p < first] == clip
        assert any(p >= first for p in places)
    assert min(found.places[0][len(alone.places[0]) :]) == first  # T5 has no start token
    assert torch.allclose(found.every.sum(0), torch.ones(found.every.shape[1:]), atol=1e-5)


def test_flux_reads_words_by_its_t5(painter: Callable[[str], Painter]) -> None:
    words = words_of(painter("flux"), TEXT)
    tokenizer = painter("flux").pipe.tokenizer_2
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(TEXT)["input_ids"])
    said = ["".join(pieces[p] for p in places).strip("▁") for places in words.places]
    assert said == words.names == ["a", "red", "boot"]


def test_a_generator_of_another_kind_is_refused(painter: Callable[[str], Painter]) -> None:
    own = painter("sd3")
    layer = own.pipe.transformer.transformer_blocks[0].attn
    before = layer.processor

    class Strange(type(before)):  # type: ignore[misc]
        pass

    layer.set_processor(Strange())
    try:
        with pytest.raises(pez.PezError, match="Strange"):
            pez.attention(TEXT, painter=own, options=options())
        assert type(layer.processor) is Strange
    finally:
        layer.set_processor(before)


def test_grids_are_halves_of_the_whole() -> None:
    assert grid_of(64 * 96, (64, 96)) == (64, 96)
    assert grid_of(5 * 7, (18, 26)) == (5, 7)  # odd sides are rounded up, as convolutions do
    assert grid_of(1, (1, 1)) == (1, 1)
    with pytest.raises(pez.PezError):
        grid_of(7, (4, 4))
    assert heads_of(torch.zeros(2, 5, 12), 3).shape == (3, 5, 4)
    assert set(KNOWN) >= {"AttnProcessor2_0", "JointAttnProcessor2_0", "FluxAttnProcessor"}


def test_a_map_is_bright_where_its_values_are_large() -> None:
    values = torch.zeros(4, 4)
    values[0, 0] = 1
    shown = np.asarray(overlay(Image.new("RGB", (64, 64), "gray"), values)).sum(-1)
    assert shown[2, 2] > 1.5 * shown[60, 60]


def test_the_command_writes_a_sheet_and_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["attention", "a red boot, oil", "--generator", "mini-sd", "--device", "cpu"]
    command += ["--steps", "2", "--count", "2"]
    assert main([*command, "--output", "a.png", "--arrays", "a.npz", "--json"]) == 0
    rows = [json.loads(line) for line in lines(capsys.readouterr().out)]
    assert [row["seed"] for row in rows] == [0, 1]
    held = np.load("a.npz")
    assert held["words"].tolist() == ["a", "red", "boot", "oil"]
    assert held["maps"].shape[:2] == (2, 4) and held["picture"].shape == (2, 64, 64, 3)
    assert np.allclose(held["every"].sum(1), 1, atol=1e-5)
    for row, maps in zip(rows, held["maps"], strict=True):
        assert row["shares"] == pytest.approx(maps.mean((1, 2)).tolist(), abs=1e-5)
    record = read_record(tmp_path / "a.png")
    assert record is not None and record["attention"][0]["words"] == rows[0]["words"]
    assert main([*command, "--output", "a.png", "--arrays", "a.npz", "--quiet"]) == 0
    assert capsys.readouterr() == ("a.png\n", "")


@pytest.mark.parametrize("name", ["a.jpg", "mine.png", "mine.npz"])
def test_a_file_of_the_users_is_not_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("mine.png")
    np.savez("mine.npz", x=np.zeros(3))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    option = "--arrays" if name.endswith("npz") else "--output"
    words = ["attention", "a boot", "--generator", "mini-sd", "--steps", "1", option, name]
    assert main(words) == 2
    assert len(lines(capsys.readouterr().err)) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_prompt_file_that_has_a_soft_prompt_is_drawn(
    tmp_path: Path, painter: Callable[[str], Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = painter("mini-sd").pipe.text_encoder.get_input_embeddings().weight.detach()
    save_file({"soft": table[5:8].float().clone()}, tmp_path / "soft.safetensors")
    words = ["attention", "soft.safetensors", "--generator", "mini-sd", "--steps", "1"]
    assert main([*words, "--device", "cpu", "--quiet"]) == 0
    record = read_record(tmp_path / "pez-attention.png")
    assert record is not None and record["attention"][0]["words"] == ["[1]", "[2]", "[3]"]
