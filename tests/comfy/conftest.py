"""ComfyUI's own packages if the environment names a ComfyUI, else what stands in for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import ROOT

# the folder of a ComfyUI whose requirements this Python has
COMFYUI = os.environ.get("PEZ_COMFYUI", "")
_FOLDER = Path(COMFYUI) if COMFYUI else ROOT / "tests" / "helpers" / "comfyui"


@pytest.fixture(scope="session", autouse=True)
def comfyui() -> Iterator[Path]:
    """The folder that ``comfy`` and ``comfy_api`` are imported from."""
    sys.path.insert(0, str(_FOLDER))
    if COMFYUI:
        from comfy.cli_args import args  # type: ignore[import-not-found]

        args.cpu = True
    yield _FOLDER
    sys.path.remove(str(_FOLDER))
