"""How many rows fit into memory."""

from __future__ import annotations

import torch

from pez.models import Reader
from pez.models.devices import available_memory
from pez.models.language import LanguageModel
from pez.search.template import Template


def rows_that_fit(
    reader: Reader, template: Template, device: torch.device, language: LanguageModel | None
) -> int:
    """How many rows to try first: as many as a quarter of the free memory holds.

    On a CPU more than 32 are no faster, and delay the first prompts of a folder.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = available_memory()
    most = 32 if device.type == "cpu" else 4096
    bytes_per_row = reader.bytes_per_row(template.length) + _spoken(language, template.length)
    return int(max(1, min(most, free // 4 // bytes_per_row)))


def _spoken(language: LanguageModel | None, length: int) -> int:
    """A rough bound on the bytes that a row of ``length`` words takes in the language model:
    its logits, their softmax and the gradient of both.
    """
    if language is None:
        return 0
    return 16 * (length + 1) * language.model.get_output_embeddings().weight.shape[0]
