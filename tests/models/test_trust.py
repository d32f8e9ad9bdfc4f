"""No model brings code: folders that ask for it are refused in a sentence, and nothing runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_clips import small_folder

from pez.errors import PezError, PezWarning
from pez.evaluation.judges import open_judge
from pez.evaluation.language import open_captioner
from pez.files import data_folder
from pez.models import load_model, model_tokens, open_language_model
from pez.models.pipelines import load_pipeline
from pez.models.trust import check_open_clip, check_pipeline, check_settings

REFUSED = "pez runs no code that comes with a model"
WORDS = "from transformers import PreTrainedTokenizer\nclass Evil(PreTrainedTokenizer): pass\n"


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """``marked(folder)`` adds code to a folder that leaves a file when it runs. On a terminal,
    where transformers asks, somebody types "y".
    """
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: "y")

    def mark(folder: Path) -> Path:
        run = f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n"
        for name in ("evil", "pipeline"):
            (folder / f"{name}.py").write_text(run + WORDS)
        return folder

    return mark


def put(file: Path, **entries: Any) -> None:
    """Set entries of a JSON file, which may be missing."""
    found = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(found | entries))


def said_by(load: Callable[[], object]) -> str:
    with pytest.raises(PezError) as error:
        load()
    assert "\n" not in str(error.value)
    return str(error.value)


def with_text(folder: Path, **entries: Any) -> Path:
    """An open_clip folder with entries in its ``text_cfg``."""
    file = folder / "open_clip_config.json"
    found = json.loads(file.read_text())
    found["model_cfg"]["text_cfg"] |= entries
    file.write_text(json.dumps(found))
    return folder


def own_words(folder: Path) -> None:
    """A tokenizer of the folder's own code."""
    put(folder / "config.json", model_type="evil")
    put(
        folder / "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": ["evil.Evil", None]},
    )


@pytest.mark.parametrize("asked", [{"trust_remote_code": True}, {}])
def test_an_open_clip_folder_runs_no_code(
    asked: dict[str, bool], tmp_path: Path, marked: Callable[[Path], Path]
) -> None:
    folder = marked(small_folder(tmp_path / "m"))
    own_words(folder)
    with_text(folder, hf_tokenizer_name="x", tokenizer_kwargs=asked)
    for load in (load_model, model_tokens):
        assert REFUSED in said_by(lambda load=load: load(f"local-dir:{folder}"))
    assert not (tmp_path / "ran").exists()


