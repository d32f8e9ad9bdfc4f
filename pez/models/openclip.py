"""Any model open_clip can build: ``architecture/pretrained``, ``local-dir:``, ``hf-hub:``."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.errors import PezError, PezWarning
from pez.files import kept_ids, user_path
from pez.models.build import QUICK, build_model, doubt, open_tokenizer, tag_config
from pez.models.family import Family, Row, Weights
from pez.models.features import TextFeatures
from pez.models.generators import DEFAULT, GENERATORS
from pez.models.hub import fetch_one, prepare_hub, split_revision
from pez.models.published import CONFIG, HUB, failed, fetch, pinned
from pez.models.text_tower import (
    Front,
    Tower,
    causal_tower,
    cut_features,
    embedding_module,
    front_rows,
    full_features,
    text_module,
    typed_features,
)
from pez.models.trust import check_folder, check_open_clip, read_settings, unasked
from pez.search.tokens import Tokens

IMAGE_BATCH = 32
LOCAL = "local-dir:"


@dataclass(eq=False)
class OpenClip(TextFeatures):
    """One open_clip model as a :class:`pez.models.Reader`."""

    name: str
    model: Any
    transform: Any
    tokens: Tokens
    device: torch.device
    known: Tensor | None = None
    own_words: list[str] | None = None
    weights: dict[str, str] = field(default_factory=dict)
    tower: Tower | None = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.model.eval().requires_grad_(False).to(self.device)
        self.tower = causal_tower(self.model, self.tokens)
        # rows of the embedding beyond the tokenizer's ids (padding of the table) are not words
        self.table = embedding_module(self.model).weight[: self.tokens.size]
        self.parts = (self.table.shape[1],)
        self.limit = self.tokens.limit

    @property
    def causal(self) -> bool:
        """Whether the context may be cut after the end token."""
        return self.tower is not None

    @cached_property
    def front(self) -> Front | None:
        """The rows of words that are typed differently at the start of a text, if any are."""
        return front_rows(self.table, *self.tokens.front)

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts given as embeddings (b, l, w)."""
        if self.tower is not None and self.front is None:
            return self._graphs(embeddings)
        return self._read(embeddings)

    def _features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e), not normalised, in the model's own number format."""
        if self.front is not None:
            embeddings = self.front.as_typed(embeddings)
        if self.tower is not None:
            return cut_features(self.tower, embeddings)
        return full_features(self.model, self.tokens, embeddings)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts, by open_clip's own tokenizer and forward."""
        return typed_features(self.tokens, self.model.encode_text, texts, self.device)

    def prepare(self, image: Image.Image) -> Tensor:
        """Pixels (3, h, w) of an RGB picture, prepared as the model was trained."""
        return self.transform(image)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of RGB pictures."""
        return self.encode_prepared([self.prepare(image) for image in images])

    @torch.no_grad()
    def encode_prepared(self, prepared: Sequence[Tensor]) -> Tensor:
        """Features (n, e) of pixels (3, h, w)."""
        if getattr(self.model, "visual", None) is None:
            raise RuntimeError("the image tower was freed; load the model again")
        out = []
        for start in range(0, len(prepared), IMAGE_BATCH):
            batch = list(prepared[start : start + IMAGE_BATCH])
            pixels = torch.stack(batch).to(self.device, self.table.dtype)
            out.append(F.normalize(self.model.encode_image(pixels).float(), dim=-1))
        return torch.cat(out)

    def free_vision(self) -> None:
        """Drop the image tower."""
        self.model.visual = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def bytes_per_row(self, length: int) -> int:
        """About 30 saved activations per position and layer, each as wide as the model."""
        positions = length + 2 if self.causal else self.tokens.context
        text = text_module(self.model)
        layers = len(getattr(text.transformer, "resblocks", [])) or 12
        return 30 * positions * layers * self.parts[0] * self.table.element_size()


def load(name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """Load ``name`` with its weights. Raises PezError if it is unknown or unavailable."""
    prepare_hub()
    architecture, pretrained = _split(name)
    try:
        fetch(architecture, pretrained)
        _check(architecture, name)
        with unasked():
            model = build_model(architecture, pretrained)
            tokenizer = open_tokenizer(architecture)
        said = doubt(architecture, pretrained)
    except Exception as error:  # open_clip, the hub and the file readers each raise their own
        raise failed(name, error) from error
    if said:
        warnings.warn(f"{name}: {said}", PezWarning, stacklevel=2)
    # one by one: the model may fit into memory in half precision but not in float32
    return wrap(name, model.to(device=device, dtype=dtype), tokenizer, device)


def wrap(name: str, model: Any, tokenizer: Any, device: torch.device, **kwargs: Any) -> OpenClip:
    """A reader around a built model, with random weights too."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = dict(getattr(model.visual, "preprocess_cfg", None) or {})
    if hasattr(model.visual, "image_size"):
        config["size"] = model.visual.image_size  # as open_clip does, whatever the file says
    transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    text = text_module(model)
    # a Hugging Face tower may have more positions than its tokenizer fills
    contexts = (getattr(text, "context_length", None), tokenizer.context_length)
    context = min(c for c in contexts if c)
    return OpenClip(name, model, transform, Tokens(tokenizer, context, kept_ids), device, **kwargs)


