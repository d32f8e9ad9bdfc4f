"""Judges of likeness: name -> module:symbol, syntax, description; loaded on request.

A judge is named as here, alone or followed by ``:`` and the weights to use. Any other name
is a CLIP's. One file for each, with one class (:mod:`judge` says what it
declares).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, util
from typing import TYPE_CHECKING

from pez.errors import PezError

if TYPE_CHECKING:
    from pez.evaluation.judges.judge import Judge

JUDGE = "ViT-g-14/laion2b_s12b_b42k"  # the paper's
CLIP = ""  # takes the names that are no other judge's

JUDGES: dict[str, tuple[str, str, str]] = {
    CLIP: (
        "pez.evaluation.judges.clip:ClipJudge",
        "any model of pez models",
        "cosine of a CLIP's features, of pictures and of texts (Wen et al. 2023)",
    ),
    "dino": (
        "pez.evaluation.judges.dino:Dino",
        "dino, dino:ID",
        "cosine of the class tokens of a vision model trained without texts (Oquab et al. 2023)",
    ),
    "lpips": (
        "pez.evaluation.judges.lpips:Lpips",
        "lpips, lpips:NET",
        "1 - perceptual distance of pictures of one layout (Zhang et al. 2018)",
    ),
}


def judge_class(name: str) -> type[Judge]:
    """The class of the judge ``name``."""
    module, symbol = JUDGES[_family(name)][0].split(":")
    return getattr(import_module(module), symbol)


def check_judge(name: str) -> type[Judge]:
    """The class of the judge ``name``; PezError for weights that this judge cannot use."""
    found = judge_class(name)
    found.check(_weights(name))
    return found


def open_judge(name: str, device: str = "auto", dtype: str = "float32") -> Judge:
    """The judge ``name``. PezError if it is unknown, needs a package that is not installed, or
    its weights are not available.
    """
    found = check_judge(name)
    if missing := [package for package in found.needs if util.find_spec(package) is None]:
        raise PezError(f"{name} needs {missing[0]}; pip install {found.installed_by}.")
    from pez.models.ambient import random_state_kept

    with random_state_kept():
        return found.open(_weights(name), device, dtype)


def judge_identity(name: str, identity: Callable[[str], str]) -> str:
    """``name`` with what ``identity`` knows of its weights."""
    weights = judge_class(name).weights(_weights(name))
    return name + identity(weights).removeprefix(weights) if weights else name


def judge_rows() -> list[dict[str, str]]:
    """The judges other than CLIPs, as ``pez models`` lists them."""
    return [
        {"name": usage, "kind": "judge", "note": f"judges (--judge): {about}"}
        for family, (_, usage, about) in JUDGES.items()
        if family != CLIP
    ]


def is_offline(name: str) -> bool:
    """Whether the judge ``name`` needs no network: its weights are shipped or in a folder."""
    return judge_class(name).offline(_weights(name))


def similarity(one: object, other: object, *, judge: str = "", device: str = "auto") -> float:
    """How similar two pictures are (paths, addresses or PIL pictures) under a judge.

    ``judge`` is a name that :data:`JUDGES` describes; "" is the paper's ViT-g-14. PezError for
    pictures that cannot be read, weights that are not available and a judge of texts only.
    """
    from pez.images import read_image

    if not check_judge(judge or JUDGE).compares_pictures:
        raise PezError(f"{judge} does not compare pictures with pictures; choose another --judge.")
    pictures = [read_image(source) for source in (one, other)]  # type: ignore[arg-type]
    opened = open_judge(judge or JUDGE, device)
    return opened.similarities(pictures[:1], pictures[1:])[0]


def _family(name: str) -> str:
    family = name.partition(":")[0]
    return family if family in JUDGES else CLIP


def _weights(name: str) -> str:
    """The weights the user named: "" if only the family was named."""
    return name if _family(name) == CLIP else name.partition(":")[2]
