"""Textual inversions and soft prompts are read in every form that tools give them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from pez.errors import PezError
from pez.formats.embeddings import joined, read_embeddings

L, G = torch.randn(2, 6), torch.randn(2, 10)


class Evil:
    """A pickle that would make a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("made",)


def original(rows: torch.Tensor) -> torch.nn.ParameterDict:
    return torch.nn.ParameterDict({"*": torch.nn.Parameter(rows)})


@pytest.mark.parametrize(
    ("held", "word", "parts"),
    [
        ({"emb_params": L}, "", [L]),
        ({"<a word>": L}, "<a word>", [L]),
        ({"<one>": L[0]}, "<one>", [L[:1]]),
        (L, "", [L]),
        ({"clip_g": G, "clip_l": L}, "", [L, G]),
        ({"text_encoders_1": G, "text_encoders_0": L}, "", [L, G]),
        ({"model_0": L, "model_1": G}, "", [L, G]),
        ({"string_to_param": {"*": L}, "name": "Style", "step": 7}, "Style", [L]),
        ({"string_to_param": {"*": L}, "name": "*"}, "", [L]),
        ({"string_to_token": {"*": torch.tensor(2)}, "string_to_param": original(L)}, "", [L]),
        ({"<half>": L.half()}, "<half>", [L.half().float()]),
    ],
)
@pytest.mark.parametrize("form", ["pickle", "old pickle", "safetensors"])
def test_every_form_is_read(
    held: Any, word: str, parts: list[torch.Tensor], form: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.pt"  # the content counts, not the name
    if form == "safetensors":
        if not isinstance(held, dict) or "string_to_param" in held:
            pytest.skip("safetensors holds tensors by name alone")
        file.write_bytes(save({k: v.clone() for k, v in held.items()}))
    else:
        if form != "pickle" and isinstance(held, dict) and "string_to_token" in held:
            pytest.skip("then torch keeps the class's source with it")
        torch.save(held, file, _use_new_zipfile_serialization=form == "pickle")
    (found,) = read_embeddings(file)
    assert found.word == word and found.widths == tuple(p.shape[1] for p in parts)
    assert all(torch.equal(a, b) for a, b in zip(found.parts, parts, strict=True))
    assert torch.equal(joined(found), torch.cat(parts, -1))


def test_several_words_of_a_file_are_several_entries(tmp_path: Path) -> None:
    save_file({"<s0>": L, "<s1>": L[:1].clone()}, tmp_path / "two.safetensors")
    found = read_embeddings(tmp_path / "two.safetensors")
    assert [(one.word, len(one.parts[0])) for one in found] == [("<s0>", 2), ("<s1>", 1)]


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"lora_unet_a.lora_up.weight": L}, "is a LoRA"),
        ({"model.diffusion_model.out.0.weight": L}, "a whole checkpoint"),
        ({"clip_l": L, "clip_g": G[:1]}, "2 and 1 vectors"),
        ({"emb_params": L[None]}, "no file of embeddings"),
        ({"a": "text"}, "no file of embeddings"),
        ({"emb_params": L / 0}, "not finite"),
        ({}, "holds no tensors"),
        ({"string_to_param": {}}, "no single word"),
    ],
)
def test_what_is_no_embedding_is_told_apart(held: Any, why: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "x.pt")
    with pytest.raises(PezError, match=why):
        read_embeddings(tmp_path / "x.pt")


def test_a_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"emb_params": Evil()}, "evil.pt")
    with pytest.raises(PezError, match="code of its own"):
        read_embeddings("evil.pt")
    assert not Path("made").exists()
    for name, content in (("a.safetensors", b"<html>"), ("b.pt", b""), ("c.bin", b"\x80")):
        Path(name).write_bytes(content)
        with pytest.raises(PezError, match=f"{name} is not a file of tensors"):
            read_embeddings(name)
    with pytest.raises(PezError, match="cannot be read"):
        read_embeddings("nowhere.pt")
