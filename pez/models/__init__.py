"""Models that read prompts. ``load_model(name)`` returns a :class:`Reader` for a known name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from pez.errors import PezError
from pez.formats.values import as_kind
from pez.models.ambient import plain_torch, random_state_kept
from pez.models.families import FAMILIES, LANGUAGES, family_of, open_family
from pez.models.names import OFFLINE_CLIP
from pez.models.reader import Reader
from pez.search.tokens import Tokens

if TYPE_CHECKING:
    from pez.models.language import LanguageModel

__all__ = ["FAMILIES", "Reader", "load_model", "model_tokens", "open_language_model"]


@plain_torch()
@random_state_kept()
def load_model(
    names: str | Sequence[str],
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
) -> Reader:
    """Load one model, or several as one reader whose features are those of all.

    Names: a shipped model (``photo``), any open_clip ``architecture/pretrained``,
    ``local-dir:PATH`` or ``hf-hub:owner/name``, a CLIP of transformers (``clip:PATH``,
    ``clip:owner/name``) or a T5 encoder (``t5:PATH``, ``t5:owner/name``). Raises PezError for an
    unknown name, for weights that are not cached and cannot be downloaded, and for models that do
    not share a tokenizer. Warns (PezWarning) if a model may be built differently from
    how its weights were trained.
    """
    from pez.models.devices import pick_device, pick_dtype
    from pez.models.identity import known_weights

    names = as_kind("model", names, tuple)
    if not names:
        raise PezError(
            f"no model is named; give a name, such as {OFFLINE_CLIP}, or a list of names."
        )
    where = pick_device(as_kind("device", device, str))
    kind = pick_dtype(as_kind("dtype", dtype, str), where)
    readers = [family_of(name).load(name, where, kind) for name in names]
    for name, reader in zip(names, readers, strict=True):
        reader.weights = known_weights([name])
    if len(readers) == 1:
        return readers[0]
    from pez.models.ensemble import Ensemble

    return Ensemble.join(readers)


def open_language_model(name: str, device: str = "auto") -> LanguageModel:
    """A causal language model by its name: its family's, or one of transformers from a folder,
    the cache or the hub. PezError if it is unavailable.
    """
    from pez.models.identity import known_weights
    from pez.models.language import load_pretrained
    from pez.models.languages import LanguageFamily

    load = load_pretrained
    for where in LANGUAGES.values():
        family = open_family(where)
        if isinstance(family, LanguageFamily) and family.claims(name):
            load = family.load
    return replace(load(name, device), weights=known_weights([name]))


def model_tokens(name: str) -> Tokens:
    """The tokenizer of a model by name, without its weights; CLIP's own for ``""``."""
    if not name:
        from pez.models.openclip import clip_tokens

        return clip_tokens()
    return family_of(name).tokens(name)
