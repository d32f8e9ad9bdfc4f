"""Linear maps of a few positions, with weights laid out for the processor once.

A search for one prompt multiplies 17 positions with each matrix of a tower, so that loading
the matrix takes as long as the product. oneDNN's own layout is a fifth faster than row-major
order; the backward pass needs the transpose in that layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_BYTES = 1 << 30  # of a tower's weights laid out twice; larger towers are not packed
LEAST_WIDTH = 512  # of a tower whose matrices are worth packing
MOST_POSITIONS = 256  # from which plain products are as fast


@dataclass(frozen=True, eq=False)
class Linear:
    """The map x (..., i) -> x weight^T + bias (..., o) with frozen ``weight`` (o, i)."""

    weight: Tensor
    bias: Tensor | None
    there: Tensor | None = None  # the weight in oneDNN's layout
    back: Tensor | None = None  # its transpose

    def __call__(self, x: Tensor) -> Tensor:
        """The map of x, the same up to rounding in any layout."""
        if self.there is None or x[..., 0].numel() > MOST_POSITIONS:
            return F.linear(x, self.weight, self.bias)
        return _Packed.apply(x, self)  # type: ignore[return-value]

    def packed(self) -> Linear:
        """The same map with its weight laid out for both passes."""
        pack = torch.ops.mkldnn._reorder_linear_weight
        weight = self.weight.detach()
        return Linear(weight, self.bias, pack(weight), pack(weight.T.contiguous()))


class _Packed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: Linear) -> Tensor:
        ctx.back = linear.back
        return _product(x, linear.there, linear.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _product(gradients[0], ctx.back, None), None


def _product(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def worth_packing(weight: Tensor, count: int) -> bool:
    """Whether ``count`` numbers like those of ``weight`` (o, i) are to be laid out twice."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.shape[1] >= LEAST_WIDTH
        and 2 * count * weight.element_size() <= MOST_BYTES
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