def test_a_text_tower_of_transformers_runs_no_code(
    tmp_path: Path, marked: Callable[[Path], Path]
) -> None:
    folder = marked(small_folder(tmp_path / "m"))
    own = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    put(folder / "config.json", model_type="evil", auto_map=own)
    with_text(folder, hf_model_name=str(folder))
    assert REFUSED in said_by(lambda: load_model(f"local-dir:{folder}"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["language model", "judge", "captioner", "clip:", "t5:", "depth"])
def test_a_model_of_transformers_runs_no_code(
    kind: str, tmp_path: Path, marked: Callable[[Path], Path]
) -> None:
    from pez.generation.control import _depth

    folder = marked(tmp_path)
    kinds = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer", "AutoProcessor")
    kinds += ("AutoImageProcessor", "AutoModelForImageTextToText", "AutoModelForDepthEstimation")
    own: Any = dict.fromkeys(kinds, "evil.Evil")
    put(folder / "config.json", model_type="evil", auto_map=own)
    own = own | {"AutoTokenizer": ["evil.Evil", None]}
    put(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map=own)
    put(folder / "preprocessor_config.json", image_processor_type="Evil", auto_map=own)
    place = str(folder)
    loads: dict[str, Callable[[], object]] = {
        "language model": lambda: open_language_model(place, "cpu"),
        "judge": lambda: open_judge(f"dino:{place}", "cpu"),
        "captioner": lambda: open_captioner(place, "cpu"),
        "clip:": lambda: load_model(f"clip:{place}"),
        "t5:": lambda: load_model(f"t5:{place}"),
        "depth": lambda: _depth(None, place, "cpu"),  # type: ignore[arg-type]
    }
    assert REFUSED in said_by(loads[kind])
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked_about_a_tokenizer_within_a_tokenizer(
    tmp_path: Path, marked: Callable[[Path], Path]
) -> None:
    parts = {"question_encoder": {"model_type": "vit"}, "generator": {"model_type": "bart"}}
    put(tmp_path / "config.json", model_type="rag", **parts)
    inner = tmp_path / "question_encoder_tokenizer"
    inner.mkdir()
    own_words(marked(inner))
    put(inner / "config.json", model_type="evil")
    assert REFUSED in said_by(lambda: open_language_model(str(tmp_path), "cpu"))
    assert not (tmp_path / "ran").exists()


PARTS: dict[str, dict[str, Any]] = {
    "pipeline": {"_class_name": ["pipeline", "Evil"]},
    "module": {"text_encoder": ["os", "path"]},
    "own module": {"text_encoder": ["evil", "Evil"]},
    "file of the part": {"vae": ["autoencoder", "Evil"]},
    "open": {"tokenizer": ["transformers", "AutoTokenizer"]},
    "asked": {"options": {"trust_remote_code": True}},
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_pipeline_runs_no_code(kind: str, tmp_path: Path, marked: Callable[[Path], Path]) -> None:
    import torch

    folder = tmp_path / "g"
    shutil.copytree(data_folder() / "generators" / "mini-sd", folder)
    for place in (folder, folder / "text_encoder", folder / "vae"):
        marked(place)
        shutil.copy(place / "evil.py", place / "autoencoder.py")
    put(folder / "model_index.json", **PARTS[kind])
    assert REFUSED in said_by(lambda: load_pipeline(str(folder), torch.device("cpu")))
    assert not (tmp_path / "ran").exists()


def test_the_shipped_generator_is_accepted() -> None:
    folder = data_folder() / "generators" / "mini-sd"
    parts = json.loads((folder / "model_index.json").read_text())
    check_pipeline(parts, str(folder), None, "mini-sd")
    more: dict[str, Any] = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    more |= {"feature_extractor": [None, None], "scale": [1, 2], "requires_safety_checker": True}
    check_pipeline(parts | more, str(folder), None, "mini-sd")


def test_attention_is_not_fetched_as_code() -> None:
    check_settings({"attn_implementation": "sdpa"}, "m")
    check_settings({"a": [{"_attn_implementation": None}]}, "m")
    for value in ("owner/kernel", "flash_attention_2", {"text": "owner/kernel"}, ["owner/kernel"]):
        with pytest.raises(PezError, match=REFUSED):
            check_settings({"text_config": [{"_attn_implementation": value}]}, "m")
    deep: Any = {}
    for _ in range(100_000):
        deep = [deep]
    check_settings(deep, "m")


def test_an_open_clip_file_names_other_places_aloud_or_not_at_all(tmp_path: Path) -> None:
    def named(folder: Path | None = tmp_path, **model: Any) -> list[str]:
        return check_open_clip({"model_cfg": model}, "hf-hub:a/b", folder)

    assert named(None, text_cfg={"hf_tokenizer_name": "a/b"}) == []
    assert named(None, text_cfg={"hf_tokenizer_name": "xlm-roberta-base"}) == ["xlm-roberta-base"]
    assert named(text_cfg={"hf_tokenizer_name": "../anything"}) == []  # the folder's are read
    for elsewhere in ("../x", "/etc", "~/x", str(tmp_path.parent), 7, "a/b/c", "hf-hub:a/b"):
        for key in ("hf_model_name", "hf_tokenizer_name"):
            with pytest.raises(PezError, match="neither in its folder nor an id"):
                named(None, text_cfg={key: elsewhere})
    with pytest.raises(PezError, match="image tower"):
        named(vision_cfg={"timm_model_name": "hf-hub:owner/name"})
    with pytest.raises(PezError, match="'cache_dir' of its tokenizer"):
        named(text_cfg={"tokenizer_kwargs": {"clean": "lower", "cache_dir": "/"}})
    for broken in ({}, [], {"model_cfg": []}, None):
        with pytest.raises(PezError, match="has no model_cfg"):
            check_open_clip(broken, "m")


def test_another_repository_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = with_text(small_folder(tmp_path), hf_model_name="nobody/there")
    with (
        pytest.warns(PezWarning, match="also reads nobody/there of the hub"),
        pytest.raises(PezError),
    ):
        load_model(f"local-dir:{folder}")


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    put(tmp_path / "config.json", model_type="gpt2")
    put(tmp_path / "adapter_config.json", base_model_name_or_path="owner/base")
    assert "is an adapter of owner/base" in said_by(lambda: open_language_model(str(tmp_path)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_config.json", "a.bin"])
def test_a_pipe_in_a_folder_is_not_waited_for(file: str, tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "m")
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)
    said_by(lambda: load_model(f"local-dir:{folder}"))
