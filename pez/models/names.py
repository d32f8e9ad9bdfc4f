"""Names of what is shipped."""

from __future__ import annotations

from pathlib import Path

from pez.files import data_folder

# what works without the hub: the CLIP that errors and the demo name, and the generator
OFFLINE_CLIP = "photo"
OFFLINE = "mini-sd"

BACKBONE = "backbone.toml"  # in the folders of CLIPs whose image trunk comes from a package

# GPT-2's distilled half (Sanh et al. 2019): 6 layers, so that reading a prompt costs no more than
# CLIP's own tower; one table for input and output, which a fluency term needs; and GPT-2's
# vocabulary, in which most of CLIP's words are one token and published perplexities are given.
LANGUAGE = "distilbert/distilgpt2"


def shipped_folder(name: str) -> Path:
    """The folder of a shipped CLIP."""
    return data_folder() / "models" / name


def shipped_names() -> list[str]:
    """Names of the CLIPs that are shipped whole."""
    return [name for name in _clips() if not (shipped_folder(name) / BACKBONE).is_file()]


def photo_names() -> list[str]:
    """Names of the shipped CLIPs whose image trunk comes from a package."""
    return [name for name in _clips() if (shipped_folder(name) / BACKBONE).is_file()]


def bare_name(name: str) -> str:
    """``name``, or the last part of a path to a folder of the shipped ``data``, wherever that lies:
    ``photo`` for ``local-dir:pez/data/models/photo``.
    """
    *above, kind, last = ["", "", *name.replace("\\", "/").rstrip("/").split("/")]
    below = above[-1].rpartition(":")[2] == "data" and kind in ("models", "generators")
    return last if below else name


def is_shipped(name: str) -> bool:
    """Whether ``name`` is that of a shipped CLIP or generator, or a path to its folder."""
    return bare_name(name) in {*_clips(), *shipped_generators()}


def reads_photographs(name: str) -> bool:
    """Whether ``name`` is that of a shipped CLIP of real photographs, or a path to its folder; all
    else that is shipped knows only a synthetic world.
    """
    return bare_name(name) in photo_names()


def _clips() -> list[str]:
    folder = data_folder() / "models"
    return sorted(p.parent.name for p in folder.glob("*/open_clip_config.json"))


def shipped_generators() -> list[str]:
    """Names of the shipped generators."""
    folder = data_folder() / "generators"
    return sorted(p.parent.name for p in folder.glob("*/model_index.json"))
