"""Half precision without lost gradients: each row's are scaled by a power of two on the way back.

float16 holds numbers down to 6e-8, and gradients of a cosine at a prompt's embeddings are smaller.
The scale is chosen for each row, so that a row's gradient does not depend on its batch, and is a
power of two, so that it rounds nothing itself. Micikevicius et al., "Mixed Precision Training",
ICLR 2018, section 3.2, scale a whole loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def in_half(read: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype) -> Tensor:
    """``read`` of x (b, ...) in ``dtype``, as float32 (b, e), with gradients in float32."""
    if dtype != torch.float16:  # bfloat16 has float32's range
        return read(x.to(dtype)).float()
    scale: list[Tensor] = []
    return _Leave.apply(read(_Enter.apply(x, dtype, scale)), scale)  # type: ignore[return-value]


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype, scale: list[Tensor]) -> Tensor:
        ctx.scale, ctx.dtype = scale, x.dtype
        return x.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        scale = ctx.scale[-1].view(-1, *[1] * (gradient.dim() - 1))
        return (gradient.float() / scale).to(ctx.dtype), None, None


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: list[Tensor]) -> Tensor:
        ctx.scale, ctx.dtype = scale, features.dtype
        return features.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        most = gradient.abs().amax(-1).clamp(min=2.0**-100)
        scale = torch.exp2(-most.log2().ceil())  # the largest number of a row becomes about one
        ctx.scale[:] = [scale]
        return (gradient * scale[:, None]).to(ctx.dtype), None
