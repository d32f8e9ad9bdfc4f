"""What can be added to a loaded pipeline: another sampler, LoRAs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import user_path
from pez.formats.prompts import names_weights
from pez.generation.lora_files import check_lora, lora_file, lora_name
from pez.generation.options import split_weight
from pez.generation.samplers import SCHEDULERS, SCHEDULES, parts_of, sampler_name
from pez.models.hub import split_revision
from pez.models.loading import explained
from pez.models.trust import check_folder


def set_scheduler(pipe: Any, name: str) -> None:
    """Exchange the pipeline's sampler, keeping its noise schedule.

    A pipeline trained by flow matching takes the sampler of that kind: Euler's and Heun's own, and
    those that know its noise levels. PezError for an unknown name, and for a sampler that does not
    fit what the pipeline was trained on.
    """
    sampler, schedule = parts_of(sampler_name(name))
    before = pipe.scheduler.config
    flows = (
        "FlowMatch" in type(pipe.scheduler).__name__
        or bool(before.get("use_flow_sigmas"))
        or before.get("prediction_type") == "flow_prediction"
    )
    if flows and f"flow_{sampler}" in SCHEDULERS:
        sampler = f"flow_{sampler}"
    kind, settings = SCHEDULERS.get(sampler, (sampler, {}))
    found: Any = getattr(importlib.import_module("diffusers"), kind, None)
    if not hasattr(found, "from_config"):
        raise PezError(f"unknown scheduler {name!r}; there are {', '.join(SCHEDULERS)}.")
    settings = settings | SCHEDULES.get(schedule, {})
    takes = inspect.signature(found.__init__).parameters
    if flows != ("FlowMatch" in kind):
        if not flows or "use_flow_sigmas" not in takes:
            fitting = [n for n in SCHEDULERS if n.startswith("flow") == flows]
            raise PezError(
                f"scheduler {name!r} does not fit {type(pipe).__name__}; take {', '.join(fitting)}."
            )
        shift = before.get("flow_shift") or before.get("shift") or 1.0
        settings |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
        settings |= {"flow_shift": shift}
    if missing := settings.keys() - takes.keys():
        raise PezError(f"{kind} has no {sorted(missing)[0]}, which {name!r} needs; take another.")
    try:
        pipe.scheduler = found.from_config(before, **settings)
    except (ValueError, ImportError, NotImplementedError) as error:
        why = str(error).strip().split("\n")[0][:160]
        raise PezError(f"scheduler {name!r} does not fit {type(pipe).__name__}: {why}") from error


def add_loras(pipe: Any, loras: tuple[str, ...]) -> None:
    """Load each ``file-folder-or-id=weight`` and set its weight.

    Several add up. PezError if the pipeline takes none or a file fits none of its parts.
    """
    if not loras:
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise PezError(f"{type(pipe).__name__} takes no LoRA; omit --lora.")
    names, weights = [], []
    for n, text in enumerate(loras):
        source, weight = split_weight(text)
        path = user_path(source)
        refuse_missing(source, "--lora")
        name = f"lora{n}"
        with explained(source), _fitting(source, pipe):
            if path.exists():
                _local_lora(pipe, path, source, name)
            else:
                _hub_lora(pipe, source, name)
        loaded = {a for part in pipe.get_list_adapters().values() for a in part}
        if name not in loaded:  # diffusers only warns
            kind = type(pipe).__name__
            raise PezError(
                f"{source} holds no LoRA that fits {kind}: it is for another base model."
            )
        names.append(name)
        weights.append(weight)
    pipe.set_adapters(names, weights)


@contextmanager
def _fitting(source: str, pipe: Any) -> Iterator[None]:
    """Within, a LoRA whose sizes are those of another base model is told as that."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError, IndexError) as error:  # diffusers raises each
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        kind = type(pipe).__name__
        raise PezError(f"{source} does not fit {kind}: it is for another base model.") from error


def refuse_missing(source: str, option: str) -> None:
    """PezError for a file that is not there, which the hub would be asked for."""
    on_hub = source.count("/") == 1 and source[0] not in "./~"
    if not user_path(source).exists() and (not on_hub or names_weights(source)):
        raise PezError(f"{option} {source} does not exist; check its name.")


def _local_lora(pipe: Any, path: Path, source: str, name: str) -> None:
    """Load a LoRA by its file, or by a folder with that file."""
    if path.is_dir():
        check_folder(path, source)
        path = lora_file(path, source)
    check_lora(path, source)
    pipe.load_lora_weights(str(path.parent), adapter_name=name, weight_name=path.name)


def _hub_lora(pipe: Any, source: str, name: str) -> None:
    """Load a LoRA by its hub id: its file is looked at before diffusers takes it, as a local one
    is. Without a network it is that of the cache.
    """
    from huggingface_hub import constants, hf_hub_download, model_info, snapshot_download

    repo, revision = split_revision(source)
    if constants.HF_HUB_OFFLINE:
        path = snapshot_download(repo, revision=revision, local_files_only=True)
    else:
        held = model_info(repo, revision=revision).siblings or []
        file = lora_name([one.rfilename for one in held], source)
        path = hf_hub_download(repo, file, revision=revision)
    _local_lora(pipe, Path(path), source, name)


def skip_layers(pipe: Any, clip_skip: int) -> None:
    """Leave out the last ``clip_skip`` - 1 layers of the text encoder, before its last norm, as
    A1111's "Clip skip" does. diffusers' own ``clip_skip`` fails with transformers 5.

    PezError for other than a single CLIP: SDXL reads before the last layer as it is.
    """
    if clip_skip < 2:
        return
    encoder = getattr(pipe, "text_encoder", None)
    layers = getattr(getattr(encoder, "encoder", None), "layers", None)
    if getattr(pipe, "text_encoder_2", None) is not None or layers is None:
        raise PezError(f"{type(pipe).__name__} does not read with CLIP alone; omit --clip-skip.")
    if clip_skip > len(layers):
        raise PezError(f"--clip-skip {clip_skip} leaves none of CLIP's {len(layers)} layers.")
    del layers[len(layers) - clip_skip + 1 :]
