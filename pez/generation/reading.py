"""Prompts read for one batch after the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pez.generation.encoded import Course, Encoded
from pez.generation.encoding import Encoding

Read = str | Encoded | Course


class Reading:
    """Reads prompts in order, each only once if it is drawn from several seeds, for ``steps``."""

    def __init__(self, encoding: Encoding, prompts: Sequence[str | Tensor], steps: int) -> None:
        self._encoding, self._prompts, self._steps = encoding, prompts, steps
        self._last: tuple[str | Tensor, Read] | None = None

    def batch(self, start: int, rows: int) -> list[Read]:
        """At most ``rows`` prompts from ``start`` on that can be drawn together: all plain
        texts, or all encoded to one length, or sums of as many parts.
        """
        batch: list[Read] = []
        for prompt in self._prompts[start : start + rows]:
            if self._last is None or self._last[0] is not prompt:
                self._last = prompt, self._encoding.read(prompt, self._steps)
            here = self._last[1]
            if batch and _form(here) != _form(batch[0]):
                break
            batch.append(here)
        return batch


def _form(prompt: Read) -> tuple[int, int]:
    """Encoded length, 0 for a plain text, and the number of parts of what changes or is a sum."""
    if isinstance(prompt, Course):
        return prompt.start.prompt.shape[1], len(prompt.weights)
    return (prompt.prompt.shape[1] if isinstance(prompt, Encoded) else 0), 0
