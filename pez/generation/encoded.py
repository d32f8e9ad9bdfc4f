"""Prompts as the outputs of a pipeline's text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Encoded:
    """One prompt as a pipeline's encoders output it: (1, n, w), pooled (1, e) for SDXL."""

    prompt: Tensor
    negative: Tensor
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


def as_call(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """Arguments of a pipeline for prompts of equal length."""
    out = {
        "prompt_embeds": torch.cat([r.prompt for r in rows]),
        "negative_prompt_embeds": torch.cat([r.negative for r in rows]),
    }
    if rows[0].pooled is not None:
        pooled = [(r.pooled, r.negative_pooled) for r in rows]
        out["pooled_prompt_embeds"] = torch.cat([p for p, _ in pooled])  # type: ignore[arg-type]
        out["negative_pooled_prompt_embeds"] = torch.cat([n for _, n in pooled])  # type: ignore[arg-type]
    return out


@dataclass(frozen=True, eq=False)
class Course:
    """A prompt that changes between steps, or is a sum: the parts of the sum at each step, all
    encoded to one length, and the ``weights`` of the parts.
    """

    steps: tuple[tuple[Encoded, ...], ...]
    weights: tuple[float, ...]

    @property
    def start(self) -> Encoded:
        """What is read first."""
        return self.steps[0][0]

    @property
    def changes(self) -> bool:
        """Whether it is not the same at all steps."""
        return any(parts is not self.steps[0] for parts in self.steps)
