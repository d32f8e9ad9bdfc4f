"""Matrices stored as int8 with one float16 scale a row: half of float16's size.

Row r of a matrix is ``scale[r] * q[r]`` with integers q in [-127, 127] (symmetric linear
quantisation, Jacob et al. 2018, by row). A tensor NAME that is int8 has its scales in
``NAME.scale``; all others are stored in float16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

SCALE = ".scale"
LEVELS = 127
SMALLEST = 2.0**-24  # float16's, for rows of zeros


def pack(state: Mapping[str, Tensor], names: Collection[str] | None = None) -> dict[str, Tensor]:
    """The tensors as they are stored: matrices (r, c) of ``names`` (None: all matrices of floats)
    as int8 with scales (r,), other floats as float16, integers unchanged.

    A number x of a row with the scale s comes back within s / 2, and s is at most a thousandth
    above the row's largest magnitude / 127 (rows below 1e-2 have coarser scales, of float16's
    smallest steps). Raises ValueError for what is no matrix of floats, for numbers that are not
    finite, and for magnitudes beyond float16's.
    """
    if names is None:
        names = {name for name, x in state.items() if x.dim() == 2 and x.is_floating_point()}
    stored = {}
    for name, x in state.items():
        if name in names:
            stored[name], stored[name + SCALE] = _quantise(name, x.detach())
        else:
            stored[name] = x.detach().half() if x.is_floating_point() else x.detach()
        if not stored[name].isfinite().all():
            raise ValueError(f"{name} has numbers that float16 cannot hold")
        stored[name] = stored[name].contiguous()
    return stored


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of :func:`pack`: floats in float32, integers unchanged. Raises KeyError for a
    matrix without its scales.
    """
    scales = {name + SCALE for name, x in stored.items() if x.dtype == torch.int8}
    state = {}
    for name, x in stored.items():
        if x.dtype == torch.int8:
            state[name] = x.float() * stored[name + SCALE].float()[:, None]
        elif name not in scales:
            state[name] = x.float() if x.is_floating_point() else x
    return state


def _quantise(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Integers (r, c) and scales (r,) of a matrix (r, c)."""
    if x.dim() != 2 or not x.is_floating_point():
        raise ValueError(f"{name} is not a matrix of floats")
    x = x.float()
    largest = x.abs().amax(1)
    scale = (largest / LEVELS).half()
    # rounded down to a step of float16, a tiny scale would cut off the row's largest numbers
    short = scale.float() * (LEVELS + 0.5) < largest
    scale = torch.where(short, (scale.view(torch.int16) + 1).view(torch.float16), scale)
    if not scale.isfinite().all():
        raise ValueError(f"{name} has numbers that cannot be stored")
    steps = x / scale.float().clamp(min=SMALLEST)[:, None]
    return steps.round().clamp(-LEVELS, LEVELS).to(torch.int8), scale
