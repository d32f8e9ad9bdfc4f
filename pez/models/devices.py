"""Which device and number format a model runs in."""

from __future__ import annotations

import torch

from pez.errors import PezError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, then Apple's MPS, then the CPU. Raises PezError if it is missing."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise PezError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:1 or mps.") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise PezError(f"there is no {name} device on this machine; use --device cpu or auto.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise PezError(f"there is no {name}: this machine has {torch.cuda.device_count()} GPUs.")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format; half precision is refused on a CPU, where it is slower.

    Measured in ``benchmarks/speed.json``: on a CPU without bfloat16 matrix units, bfloat16 is
    slower than float32 at every batch size.
    """
    if name not in DTYPES:
        raise PezError(f"unknown dtype {name!r}; use {', '.join(DTYPES)}.")
    if device.type == "cpu" and name != "float32":
        raise PezError(
            f"{name} on a CPU is slower than float32 or no faster at every batch size "
            "(benchmarks/speed.json), so it is refused; omit --dtype or use a GPU."
        )
    return DTYPES[name]


def available_memory() -> int:
    """Bytes of available main memory; 4 GB if the system does not report it."""
    try:
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return 4 << 30
