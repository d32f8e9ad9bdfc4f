"""Rows of a batch, each with a job and random numbers of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Job:
    """One row's work: an item to search for, with a seed of its own."""

    item: int  # index into the objective's items
    key: str  # identity of the item, independent of its place in the batch
    restart: int = 0
    seed: int = 0

    def generator(self) -> Generator:
        """Random numbers that depend on (seed, key, restart) alone."""
        text = f"{self.seed}/{self.key}/{self.restart}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
        return Generator().manual_seed(number)


@dataclass(eq=False)
class Rows:
    """Jobs side by side in a batch, with their items as a tensor and their generators."""

    jobs: list[Job]
    device: torch.device
    generators: list[Generator] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generators = self.generators or [job.generator() for job in self.jobs]

    def __len__(self) -> int:
        return len(self.jobs)

    @cached_property
    def item(self) -> Tensor:
        """Item of each row, int64 (b,)."""
        return torch.tensor([job.item for job in self.jobs], device=self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers (b, *shape) in [0, 1), each row from its own generator."""
        drawn = [torch.rand(shape, generator=g) for g in self.generators]
        return torch.stack(drawn).to(self.device, non_blocking=True)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (b, *shape), each row from its own generator."""
        drawn = [torch.randn(shape, generator=g) for g in self.generators]
        return torch.stack(drawn).to(self.device, non_blocking=True)
