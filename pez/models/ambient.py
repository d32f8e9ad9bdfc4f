"""What surrounds a call: torch settings of the caller that must not change its outcome, and random
states of the caller that a call must not move.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

_DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Torch as it is at the start of a program; also a decorator. The caller may be inside
    ``no_grad``, ``inference_mode`` or ``autocast``, or have set another default dtype or device.

    The default dtype belongs to the whole process: where the caller has set another one, the
    caller's other threads see float32 until the call ends.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in _DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        if (before := torch.get_default_dtype()) != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, before)
        yield


@contextmanager
def random_state_kept() -> Iterator[None]:
    """The global random states of Python, NumPy and torch are afterwards as they were before: a
    library that builds a model draws weights which are then overwritten by loaded ones. Searches
    need no such care, as each row has its own generator.
    """
    python, array, host = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
        torch.set_rng_state(host)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)
