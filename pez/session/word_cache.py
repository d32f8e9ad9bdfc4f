"""Features of words, cached on disk: they depend on the model alone, not on the picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pez.files import cache_folder, keep_file
from pez.search.problem import Rate

WORTH = 2000  # words from which reading a file is faster than rating them again
PROBES = 16  # words rated again to check that a file is of these weights
BUILT = 2  # how models are built; at 1 those whose tag alone says QuickGELU had GELU
CLOSE = 0.01  # by which their features may differ: another device or number format


@dataclass(frozen=True, eq=False)
class _Rated:
    """Words ``ids`` (n,) that were rated in the template ``around`` them: ``features`` (n, e)."""

    ids: Tensor
    around: tuple[int, ...]
    features: Tensor


@dataclass(frozen=True, eq=False)
class RatedWords:
    """The words that were rated for a ``model``: in memory, and many of them on disk."""

    model: str = ""
    _known: list[_Rated] = field(default_factory=list)

    def of(self, model: str) -> RatedWords:
        """The same memory, for the ``model`` of this name and these weights."""
        return RatedWords(model, self._known)

    def features(self, ids: Tensor, rate: Rate, around: tuple[int, ...]) -> Tensor:
        """Features (n, e) of words ``ids`` (n,) in the template ``around`` them."""
        found = self._find(ids, around)
        if found is None:
            file = features_file(self.model, ids, around)
            found = kept_features(file, ids, rate) if file else rate(ids)
            if len(found) == len(ids):  # not if the time was over
                self._known.append(_Rated(ids, around, found))
        return found

    def remark(self, ids: Tensor, around: tuple[int, ...], name: str) -> str:
        """What to tell of a rating that is yet to come and will be cached, of the model ``name``;
        empty if there is none.
        """
        file = features_file(self.model, ids, around)
        if file is None or file.is_file() or self._find(ids, around) is not None:
            return ""
        return f"rating {len(ids):,} words once for {name}; cached in {file.parent}"

    def _find(self, ids: Tensor, around: tuple[int, ...]) -> Tensor | None:
        """The features of ``ids`` (n,) if they, or more, were rated before in the same template:
        words never change in a session.
        """
        for one in self._known:
            same = one.around == around and len(ids) <= len(one.ids)
            if same and bool(torch.isin(ids, one.ids).all()):
                order = one.ids.argsort()
                return one.features[order[torch.searchsorted(one.ids[order], ids)]]
        return None


def features_file(model: str, ids: Tensor, around: tuple[int, ...] = ()) -> Path | None:
    """Where the features of words ``ids`` (n,) under ``model`` are cached, each in the template
    ``around`` it or alone (:attr:`pez.search.problem.Problem.around`); None if there are too few
    to be worth it, or no cache.
    """
    if len(ids) < WORTH:
        return None
    what = f"{BUILT}\n{model}\n{ids.tolist()}" + (f"\n{list(around)}" if around else "")
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    folder = cache_folder()
    return folder / f"features-{digest}.safetensors" if folder else None


def kept_features(path: Path, ids: Tensor, rate: Rate) -> Tensor:
    """Features (n, e) of words ``ids`` (n,) in half precision, as float32: from the file if it
    is of these weights, else rated and cached. The first run rounds too, so that all runs agree.
    What was rated only in part is not cached.
    """
    found = _read(path, ids, rate)
    if found is None:
        found = rate(ids).half()
        if len(found) == len(ids):
            features = found.cpu().contiguous()
            keep_file(path, save({"features": features}, {"digest": _digest(features)}))
    return found.to(ids.device).float()


def _read(path: Path, ids: Tensor, rate: Rate) -> Tensor | None:
    """The file's features, unless it is missing, damaged or of other weights."""
    try:
        with safe_open(path, "pt") as file:
            found, digest = file.get_tensor("features"), file.metadata()["digest"]
        if digest != _digest(found):
            return None
    except Exception:  # whatever a file cut short makes safetensors raise
        return None
    few = torch.linspace(0, len(ids) - 1, min(PROBES, len(ids))).long()
    own = rate(ids[few.to(ids.device)]).float().cpu()
    same = len(found) == len(ids) and found.shape[1:] == own.shape[1:]
    return found if same and torch.allclose(found[few].float(), own, atol=CLOSE) else None


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().tobytes()).hexdigest()
