"""Generators as artists have them: in one file, as half-precision variants, with another VAE."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_pipelines import TEXT, options, save_sd

from pez.errors import PezError
from pez.generation import open_painter
from pez.models.generators import find_generator, weights_digest
from pez.models.identity import identity


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_sd(tmp_path_factory.mktemp("small") / "sd"))


def test_a_folder_of_the_half_variant_alone_and_a_vae_by_folder_are_drawn(folder: Path) -> None:
    painter = open_painter(options(generator=str(folder), steps=4))
    own = painter.paint([TEXT], [0])[0].tobytes()
    vae = open_painter(options(generator=str(folder), steps=4, vae=str(folder / "vae")))
    assert vae.paint([TEXT], [0])[0].tobytes() == own
    for file in list(folder.glob("*/*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))
    half = open_painter(options(generator=str(folder), steps=4))
    assert half.paint([TEXT], [0])[0].tobytes() == own
    with pytest.raises(PezError, match=r"--vae \./none does not exist"):
        open_painter(options(generator=str(folder), vae="./none"))


def test_a_file_is_a_checkpoint_or_says_that_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"foo": torch.zeros(3)}, path)
    assert find_generator(str(path)).file == path
    with pytest.raises(PezError, match="is no checkpoint of a generator"):
        open_painter(options(generator=str(path)))
    before = weights_digest(path), identity(str(path))
    save_file({"foo": torch.ones(3)}, path)
    assert not set(before) & {weights_digest(path), identity(str(path))}
    path.write_bytes(b"<html>")
    with pytest.raises(PezError, match="is damaged"):
        open_painter(options(generator=str(path)))
