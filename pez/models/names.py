"""Names of what is shipped."""

from __future__ import annotations

from pez.files import data_folder

OFFLINE = "mini-sd"  # the generator that works without the hub


def shipped_names() -> list[str]:
    """Names of the shipped CLIPs."""
    folder = data_folder() / "models"
    return sorted(p.parent.name for p in folder.glob("*/open_clip_config.json"))


def shipped_generators() -> list[str]:
    """Names of the shipped generators."""
    folder = data_folder() / "generators"
    return sorted(p.parent.name for p in folder.glob("*/model_index.json"))
