"""Devices, number formats, generators and the catalogue of models."""

from __future__ import annotations

import open_clip
import pytest
import torch
from small_clips import CPU, refusal

from pez.errors import PezError
from pez.models.devices import pick_device, pick_dtype
from pez.models.families import catalogue
from pez.models.generators import DEFAULT, GENERATORS, models_for
from pez.models.names import photo_names, shipped_names
from pez.options import SearchOptions
from pez.session.session import model_names, open_reader


def test_unknown_devices_and_formats() -> None:
    assert "auto, cpu, cuda" in refusal("mini", "gpu")
    assert "auto, cpu, cuda" in refusal("mini", "")
    assert "--device cpu" in refusal("mini", "meta")
    assert "float32, bfloat16, float16" in refusal("mini", "cpu", "int8")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert "--device cpu" in refusal("mini", "cuda")
    assert "--device cpu" in refusal("mini", "mps")
    assert pick_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto").type == "cuda"
    assert pick_device("cuda:0") == torch.device("cuda:0")
    assert "1 GPU" in refusal("mini", "cuda:1")


def test_half_precision_is_for_gpus() -> None:
    for dtype in ("bfloat16", "float16"):
        said = refusal("mini", "cpu", dtype)
        assert dtype in said and "slower" in said
        assert pick_dtype(dtype, torch.device("cuda")).is_floating_point
    assert pick_dtype("float32", CPU) == torch.float32


def test_generators_name_real_models() -> None:
    published = {f"{a}/{t}" for a, t in open_clip.list_pretrained()}
    for generator, known in GENERATORS.items():
        names = known.readers
        assert set(names) <= published | set(shipped_names())
        assert models_for(generator) == names
    assert models_for("SD-1.5") == models_for("sd15")
    assert DEFAULT in published
    assert len(models_for("sdxl")) == 2


def test_an_unknown_generator_names_all() -> None:
    with pytest.raises(PezError, match="sdxl") as error:
        models_for("midjourney")
    assert "midjourney" in str(error.value)
    with pytest.raises(PezError, match="midjourney"):
        open_reader(SearchOptions(generator="midjourney"))


def test_which_models_are_searched() -> None:
    assert model_names(SearchOptions()) == (DEFAULT,)
    assert model_names(SearchOptions(model=("mini",))) == ("mini",)
    assert model_names(SearchOptions(generator="mini")) == ("mini",)
    with pytest.raises(PezError, match="not both"):
        model_names(SearchOptions(model=("mini",), generator="sd15"))


def test_the_catalogue_lists_what_can_be_loaded() -> None:
    rows = catalogue()
    names = [row["name"] for row in rows]
    own = photo_names() + shipped_names()  # what needs no network comes first
    assert names[: len(own)] == own
    assert {"mini", "mini-b"} <= set(shipped_names())
    assert len(names) == len(set(names)) > 100
    notes = {row["name"]: row["note"] for row in rows}
    assert "default" in notes[DEFAULT]
    assert all("sdxl" in notes[name] for name in GENERATORS["sdxl"].readers)
