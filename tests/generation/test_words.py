"""Words of textual inversions stand for all their vectors, whatever their names are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_pipelines import options, save_sd, save_sdxl

from pez.cli.generate import read_prompts
from pez.embeddings import read_embeddings, save_embeddings
from pez.errors import PezError
from pez.generation import Painter, open_painter
from pez.generation.encoding import Encoded, Encoding
from pez.result import Result

ROWS = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
FILES = {
    "EasyNegative.safetensors": {"emb_params": ROWS},
    "style (1).safetensors": {"emb_params": ROWS[:3]},
    "v1.5.pt": {"string_to_param": {"*": ROWS[:2]}, "name": "*"},
    "a.bin": {"bad_prompt": ROWS[:2]},
    "b.bin": {"bad_prompt_version2": ROWS[2:4]},
    "c.bin": {"photog": ROWS[:2]},
    "d.bin": {"q": ROWS[5]},  # also a piece of other words
}


def write(folder: Path, name: str, held: dict[str, Any]) -> str:
    if name.endswith("safetensors"):
        save_file({k: v.clone() for k, v in held.items()}, folder / name)
    else:
        torch.save(held, folder / name)
    return str(folder / name)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    """A small SD 1 with all of FILES."""
    folder = tmp_path_factory.mktemp("words")
    files = tuple(write(folder, name, held) for name, held in FILES.items())
    return open_painter(options(generator=save_sd(folder / "sd"), embedding=files, steps=4))


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small SDXL that says its end token is 2, as the published one does."""
    folder = tmp_path_factory.mktemp("xl")
    save_sdxl(folder)
    for part in ("text_encoder", "text_encoder_2"):
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 2}))
    return str(folder)


def pieces(encoding: Encoding, text: str) -> list[str]:
    """The tokens that the text encoder reads, by their vectors where these are learned."""
    encoder = encoding._encoders[0]
    spelt = encoding.read(text)
    assert isinstance(spelt, str)
    names = {i: token for token, i in encoder.tokenizer.get_vocab().items()}
    tokens = [names[i] for i in encoder.tokenizer(spelt, add_special_tokens=False)["input_ids"]]
    return [token.removesuffix("</w>") for token in tokens]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("<EasyNegative>", ["<EasyNegative>", *(f"<EasyNegative>_{n}" for n in range(1, 8))]),
        ("a <style (1)> q", ["a", *(f"<style (1)>{n}" for n in ("", "_1", "_2")), "<q>"]),
        ("<V1.5>", ["<v1.5>", "<v1.5>_1"]),
        ("bad_prompt", ["bad_prompt", "bad_prompt_1"]),
        ("bad_prompt_version2 a", ["bad_prompt_version2", "bad_prompt_version2_1", "a"]),
        ("photog photograph", ["photog", "photog_1", "photograph"]),
        ("a<v1.5>b", ["a", "<v1.5>", "<v1.5>_1", "b"]),
        ("embedding:v1.5 embedding:c.bin", ["<v1.5>", "<v1.5>_1", "photog", "photog_1"]),
        ("bad_prompt bad_prompt_1", ["bad_prompt", "bad_prompt_1"]),  # as diffusers spells it
    ],
)
def test_a_word_is_all_its_vectors_and_only_as_a_whole_word(
    text: str, tokens: list[str], loaded: Painter
) -> None:
    assert pieces(loaded.encoding, text) == tokens


def test_case_and_brackets_around_a_bare_name_do_not_matter(loaded: Painter) -> None:
    all_eight = pieces(loaded.encoding, "<EasyNegative>")
    for text in ("<easynegative>", "EasyNegative", "embedding:EasyNegative"):
        assert pieces(loaded.encoding, text) == all_eight


def test_the_vectors_are_the_files(loaded: Painter) -> None:
    encoder = loaded.encoding._encoders[0]
    ids = encoder.tokenizer.convert_tokens_to_ids(pieces(loaded.encoding, "<EasyNegative>"))
    torch.testing.assert_close(encoder.table.weight[ids], ROWS)
    bare = encoder.tokenizer.convert_tokens_to_ids("q")
    assert not torch.equal(encoder.table.weight[bare], ROWS[5])  # a piece keeps its meaning


