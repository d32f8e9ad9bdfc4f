"""Passes of one shape recorded once and replayed as CUDA graphs.

A step for a few prompts is a thousand small kernels, and the GPU waits for the host to launch each.
A recorded pass is one launch. The kernels are those of the plain pass, so the numbers are too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_POSITIONS = 4096  # of a batch; with more the GPU is busy and a graph gains nothing
MOST_SHAPES = 8  # recorded for one model; each holds the activations of its batch
MOST_MEMORY = 8  # recording stops once they hold this part of the GPU's memory: an eighth
WORTH = 3  # passes of one shape before it is recorded

Read = Callable[[Tensor], Tensor]  # embeddings (b, l, w) -> features (b, e)


@dataclass(eq=False)
class Graphs:
    """``read`` with its passes recorded by shape, and by whether a gradient is asked for.

    Everything else (another device, a large batch, a rare shape) runs without a graph.
    """

    read: Read
    seen: Counter = field(default_factory=Counter)
    made: dict[Any, _Graph] = field(default_factory=dict)
    held: int = 0  # bytes
    full: bool = False

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w); differentiable."""
        b, length, _ = embeddings.shape
        if embeddings.device.type != "cuda" or b * length > MOST_POSITIONS:
            return self.read(embeddings)
        slopes = torch.is_grad_enabled() and embeddings.requires_grad
        key = (*embeddings.shape, embeddings.dtype, slopes)
        if key not in self.made:
            self.seen[key] += 1
            if self.seen[key] < WORTH or self.full or not self._record(key, embeddings, slopes):
                return self.read(embeddings)
        graph = self.made[key]
        if slopes:
            return _Replayed.apply(embeddings, graph)  # type: ignore[return-value]
        return graph.forward(embeddings.detach())

    def _record(self, key: Any, embeddings: Tensor, slopes: bool) -> bool:
        """Record one more shape. Returns whether there was room for it."""
        before = torch.cuda.memory_reserved(embeddings.device)
        try:
            self.made[key] = _Graph.record(self.read, embeddings, slopes)
        except torch.cuda.OutOfMemoryError:
            self.full = True
            torch.cuda.empty_cache()
            return False
        self.held += torch.cuda.memory_reserved(embeddings.device) - before
        total = torch.cuda.get_device_properties(embeddings.device).total_memory
        self.full = len(self.made) >= MOST_SHAPES or self.held > total // MOST_MEMORY
        return True


@dataclass(eq=False)
class _Graph:
    """A recorded pass: its tensors keep their addresses; each replay overwrites them."""

    given: Tensor
    found: Tensor
    ahead: torch.cuda.CUDAGraph
    back: torch.cuda.CUDAGraph | None
    pull: Tensor | None  # gradient of the features
    slope: Tensor | None  # gradient of the embeddings
    turn: int = 0  # replays so far: shows whether the activations are still the caller's

    @classmethod
    def record(cls, read: Read, like: Tensor, slopes: bool) -> _Graph:
        """Record ``read`` for embeddings like ``like`` (b, l, w)."""
        given = like.detach().clone().requires_grad_(slopes)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.set_grad_enabled(slopes):  # warm-up for CUDA
            for _ in range(3):
                found = read(given)
                if slopes:
                    torch.autograd.grad(found.sum(), given)
        torch.cuda.current_stream().wait_stream(side)
        ahead = torch.cuda.CUDAGraph()
        with torch.set_grad_enabled(slopes), torch.cuda.graph(ahead, stream=side):
            found = read(given)
        if not slopes:
            return cls(given, found, ahead, None, None, None)
        back, pull = torch.cuda.CUDAGraph(), torch.zeros_like(found)
        with torch.cuda.graph(back, pool=ahead.pool(), stream=side):
            (slope,) = torch.autograd.grad(found, given, pull)
        return cls(given, found.detach(), ahead, back, pull, slope)

    @torch.no_grad()
    def forward(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of embeddings (b, l, w)."""
        self.turn += 1
        self.given.copy_(embeddings)
        self.ahead.replay()
        return self.found.clone()

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> Tensor:
        """Gradient (b, l, w) at the last embeddings for that of their features (b, e)."""
        assert self.back is not None and self.pull is not None and self.slope is not None
        self.pull.copy_(gradient)
        self.back.replay()
        return self.slope.clone()


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, graph: _Graph) -> Tensor:
        found = graph.forward(embeddings)
        ctx.graph, ctx.turn = graph, graph.turn
        ctx.save_for_backward(embeddings)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        if ctx.graph.turn != ctx.turn:  # another pass ran in between and overwrote the activations
            ctx.graph.forward(ctx.saved_tensors[0])
        return ctx.graph.backward(gradients[0]), None
