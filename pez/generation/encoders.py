"""The CLIP text encoders of a pipeline, and soft prompts put into what they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pez.errors import PezError
from pez.generation.weights import Fragment


@dataclass(frozen=True, eq=False)
class Encoder:
    """A CLIP text encoder of a pipeline with its tokenizer."""

    tokenizer: Any
    model: Any

    @property
    def table(self) -> nn.Embedding:
        """The token embedding."""
        return self.model.get_input_embeddings()

    @property
    def limit(self) -> int:
        """Tokens it reads between start and end."""
        positions = self.model.config.max_position_embeddings
        return min(self.tokenizer.model_max_length, positions) - 2

    @property
    def stand_in(self) -> str:
        """A word of one token."""
        for word in ("a", "the", "cat"):
            if len(self.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1:
                return word
        raise PezError("this generator's tokenizer knows no common word; it draws no soft prompts.")


def clip_encoders(pipe: Any) -> list[Encoder]:
    """The pipeline's encoders if all are CLIPs before a U-Net (SD 1, SD 2, SDXL), else none."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    names = [""] if getattr(pipe, "text_encoder", None) is not None else []
    names += [n for n in ("_2", "_3") if getattr(pipe, f"text_encoder{n}", None) is not None]
    found = [
        Encoder(getattr(pipe, f"tokenizer{n}"), getattr(pipe, f"text_encoder{n}")) for n in names
    ]
    known = CLIPTextModel | CLIPTextModelWithProjection
    if getattr(pipe, "unet", None) is None or not all(isinstance(e.model, known) for e in found):
        return []
    return found


@contextmanager
def in_place(encoders: Sequence[Encoder], parts: Sequence[Tensor], start: int) -> Iterator[None]:
    """Within, the first text each encoder reads has ``parts`` at ``start``: the prompt, as
    pipelines read the negative one after it.
    """
    handles = [
        encoder.table.register_forward_hook(_once(rows, start))
        for encoder, rows in zip(encoders, parts, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _once(rows: Tensor, start: int) -> Any:
    """A hook on a token embedding that puts ``rows`` (k, w) at ``start`` of the first text."""
    waiting = [rows]

    def replace(_module: nn.Module, _inputs: Any, found: Tensor) -> Tensor:
        if not waiting:
            return found
        here = waiting.pop().to(found).expand(len(found), -1, -1)
        return torch.cat([found[:, :start], here, found[:, start + len(rows) :]], 1)

    return replace


def weighted(encoder: Encoder, fragments: Sequence[Fragment], is_xl: bool, device: Any) -> Tensor:
    """What compel makes of weighted texts (1, chunks * positions, w), from the layer that SDXL
    reads or from the last.
    """
    from compel.embeddings_provider import (
        EmbeddingsProvider,
        ReturnedEmbeddingsType,
        SplitLongTextMode,
    )

    kinds = ReturnedEmbeddingsType
    last = kinds.LAST_HIDDEN_STATES_NORMALIZED
    provider = EmbeddingsProvider(
        encoder.tokenizer,
        encoder.model,
        dtype_for_device_getter=lambda _, dtype=encoder.model.dtype: dtype,
        truncate=False,
        returned_embeddings_type=kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED if is_xl else last,
        device=device,
        split_long_text_mode=SplitLongTextMode.WORDS,
        model_max_length=encoder.limit + 2,
    )
    found: Any = provider.get_embeddings_for_weighted_prompt_fragments(
        [[f.text for f in fragments]], [[f.weight for f in fragments]], device=device
    )
    return found
