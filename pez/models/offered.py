"""The models that pages and nodes offer to choose from."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from pez.errors import PezError
from pez.models.names import OFFLINE_CLIP, photo_names, shipped_folder, shipped_names
from pez.models.photo import Backbone

JUDGE = "-judge"  # the ends of names of shipped models that are never searched


def offered_models(more: tuple[str, ...] = ()) -> list[str]:
    """The models that may be searched: those that were named, then the shipped ones that can be
    opened here, those of photographs first.
    """
    return [name for name in _offered(more) if not name.endswith(JUDGE) or name in more]


def offered_judges() -> list[str]:
    """The shipped models that are never searched and so can judge, those of photographs first."""
    return [name for name in _offered(()) if name.endswith(JUDGE)]


def _offered(more: tuple[str, ...]) -> list[str]:
    photos = [name for name in photo_names() if _has_trunk(name)]
    shipped = sorted(photos, key=lambda name: name != OFFLINE_CLIP) + shipped_names()
    return list(dict.fromkeys((*more, *shipped)))


def _has_trunk(name: str) -> bool:
    """Whether the package with the image trunk of a model of photographs is installed."""
    try:
        distribution(Backbone.of(shipped_folder(name)).package)
    except (PackageNotFoundError, PezError):
        return False
    return True
