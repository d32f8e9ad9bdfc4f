"""Models of transformers by name: a folder, an id of the hub, or a part of a pipeline there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pez.errors import PezError
from pez.files import user_path
from pez.models.ambient import random_state_kept
from pez.models.devices import pick_device
from pez.models.failures import FOLDER, loading_error
from pez.models.family import Weights
from pez.models.hub import prepare_hub, split_revision
from pez.models.trust import check_model, unasked

CACHED = ("model.safetensors", "pytorch_model.bin", "config.json")  # the first that exists counts
CONFIG = "config.json"


@dataclass(frozen=True)
class Place:
    """Where a model and its tokenizer are: folders, "" for none, within ``source``, which is a
    folder of this disk or a repository of the hub.
    """

    name: str  # as the user wrote it
    source: str
    revision: str | None = None
    model: str = ""
    words: str = ""

    @property
    def local(self) -> bool:
        """Whether it is on this disk."""
        return Path(self.source).is_dir()

    @property
    def weights(self) -> Weights:
        """Where its weights are; on this disk its tokenizer's files count too."""
        if self.local:
            parts = dict.fromkeys((self.model, self.words))
            return Weights.of(*(Path(self.source) / part for part in parts))
        cached = tuple(f"{self.model}/{file}".lstrip("/") for file in CACHED)
        return Weights(repository=self.source, revision=self.revision, cached=cached)


def find_place(name: str, prefix: str) -> Place:
    """``prefix`` and a folder, owner/name, or a part of a pipeline in either, such as
    ``text_encoder_3``, whose tokenizer is beside it in ``tokenizer_3``. A hub id may end with
    @revision. PezError for what is none of these.
    """
    bare, revision = split_revision(name.removeprefix(prefix))
    folder = user_path(bare)
    if bare and folder.is_dir():
        if not (folder / CONFIG).is_file():
            parts = [p.parent.name for p in sorted(folder.glob(f"text_encoder*/{CONFIG}"))]
            ways = " or ".join(f"{name}/{part}" for part in parts)
            remedy = f"it is a pipeline: write {ways}" if ways else "it has no config.json"
            raise PezError(f"{folder} is not a model of transformers; {remedy}.")
        words = _words(folder.name)
        if words and (folder.parent / words).is_dir():
            return Place(name, str(folder.parent), None, folder.name, words)
        return Place(name, str(folder))
    parts = bare.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise PezError(
            f"{name!r} is not a model: write {prefix}FOLDER with a folder that exists, "
            f"{prefix}owner/name, or {prefix}owner/name/text_encoder for a part of a pipeline."
        )
    part = parts[2] if len(parts) == 3 else ""
    return Place(name, "/".join(parts[:2]), revision, part, _words(part))


def open_place(name: str, prefix: str) -> Place:
    """:func:`find_place`, once its settings are checked: PezError if they switch code on."""
    place = find_place(name, prefix)
    with _explained(place):
        for part in dict.fromkeys((place.model, place.words)):
            check_model(place.source, place.revision, name, part)
    return place


def known_place(name: str, prefix: str) -> Weights | None:
    """The weights of a name with ``prefix``, empty if it is not a model; None for other names."""
    if not name.startswith(prefix):
        return None
    try:
        return find_place(name, prefix).weights
    except PezError:
        return Weights()  # loading it reports what is wrong


def _words(part: str) -> str:
    """The folder of the tokenizer of a pipeline's text encoder; "" for other folders."""
    return part.replace("text_encoder", "tokenizer") if part.startswith("text_encoder") else ""


@contextmanager
def _explained(place: Place) -> Iterator[dict[str, Any]]:
    """Where to load from, as transformers expects it; any failure becomes one sentence."""
    from transformers.utils.logging import disable_progress_bar

    if not place.local:
        prepare_hub()
    disable_progress_bar()  # of weights being read: it would tear the search's own
    try:
        with unasked():
            yield {"revision": place.revision} if place.revision else {}
    except Exception as error:  # transformers and the hub each raise their own
        raise loading_error(place.name, error, local=FOLDER if place.local else "") from error


def open_config(place: Place, kinds: tuple[str, ...]) -> Any:
    """The configuration. PezError if it is not of one of the ``kinds`` by transformers' name."""
    from transformers import AutoConfig

    with _explained(place) as where:
        config = AutoConfig.from_pretrained(
            place.source, subfolder=place.model, trust_remote_code=False, **where
        )
    if config.model_type not in kinds:
        raise PezError(
            f"{place.name} is a model of the kind {config.model_type}, not {' or '.join(kinds)}; "
            "check the name."
        )
    return config


def open_tokenizer(place: Place) -> Any:
    """The tokenizer; it pads after the text."""
    from transformers import AutoTokenizer

    with _explained(place) as where:
        found = AutoTokenizer.from_pretrained(
            place.source, subfolder=place.words, trust_remote_code=False, **where
        )
    if found.pad_token_id is None:
        raise PezError(f"the tokenizer of {place.name} has no padding token; set its pad_token.")
    found.padding_side = "right"
    return found


def open_processor(place: Place) -> Any:
    """What prepares pictures for a CLIP."""
    from transformers import CLIPImageProcessor

    with _explained(place) as where:
        return CLIPImageProcessor.from_pretrained(place.source, subfolder=place.model, **where)


def open_weights(place: Place, kind: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model of transformers' class ``kind``, frozen. PezError if a weight is missing, which
    transformers would fill with random numbers.
    """
    with _explained(place) as where:
        more = {"subfolder": place.model, "dtype": dtype, "output_loading_info": True, **where}
        model, info = kind.from_pretrained(place.source, **more)
        if missing := sorted(info["missing_keys"]):
            raise PezError(
                f"{place.name} lacks {missing[0]}, which a {kind.__name__} needs; check that "
                "its weights are of this kind and complete."
            )
        return model.eval().requires_grad_(False).to(device)


@random_state_kept()
def open_pretrained(
    name: str, device: str, kind: Any, reader: Any, called: str = ""
) -> tuple[Any, Any, torch.device]:
    """A frozen model of transformers' class ``kind``, its tokenizer or processor by ``reader``,
    and where it is. ``name`` is a folder or an id of the hub, which may name a revision;
    ``called`` is how the user named it. PezError if it is unavailable.
    """
    from transformers.utils.logging import disable_progress_bar

    source, revision = split_revision(name)
    local = user_path(source).exists()
    if not local:
        prepare_hub()
    disable_progress_bar()  # of weights being read: it would tear the search's own
    where = pick_device(device)
    more: dict[str, Any] = {"revision": revision} if revision else {}
    more["trust_remote_code"] = False
    try:
        check_model(source, revision, called or name)
        with unasked():
            other = reader.from_pretrained(source, **more)
            model = kind.from_pretrained(source, **more).eval().requires_grad_(False).to(where)
    except Exception as error:  # transformers and the hub each raise their own
        raise loading_error(called or name, error, local=FOLDER if local else "") from error
    return model, other, where


def no_pictures(name: str) -> PezError:
    """The error for pictures given to a model without an image tower."""
    return PezError(
        f"{name} has no image tower and reads only texts; search for texts with it, or name "
        "a whole CLIP for pictures."
    )
