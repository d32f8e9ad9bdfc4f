"""Causal language models of transformers: how natural a text is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from pez.models.hub import open_pretrained
from pez.models.identity import known_weights
from pez.models.languages import shipped_languages

SHIPPED = "mini-lm"  # knows only the language of the shipped CLIPs' synthetic world

# GPT-2's distilled half (Sanh et al. 2019): 6 layers, so that reading a prompt costs no more than
# CLIP's own tower; one table for input and output, which a fluency term needs; and GPT-2's
# vocabulary, in which most of CLIP's words are one token and published perplexities are given.
DEFAULT = "distilbert/distilgpt2"


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


def open_language_model(name: str, device: str = "auto") -> LanguageModel:
    """A causal language model by its id, its folder or a shipped name. PezError if it is
    unavailable.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = str(shipped_languages().get(name, name))
    model, tokenizer, place = open_pretrained(
        where, device, AutoModelForCausalLM, AutoTokenizer, called=name
    )
    return LanguageModel(model, tokenizer, place, name, known_weights([name]))
