"""Device and Cancel, as ComfyUI has them for nodes."""

from __future__ import annotations

from typing import Any

import torch


class InterruptProcessingException(BaseException):
    pass


class _State:
    interrupted = False


def get_torch_device() -> torch.device:
    return torch.device("cpu")


def free_memory(memory_required: float, device: torch.device) -> list[Any]:
    raise AssertionError("there is no other model on the CPU")


def interrupt_current_processing(value: bool = True) -> None:
    _State.interrupted = value


def processing_interrupted() -> bool:
    return _State.interrupted


def throw_exception_if_processing_interrupted() -> None:
    if _State.interrupted:
        _State.interrupted = False
        raise InterruptProcessingException()
