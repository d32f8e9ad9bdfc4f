"""Features of prompts given as embeddings, as every text tower of ours computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch.nn.functional as F
from torch import Tensor

from pez.models.graphs import Graphs
from pez.models.halves import in_half


class TextFeatures(ABC):
    """What makes features of a tower's output: of length one, without gradients lost in half
    precision, and recorded as CUDA graphs where the pass is the same for all prompts of a length.
    """

    table: Tensor

    @abstractmethod
    def _features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w), not normalised, in the model's number format."""

    def _read(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of length one, kernel by kernel."""
        return F.normalize(in_half(self._features, embeddings, self.table.dtype), dim=-1)

    @cached_property
    def _graphs(self) -> Graphs:
        """:meth:`_read` with its passes recorded."""
        return Graphs(self._read)
