"""``pez.attention``: where in a drawn picture each word of its prompt is attended to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.generation.options import GenerateOptions, generate_options
from pez.generation.painter import Painter, Progress
from pez.generation.pipelines import open_painter
from pez.inspect.places import words_of
from pez.inspect.recorder import recording
from pez.models.ambient import plain_torch


@dataclass(frozen=True, eq=False)
class Attention:
    """A drawn picture and its attention to the text, averaged over steps, heads and layers.

    ``every`` (n, h, w) has a map for each of the n positions of the text, start, end and padding
    included: at each place they sum to one. ``maps`` (k, h, w) has one for each of the ``words``:
    the sum over its ``places``. ``rest`` (h, w) is what goes to no word.
    """

    image: Image.Image
    prompt: str
    seed: int
    words: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    every: Tensor
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def maps(self) -> Tensor:
        """A map (k, h, w) for each word."""
        return torch.stack([self.every[list(places)].sum(0) for places in self.places])

    @property
    def rest(self) -> Tensor:
        """What goes to start, end, padding and punctuation (h, w)."""
        return 1 - self.maps.sum(0)

    def record(self) -> dict[str, Any]:
        """What describes it, as plain JSON values; ``shares`` are the maps' means."""
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "words": list(self.words),
            "places": [list(places) for places in self.places],
            "shares": [round(share, 6) for share in self.maps.mean((1, 2)).tolist()],
            "size": list(self.every.shape[1:]),
            "settings": self.settings,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """As NumPy has it: ``words`` (k,), ``maps`` (k, h, w), ``every`` (n, h, w), ``picture``
        (height, width, 3).
        """
        return {
            "words": np.array(self.words, dtype=np.str_),
            "maps": self.maps.numpy(),
            "every": self.every.numpy(),
            "picture": np.asarray(self.image.convert("RGB")),
        }


@plain_torch()
def attention(
    prompt: str | Tensor,
    *,
    painter: Painter | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
    options: GenerateOptions | None = None,
    **settings: Any,
) -> list[Attention]:
    """Draw ``options.count`` pictures of a prompt, and record where each word is attended to.

    A prompt is a text or a soft one, token embeddings (k, w). ``settings`` are the fields of
    :class:`pez.generation.GenerateOptions`; with ``painter`` a loaded generator is reused, with its
    options for all but seed and count. The pictures are those of :func:`pez.generate`. Raises
    PezError for bad input, and for generators whose attention is not known.
    """
    options = options or generate_options(settings)
    if not isinstance(prompt, str | Tensor):
        raise PezError("prompt must be one text or one soft prompt, a tensor (tokens, width).")
    painter = painter or open_painter(options)
    words = words_of(painter, prompt)
    if not words.names:
        raise PezError("the prompt has no word; give at least one.")
    out = []
    for n, seed in enumerate(options.seeds):

        def before(steps: int, total: int, n: int = n) -> None:
            if progress:
                progress(n * total + steps, options.count * total)

        with recording(painter.pipe) as recorder:
            (image,) = painter.paint([prompt], [seed], progress=before, warn=warn)
        every = recorder.maps()
        # the last position is the end token, or padding; a text cut there has no word
        kept = [tuple(p for p in own if p < len(every) - 1) for own in words.places]
        read = [(name, own) for name, own in zip(words.names, kept, strict=True) if own]
        names, places = zip(*read, strict=True)
        text = prompt if isinstance(prompt, str) else ""
        out.append(Attention(image, text, seed, names, places, every, painter.settings))
    return out