def _split(name: str) -> tuple[str, str | None]:
    """``architecture/pretrained`` -> both; a schema name stays whole. PezError for weights that
    are not known.
    """
    import open_clip

    if name.startswith(LOCAL):
        folder = user_path(name.removeprefix(LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise PezError(
                f"{folder} is not an open_clip model: it lacks open_clip_config.json or weights."
            )
        return f"local-dir:{folder}", None
    if name.startswith(HUB):
        repo, revision = split_revision(name.removeprefix(HUB))
        if revision:  # open_clip reads main alone
            return f"local-dir:{pinned(repo, revision, name)}", None
        return name, None
    architecture, _, pretrained = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not pretrained:
        ways = ", ".join(f"{architecture}/{tag}" for tag in tags[:4]) or "none is published"
        raise PezError(f"{name!r} does not say which weights; write one of: {ways}.")
    if pretrained in tags:
        return architecture, pretrained
    if file := _file(name):
        return architecture, str(file)
    plain = architecture.removesuffix(QUICK)
    if pretrained in open_clip.list_pretrained_tags_by_model(plain):
        raise PezError(
            f"{pretrained!r} was not trained with QuickGELU; write {plain}/{pretrained} instead."
        )
    near = difflib.get_close_matches(pretrained, tags, 3, 0.2) or tags[:3]
    raise PezError(
        f"{architecture} has no weights {pretrained!r}; the nearest are "
        f"{', '.join(f'{architecture}/{tag}' for tag in near) or 'none'}."
    )


def _check(architecture: str, name: str) -> None:
    """PezError if the settings of a folder or of a hub model switch code on. Warns where they
    name other repositories of the hub, which are fetched too.
    """
    place = architecture.partition(":")[2]
    if architecture.startswith(HUB):
        elsewhere = check_open_clip(read_settings(fetch_one(place, [CONFIG])), name)
    elif architecture.startswith(LOCAL):
        folder = Path(place)
        check_folder(folder, name)
        elsewhere = check_open_clip(read_settings(folder / CONFIG), name, folder)
    else:
        return  # open_clip's own
    if elsewhere:
        warnings.warn(f"{name} also reads {' and '.join(elsewhere)} of the hub.", PezWarning, 2)


def _file(name: str) -> Path | None:
    """The file of weights in ``architecture/path``, absolute so that open_clip does not take it
    for a tag; None if there is none.
    """
    path = user_path(name.partition("/")[2])
    return path.absolute() if path.is_file() else None


class OpenClips(Family):
    """``architecture/pretrained`` (a tag or a file), ``local-dir:PATH``, ``hf-hub:owner/name``."""

    def claims(self, name: str) -> bool:
        """Whether it begins like these."""
        return name.startswith((LOCAL, HUB)) or _is_architecture(name)

    def names(self) -> list[Row]:
        """Every published pair, with what it is for."""
        import open_clip

        rows = []
        for architecture, tag in open_clip.list_pretrained():
            name = f"{architecture}/{tag}"
            notes = ["the default"] if name == DEFAULT else []
            users = [one.name for one in GENERATORS.values() if name in one.readers]
            notes += [f"--for {', '.join(users)}"] if users else []
            if architecture.endswith(QUICK):
                notes.append(f"the same as {architecture.removesuffix(QUICK)}/{tag}")
            rows.append({"name": name, "kind": "open_clip", "note": "; ".join(notes)})
        return rows

    def weights(self, name: str) -> Weights | None:
        """A folder, a file (a published tag comes before a file of its name), or what the hub
        calls the weights. Models whose tag alone says QuickGELU are marked: earlier versions of
        pez built them with GELU.
        """
        import open_clip
        from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

        own = (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
        if name.startswith(LOCAL):
            folder = user_path(name.removeprefix(LOCAL))
            return Weights.of(folder) if folder.is_dir() else Weights()
        if name.startswith(HUB):
            repository, _, revision = name.removeprefix(HUB).partition("@")
            return Weights(repository=repository, revision=revision or None, cached=own)
        if not _is_architecture(name):
            return None
        architecture, _, tag = name.partition("/")
        file = _file(name)
        if file and tag not in open_clip.list_pretrained_tags_by_model(architecture):
            return Weights((file,), file.parent)
        known = tag_config(architecture, tag)
        marked = known.get("quick_gelu") and not architecture.endswith(QUICK)
        repository, _, hub_file = known.get("hf_hub", "").rpartition("/")
        safe = str(Path(hub_file).with_suffix(".safetensors")) if hub_file else ""
        cached = (safe, hub_file) if hub_file else own
        built = "quickgelu" if marked else ""
        return Weights(repository=repository, cached=cached, built=built)

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
        """The model with its weights."""
        return load(name, device, dtype)

    def tokens(self, name: str) -> Tokens:
        """Its tokenizer, without its weights."""
        prepare_hub()
        architecture, _ = _split(name)
        try:
            if architecture.startswith(HUB):  # without it, open_clip takes another tokenizer
                fetch_one(architecture.removeprefix(HUB), [CONFIG])
            _check(architecture, name)
            with unasked():
                tokenizer = open_tokenizer(architecture)
        except Exception as error:
            raise failed(name, error) from error
        return Tokens(tokenizer, tokenizer.context_length or 77, kept_ids)


def _is_architecture(name: str) -> bool:
    import open_clip

    return name.partition("/")[0] in open_clip.list_models()


def clip_tokens() -> Tokens:
    """CLIP's own tokenizer."""
    import open_clip

    return Tokens(open_clip.SimpleTokenizer(), 77, kept_ids)
