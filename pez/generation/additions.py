"""What can be added to a loaded pipeline: another sampler, LoRAs."""

from __future__ import annotations

import importlib
from typing import Any

from pez.errors import PezError
from pez.files import user_path
from pez.formats.prompts import names_weights
from pez.generation.options import split_weight
from pez.models.hub import split_revision
from pez.models.loading import explained
from pez.models.trust import check_file, check_folder

# name -> class of diffusers and its settings; names as web UIs have them
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++_karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpm++_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++_single": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {"algorithm_type": "deis"}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
}


def set_scheduler(pipe: Any, name: str) -> None:
    """Exchange the pipeline's sampler, keeping its noise schedule.

    PezError for an unknown name, and for a sampler that does not fit what the pipeline was
    trained on (flow matching or diffusion).
    """
    key = name.lower().replace(" ", "_").replace("-", "_")
    if key not in SCHEDULERS:
        raise PezError(f"unknown scheduler {name!r}; there are {', '.join(SCHEDULERS)}.")
    flows = "FlowMatch" in type(pipe.scheduler).__name__
    if flows != key.startswith("flow"):
        fitting = [n for n in SCHEDULERS if n.startswith("flow") == flows]
        raise PezError(
            f"scheduler {name!r} does not fit {type(pipe).__name__}; take {', '.join(fitting)}."
        )
    kind, settings = SCHEDULERS[key]
    pipe.scheduler = getattr(importlib.import_module("diffusers"), kind).from_config(
        pipe.scheduler.config, **settings
    )


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
        with explained(source):
            if path.exists() and not path.is_dir():
                check_file(path)
                pipe.load_lora_weights(str(path.parent), adapter_name=name, weight_name=path.name)
            elif path.is_dir():
                check_folder(path, source)
                pipe.load_lora_weights(str(path), adapter_name=name)
            else:
                _hub_lora(pipe, source, name)
        loaded = {a for part in pipe.get_list_adapters().values() for a in part}
        if name not in loaded:  # diffusers only warns
            raise PezError(f"{source} holds no LoRA that fits {type(pipe).__name__}.")
        names.append(name)
        weights.append(weight)
    pipe.set_adapters(names, weights)


def refuse_missing(source: str, option: str) -> None:
    """PezError for a file that is not there, which the hub would be asked for."""
    on_hub = source.count("/") == 1 and source[0] not in "./~"
    if not user_path(source).exists() and (not on_hub or names_weights(source)):
        raise PezError(f"{option} {source} does not exist; check its name.")


def _hub_lora(pipe: Any, source: str, name: str) -> None:
    """Load a LoRA by its hub id. Without a network diffusers needs the name of the file:
    then the cached files are loaded like a local folder.
    """
    from huggingface_hub import constants, snapshot_download

    repo, revision = split_revision(source)
    if constants.HF_HUB_OFFLINE:
        folder = snapshot_download(repo, revision=revision, local_files_only=True)
        pipe.load_lora_weights(folder, adapter_name=name)
    else:
        pipe.load_lora_weights(repo, adapter_name=name, revision=revision)
