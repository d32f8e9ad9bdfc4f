"""Models of language beside the search: perplexity of prompts, captions of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from pez.models.hub import open_pretrained


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model of transformers with its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device

    @torch.no_grad()
    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """Perplexities: exp of the mean negative log-likelihood of each text's tokens, each given
        those before it and the start token (Jelinek et al. 1977). Without a start token the first
        one is only given; a text without any token to predict has None.
        """
        start = [t for t in (self.tokenizer.bos_token_id,) if t is not None]
        rows = [
            start + self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
        ]
        longest = max(map(len, rows), default=0)
        if longest < 2:
            return [None] * len(rows)
        # what stands behind a row's end is never looked at by what is counted: it is causal
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self.device)
        mask = torch.tensor(
            [[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device
        )
        logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), ids[:, 1:], reduction="none"
        )
        told = mask[:, 1:]
        sums, counts = (losses * told).sum(1).tolist(), told.sum(1).tolist()
        return [
            math.exp(min(total / count, 700)) if count else None
            for total, count in zip(sums, counts, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Captioner:
    """An image-to-text model of transformers."""

    model: Any
    processor: Any
    device: torch.device

    @torch.no_grad()
    def captions(self, pictures: Sequence[Image.Image], most: int = 40) -> list[str]:
        """What it says of each picture, by its most likely words."""
        inputs = self.processor(images=list(pictures), return_tensors="pt").to(self.device)
        ids = self.model.generate(**inputs, max_new_tokens=most, do_sample=False)
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def open_language_model(name: str, device: str = "auto") -> LanguageModel:
    """A causal language model by its id or folder. PezError if it cannot be had."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer, where = open_pretrained(name, device, AutoModelForCausalLM, AutoTokenizer)
    return LanguageModel(model, tokenizer, where)


def open_captioner(name: str, device: str = "auto") -> Captioner:
    """A captioner by its id or folder. PezError if it cannot be had."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor, where = open_pretrained(
        name, device, AutoModelForImageTextToText, AutoProcessor
    )
    return Captioner(model, processor, where)
