"""``pez.generate``: pictures of prompts, with all that is needed to reproduce them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from torch import Tensor

from pez.generation.options import GenerateOptions, generate_options
from pez.generation.painter import Painter, Progress
from pez.generation.pipelines import open_painter

Prompt = str | Tensor


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawn picture with its prompt as it was drawn ("" for a soft one), seed and settings.
    ``flaw`` says why it does not show the prompt: a safety checker blackened it, or the generator
    computed no numbers.
    """

    image: Image.Image
    prompt: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    flaw: str = ""


def generate(
    prompts: Prompt | Sequence[Prompt],
    *,
    painter: Painter | None = None,
    progress: Progress | None = None,
    options: GenerateOptions | None = None,
    **settings: Any,
) -> list[Drawing]:
    """``options.count`` pictures of each prompt, prompt by prompt.

    A prompt is a text or a soft prompt, token embeddings (k, w) of the generator's text
    encoder; ``settings`` are the fields of :class:`pez.generation.GenerateOptions`. With
    ``painter`` a loaded generator is reused, with its options for all but seed and count.
    Raises PezError for bad input.
    """
    options = options or generate_options(settings)
    listed = [prompts] if isinstance(prompts, str | Tensor) else list(prompts)
    painter = painter or open_painter(options)
    pairs = [(painter.said(prompt, seed), seed) for prompt in listed for seed in options.seeds]
    flaws: dict[int, str] = {}
    images = painter.paint(
        [p for p, _ in pairs],
        [s for _, s in pairs],
        progress=progress,
        spoilt=flaws.__setitem__,
    )
    texts = [(prompt if isinstance(prompt, str) else "", seed) for prompt, seed in pairs]
    return [
        Drawing(image, *texts[n], painter.settings, flaws.get(n, ""))
        for n, image in enumerate(images)
    ]