def test_words_are_weighted_and_told(loaded: Painter) -> None:
    assert loaded.words[:2] == ["<EasyNegative>", "<style (1)>"]
    plain = loaded.encoding._own(loaded.encoding.words.spell("a <style (1)> b"))
    heavy = loaded.encoding.read("a (<style (1)>:1.4) b")
    assert isinstance(heavy, Encoded)
    moved = (heavy.prompt - plain.prompt).abs().amax(-1)[0]
    assert moved[2:5].min() > 1e-3 > 1e-4 > moved[[0, 1]].max()


def test_sdxl_pools_at_the_end_and_not_at_the_word(xl: str, tmp_path: Path) -> None:
    pair = write(tmp_path, "x.pt", {"clip_l": ROWS[:2], "clip_g": ROWS[2:4]})
    two = {"text_encoders_0": ROWS[:2], "text_encoders_1": ROWS[2:4]}
    files = (pair, write(tmp_path, "y.safetensors", two))
    painter = open_painter(options(generator=xl, embedding=files))
    assert painter.words == ["<x>", "<y>"]
    x, y = (painter.encoding._own(painter.encoding.words.spell(t)) for t in ("a <x>", "a <y>"))
    assert x.pooled is not None and y.pooled is not None
    torch.testing.assert_close((x.prompt, x.pooled), (y.prompt, y.pooled))
    pipe = painter.pipe
    ids = pipe.tokenizer_2("a <x> <x>_1", return_tensors="pt")["input_ids"]
    assert ids.shape == (1, 5)  # cut after the end, where a causal tower ends
    with torch.no_grad():
        last = pipe.text_encoder_2(ids).last_hidden_state[:, -1]
        own = pipe.text_encoder_2.text_projection(last)
    torch.testing.assert_close(x.pooled, own, atol=1e-5, rtol=1e-4)
    long = "<x>" + " a cat on red" * 8  # beyond the positions
    read = painter.encoding.read(long)
    assert isinstance(read, Encoded) and read.prompt.shape == (1, 64, 64)


def test_an_embedding_of_another_generator_is_refused(xl: str, tmp_path: Path) -> None:
    one = write(tmp_path, "old.safetensors", {"emb_params": ROWS})
    with pytest.raises(PezError, match=r"old\.safetensors is .*vectors of 32 numbers.* 32 \+ 32"):
        open_painter(options(generator=xl, embedding=(one,)))
    both = write(tmp_path, "b.safetensors", {"emb_params": torch.cat([ROWS, ROWS], 1)})
    assert open_painter(options(generator=xl, embedding=(both,))).words == ["<b>"]


def test_two_files_of_one_word_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path, name, {"<x>": torch.randn(192)}) for name in ("a.bin", "b.bin")]
    with pytest.raises(PezError, match="two textual inversions have the word <x>"):
        open_painter(options(embedding=tuple(files)))


def test_what_the_search_writes_is_drawn_and_is_a_word(xl: str, tmp_path: Path) -> None:
    parts = (ROWS[:3], ROWS[3:6])
    found = Result("a", [1], 0.1, "x", "soft", ["x"], 1, 1.0, 0, soft_score=0.1, embeddings=parts)
    for name in ("found.safetensors", "found"):
        save_embeddings(found, tmp_path / name)
        ((_, soft),) = read_prompts(str(tmp_path / name))
        assert isinstance(soft, torch.Tensor)
        torch.testing.assert_close(soft, torch.cat(parts, 1))
        assert [learned.parts[0].tolist() for learned in read_embeddings(tmp_path / name)] == [
            parts[0].tolist()
        ]
    painter = open_painter(
        options(generator=xl, embedding=(str(tmp_path / "found.safetensors"),), width=16, height=16)
    )
    assert painter.words == ["<found>"] and len(painter.paint([soft, "a <found>"], [0, 0])) == 2
    with pytest.raises(PezError, match=r"name the file s\.safetensors"):
        save_embeddings(found, tmp_path / "s.pt")
