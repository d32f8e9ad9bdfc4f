"""Generators as artists have them: in one file, as half-precision variants, with another VAE."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_pipelines import TEXT, options, save_sd

from pez.errors import PezError
from pez.generation import open_painter
from pez.generation.additions import add_loras
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


def test_a_folder_whose_content_changed_is_another_setting(tmp_path: Path) -> None:
    folder = tmp_path / "style"
    folder.mkdir()
    file = folder / "pytorch_lora_weights.safetensors"
    save_file({"unet.x.lora_A.weight": torch.zeros(4, 4)}, file)
    own = [
        {"lora": (f"{folder}=0.5",)},
        {"vae": str(folder)},
        {"control": str(tmp_path / "p.png"), "control_model": str(folder)},
    ]
    before = [options(**more).fingerprint() for more in own]  # type: ignore[arg-type]
    assert before == [options(**more).fingerprint() for more in own]  # type: ignore[arg-type]
    save_file({"unet.x.lora_A.weight": torch.ones(4, 4)}, file)
    after = [options(**more).fingerprint() for more in own]  # type: ignore[arg-type]
    assert not set(before) & set(after)


def test_folders_of_loras_are_checked_as_files_are(tmp_path: Path) -> None:
    part = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    plain = {
        f"{part}.lora_A.weight": torch.zeros(2, 32),
        f"{part}.lora_B.weight": torch.ones(64, 2),
    }
    file = tmp_path / "weights.safetensors"
    pipe = open_painter(options()).pipe
    for more, why in (
        ({f"{part}.dora_scale": torch.ones(64, 1)}, "is a DoRA"),
        ({f"{part}.lora_magnitude_vector": torch.ones(64)}, "is a DoRA"),
        ({f"{part}.hada_w1_a": torch.ones(64, 2)}, "LyCORIS"),
    ):
        save_file(plain | more, file)
        with pytest.raises(PezError, match=why):
            add_loras(pipe, (str(tmp_path),))
    save_file(plain, file)
    save_file(plain, tmp_path / "other.safetensors")
    with pytest.raises(PezError, match="several files of weights"):
        add_loras(pipe, (str(tmp_path),))
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(PezError, match="holds no LoRA"):
        add_loras(pipe, (str(tmp_path),))


def test_a_file_with_the_ending_of_another_format_is_told(tmp_path: Path) -> None:
    pipe = open_painter(options()).pipe
    save_file({"a.lora_A.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.pt")
    with pytest.raises(PezError, match=r"holds safetensors; name it a\.safetensors"):
        add_loras(pipe, (str(tmp_path / "a.pt"),))
    torch.save({"a.lora_A.weight": torch.zeros(2)}, tmp_path / "b.safetensors")
    with pytest.raises(PezError, match=r"a file of torch\.save; name it \.pt"):
        add_loras(pipe, (str(tmp_path / "b.safetensors"),))
