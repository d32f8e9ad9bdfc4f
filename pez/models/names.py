"""Names of what is shipped."""

from __future__ import annotations

from pez.files import data_folder

OFFLINE = "mini-sd"  # the generator that works without the hub

# GPT-2's distilled half (Sanh et al. 2019): 6 layers, so that reading a prompt costs no more than
# CLIP's own tower; one table for input and output, which a fluency term needs; and GPT-2's
# vocabulary, in which most of CLIP's words are one token and published perplexities are given.
LANGUAGE = "distilbert/distilgpt2"


def shipped_names() -> list[str]:
    """Names of the shipped CLIPs."""
    folder = data_folder() / "models"
    return sorted(p.parent.name for p in folder.glob("*/open_clip_config.json"))


def shipped_generators() -> list[str]:
    """Names of the shipped generators."""
    folder = data_folder() / "generators"
    return sorted(p.parent.name for p in folder.glob("*/model_index.json"))
