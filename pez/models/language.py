"""Causal language models of transformers: how natural a text is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from pez.models.pretrained import open_pretrained


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model of transformers with its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device
    name: str = ""
    weights: dict[str, str] = field(default_factory=dict)  # name -> hash, if it is known

    @property
    def start(self) -> list[int]:
        """The start token, in a list that is empty if there is none."""
        return [t for t in (self.tokenizer.bos_token_id,) if t is not None]

    @property
    def limit(self) -> int | None:
        """How many tokens it reads, including the start token; None if it does not say."""
        return getattr(getattr(self.model, "config", None), "max_position_embeddings", None)

    @torch.no_grad()
    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """Perplexities: exp of the mean negative log-likelihood of each text's tokens, each given
        those before it and the start token (Jelinek et al. 1977). Without a start token the first
        one is only given; a text without any token to predict has None. Tokens beyond the
        model's limit are not read.
        """
        start = self.start
        rows = [
            (start + self.tokenizer(text, add_special_tokens=False)["input_ids"])[: self.limit]
            for text in texts
        ]
        longest = max(map(len, rows), default=0)
        if longest < 2:
            return [None] * len(rows)
        # causal: what follows a row's end does not affect what is counted
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self.device)
        mask = torch.tensor(
            [[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device
        )
        logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        losses = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        counted = mask[:, 1:]
        sums, counts = (losses * counted).sum(1).tolist(), counted.sum(1).tolist()
        return [
            math.exp(min(total / count, 700)) if count else None
            for total, count in zip(sums, counts, strict=True)
        ]


def load_pretrained(name: str, device: str, folder: str = "") -> LanguageModel:
    """A causal language model of transformers by its id or its folder; ``folder`` where its name
    is another. PezError if it is unavailable.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer, place = open_pretrained(
        folder or name, device, AutoModelForCausalLM, AutoTokenizer, called=name
    )
    return LanguageModel(model, tokenizer, place, name)
