r"""The weights people write into prompts: ``(word)``, ``(word:1.3)``, ``[word]``, ``\(``.

The signs are those of AUTOMATIC1111's web UI (its wiki, "Attention/emphasis"): round brackets
times 1.1 or the given number, square ones divided by 1.1, nested ones multiply, an opening one
without an end applies to the end of the text, a closing one without a start is plain text. Unlike
there, a time or a ratio, ``(12:30)``, is a text and no weight of 30.
compel has its own syntax (``word++``), so only the parsing is ours; the weighting itself is
compel's (:mod:`pez.generation.encoding`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pez.errors import PezError

STEP = 1.1
MOST = 1000.0  # beyond it encoders' outputs are no numbers any more
_SIGNS = re.compile(
    r"\\[()\[\]{}|\\]|(?<![\w.])\d+:\d+(?=\s*\))|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)"
    r"|[()\[\]]|[^\\()\[\]:\d]+|\d+|.",
    re.S,
)


@dataclass(frozen=True)
class Fragment:
    """A part of a prompt and its weight; 1 is neutral."""

    text: str
    weight: float = 1.0


def parse_weights(prompt: str) -> list[Fragment]:
    """The parts of a prompt, neighbours of equal weight joined; none for an empty prompt.

    Raises PezError for a negative weight, and one above ``MOST``.
    """
    texts: list[str] = []
    factors: list[float] = []
    rounds: list[int] = []  # where open brackets began
    squares: list[int] = []

    def multiply(start: int, factor: float) -> None:
        for n in range(start, len(factors)):
            factors[n] *= factor

    for match in _SIGNS.finditer(prompt):
        sign = match.group()
        if sign == "(":
            rounds.append(len(texts))
        elif sign == "[":
            squares.append(len(texts))
        elif sign == ")" and rounds:
            multiply(rounds.pop(), STEP)
        elif sign == "]" and squares:
            multiply(squares.pop(), 1 / STEP)
        elif sign[0] == ":" and sign[-1] == ")" and rounds:
            multiply(rounds.pop(), _weight(sign[1:-1]))
        else:
            texts.append(sign[1:] if len(sign) == 2 and sign[0] == "\\" else sign)
            factors.append(1.0)
    for start in rounds:
        multiply(start, STEP)
    for start in squares:
        multiply(start, 1 / STEP)
    out: list[Fragment] = []
    for text, factor in zip(texts, factors, strict=True):
        weight = 1.0 if math.isclose(factor, 1) else factor  # (([[a]])) is plain again
        if weight > MOST:
            raise PezError(
                f"{text.strip()[:60]!r} has the weight {weight:g}, and {MOST:g} is the most; take "
                "brackets away."
            )
        if out and math.isclose(out[-1].weight, weight):
            out[-1] = Fragment(out[-1].text + text, out[-1].weight)
        else:
            out.append(Fragment(text, weight))
    return out


def _weight(number: str) -> float:
    value = float(number)
    if value < 0:
        raise PezError(
            f"a weight of {number.strip()} cannot be drawn; give such words as --negative."
        )
    return value


def escape(text: str) -> str:
    """``text`` escaped so that :func:`parse_weights` returns it unchanged."""
    return re.sub(r"([\\()\[\]])", r"\\\1", text)
