"""Models by name, tag and folder, and the errors when one cannot be loaded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_clips import picture, refusal, small_folder

from pez.cli import main
from pez.errors import PezError, PezWarning
from pez.models import load_model, model_tokens
from pez.models.build import doubt
from pez.models.hub import prepare_hub
from pez.models.names import OFFLINE_CLIP
from pez.models.openclip import OpenClip


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
    with pytest.warns(PezWarning, match=r"ViT-B-32-quickgelu if they were trained") as said:
        assert load_model(name, "cpu").table.shape == (49408, 16)
    assert len(said) == 1 and str(said[0].message).startswith(f"{name}: ")


def test_a_file_named_like_a_tag_is_read_and_not_the_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_clip takes ``LAION2B-S34B-B79K`` for its tag; a user who has that file means it."""
    folder = small_folder(tmp_path)
    made = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32-256", made)
    state = load_file(folder / "open_clip_model.safetensors")
    torch.save(state, tmp_path / "DataComp-S34B-B86K")
    monkeypatch.chdir(tmp_path)
    reader = load_model("ViT-B-32-256/DataComp-S34B-B86K", "cpu")
    assert torch.equal(reader.table, state["token_embedding.weight"])


def test_files_that_are_no_weights_are_refused_with_their_name(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not weights at all")
    said = refusal(f"ViT-B-32-256/{bad}", "cpu")
    assert str(bad) in said and "check that the file fits" in said
    program = tmp_path / "ViT-B-32.pt"
    torch.jit.script(torch.nn.Linear(1, 1)).save(program)
    said = refusal(f"ViT-B-32-256/{program}", "cpu")
    assert str(program) in said and "TorchScript" in said


def test_what_a_file_leaves_open_is_told() -> None:
    assert "GELU" in doubt("ViT-L-14", "/a/file.pt")
    assert "GELU" not in doubt("ViT-L-14-quickgelu", "/a/file.pt"), "the user has chosen"
    assert "pictures" in doubt("ViT-B-16-SigLIP", "/a/file.npz")
    assert "pictures" not in doubt("ViT-B-32", "/a/file.pt")
    assert not doubt("ViT-B-32-256", "/a/file.pt"), "published in one way only"
    assert not doubt("local-dir:/a/folder", None), "its file says all"


def test_the_one_pair_on_which_open_clip_disagrees_with_itself_is_told() -> None:
    found = [pair for pair in open_clip.list_pretrained() if doubt(*pair)]
    assert found == [("roberta-ViT-B-32", "laion2b_s12b_b32k")]


def test_a_hub_model_without_the_quickgelu_of_its_tag_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: dict[str, dict] = {}
    monkeypatch.setattr(open_clip.factory, "_get_hf_config", lambda *_, **__: {"model_cfg": said})
    name = "hf-hub:apple/DFN2B-CLIP-ViT-B-16"
    assert "ViT-B-16/dfn2b" in doubt(name, None)
    said |= {"quick_gelu": True}  # type: ignore[dict-item]
    assert not doubt(name, None)
    assert not doubt("hf-hub:some/body", None)


def test_the_command_line_tells_of_doubts_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_folder(tmp_path)
    made = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", made)
    name = f"ViT-B-32/{folder / 'open_clip_model.safetensors'}"
    assert main(["neighbours", "cat", "--model", name, "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"pez: {name}: ") and said.count("\n") == 1


def test_a_quickgelu_architecture_with_a_tag_trained_without_it_is_refused() -> None:
    said = refusal("ViT-B-32-quickgelu/laion2b_s34b_b79k", "cpu")
    assert "QuickGELU" in said and "write ViT-B-32/laion2b_s34b_b79k " in said


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
    assert name in said and f"--model {OFFLINE_CLIP}" in said


def test_without_a_network_the_hub_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://no-such-host.invalid")
    monkeypatch.setenv("HF_HUB_OFFLINE", "x")
    monkeypatch.delenv("HF_HUB_OFFLINE")  # and is put back after the test
    prepare_hub()
    assert constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")  # names are the proxy's business
    monkeypatch.setattr(constants, "ENDPOINT", "https://no-other-host.invalid")
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
