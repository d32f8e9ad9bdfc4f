"""Weights under a name: any change of them counts, on disk and in the hub's cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
from small_clips import small_folder, trained_further

import pez.models.identity
from pez.files import data_folder
from pez.models.generators import GENERATORS
from pez.models.identity import folder_hash, identity, weights_hash


def test_new_weights_count_and_results_beside_them_do_not(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "m")
    name = f"local-dir:{folder}"
    before = weights_hash(name)
    assert identity(name) == f"{name}@{before}" and len(before) == 16
    beside = ("prompts.jsonl", "README.md", "figures.json", "picture.png")
    for file in (*beside, "runs/1/model.safetensors"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"{}")
    os.utime(folder / "open_clip_model.safetensors", (1, 1))
    assert weights_hash(name) == before
    assert weights_hash(f"local-dir:{shutil.copytree(folder, tmp_path / 'copy')}") == before
    (folder / "open_clip_model.safetensors").rename(tmp_path / "weights.safetensors")
    shutil.copy(tmp_path / "weights.safetensors", folder / "open_clip_model.safetensors")
    assert weights_hash(name) == before
    shutil.rmtree(folder / "runs")
    trained_further(folder, 1e-6)
    assert weights_hash(name) != before


def test_a_pipelines_folders_count_and_a_file_of_weights_too(tmp_path: Path) -> None:
    folder = tmp_path / "sd"
    shutil.copytree(data_folder() / "generators" / "mini-sd", folder)
    assert folder_hash(folder) == weights_hash("mini-sd") == weights_hash(str(folder))
    trained_further(folder / "unet")
    assert weights_hash(str(folder)) != weights_hash("mini-sd")
    file = tmp_path / "weights.pt"
    file.write_bytes(b"one")
    before = weights_hash(f"ViT-B-32/{file}")
    file.write_bytes(b"two")
    assert before and weights_hash(f"ViT-B-32/{file}") not in ("", before)


def test_a_published_tag_is_no_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("laion2b_e16").write_bytes(b"mine")
    Path("name").write_bytes(b"mine")
    assert identity("ViT-B-32/laion2b_e16") == "ViT-B-32/laion2b_e16"
    assert identity("owner/name") == "owner/name"


def test_a_large_file_is_looked_at_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, tensor = 3 << 20, 8 << 10
    monkeypatch.setattr(pez.models.identity, "WHOLE", 1 << 20)
    monkeypatch.setattr(pez.models.identity, "PIECE", 64)
    file = tmp_path / "model.bin"
    content = bytes(size)
    file.write_bytes(content)
    seen = {folder_hash(tmp_path)}
    for start in (0, size // 3, size // 2, size - tensor):
        file.write_bytes(content[:start] + b"\1" * tensor + content[start + tensor :])
        seen.add(folder_hash(tmp_path))
    assert len(seen) == 5
    file.write_bytes(content + b"\0")
    assert folder_hash(tmp_path) not in seen


def fetched(cache: Path, repository: str, file: str, content: str, commit: str) -> None:
    """Lay a file into the hub's cache as its client does: a blob, a snapshot, a ref."""
    home = cache / f"models--{repository.replace('/', '--')}"
    blob, place = home / "blobs" / content, home / "snapshots" / commit / file
    for path in (blob, place, home / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_text(content)
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(blob, place.parent))
    (home / "refs" / "main").write_text(commit)


@pytest.mark.skipif(os.name == "nt", reason="the hub's cache has no links there")
def test_the_hubs_cache_tells_its_weights_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    one, two = "1" * 40, "2" * 40
    known = {
        "ViT-L-14/openai": "timm/vit_large_patch14_clip_224.openai",
        "hf-hub:owner/clip": "owner/clip",
    }
    for name, repository in known.items():
        assert weights_hash(name) == ""
        before = identity(name)
        fetched(tmp_path, repository, "open_clip_model.safetensors", "aaaa", one)
        assert weights_hash(name) == "aaaa"
        fetched(tmp_path, repository, "open_clip_model.safetensors", "aaaa", two)
        assert weights_hash(name) == "aaaa", "another card for the same weights"
        fetched(tmp_path, repository, "open_clip_model.safetensors", "bbbb", two)
        assert weights_hash(name) == "bbbb"
        assert identity(name) == before, "the same before and after the weights are fetched"
    fetched(tmp_path, GENERATORS["sd15"].source, "model_index.json", "cccc", one)
    assert weights_hash("sd15") == weights_hash(GENERATORS["sd15"].source) == one[:16]
    fetched(tmp_path, "owner/lm", "model.safetensors", "dddd", one)
    assert weights_hash("owner/lm") == "dddd"
