"""How well a prompt classifies: accuracies by three ways to decide, each with its interval.

``raw`` takes the label word of the highest probability. ``calibrated`` divides by what the model
says of texts without content (Zhao et al., "Calibrate Before Use", ICML 2021: N/A, [MASK] and
nothing). The third removes what the model says of the test's texts on the whole, without their
labels: with two labels the threshold is the ``median`` of their log-odds, with more the mean
probability of each label over the ``batch`` is divided out (Zhou et al., "Batch Calibration", ICLR
2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.formats.wording import Wording
from pez.models.answers import context_scores, kept_texts
from pez.models.causal import Speaker
from pez.models.lines import Context, contexts, frames

EMPTY = ("N/A", "[MASK]", "")  # texts without content (Zhao et al. 2021, section 5)
AT_ONCE = 64  # texts whose keys and values are kept together
Z = 1.959964  # of a normal distribution's central 95 %


@dataclass(frozen=True)
class Rate:
    """A share of ``count`` texts with its interval of 95 %: Wilson's score interval (1927)."""

    share: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, right: int, count: int) -> Rate:
        """Of ``right`` ones among ``count``."""
        p = right / count
        spread = Z * math.sqrt(p * (1 - p) / count + Z * Z / (4 * count * count))
        middle, scale = p + Z * Z / (2 * count), 1 + Z * Z / count
        low, high = (middle - spread) / scale, (middle + spread) / scale
        return cls(p, low if right else 0.0, high if right < count else 1.0, count)

    def record(self) -> dict[str, float]:
        """As JSON has it."""
        return {
            "accuracy": round(self.share, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
        }


@dataclass(frozen=True)
class Figures:
    """What a prompt reaches on some texts: accuracies by the name of the way to decide, and the
    mean cross-entropy of the right label word among the label words, in nats. ``hits`` say for each
    way which texts it decides rightly, so that prompts are compared text by text.
    """

    rates: dict[str, Rate]
    loss: float
    hits: dict[str, list[bool]] = field(default_factory=dict, repr=False)

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {name: rate.record() for name, rate in self.rates.items()}
        return found | {"loss": round(self.loss, 4)}


@torch.no_grad()
def measure(
    speaker: Speaker,
    prompts: Sequence[str],
    texts: Sequence[str],
    right: Sequence[int],
    wording: Wording,
    words: Sequence[str],
    told: Callable[[float], None] | None = None,
) -> list[Figures]:
    """What each typed prompt ("" is none) reaches on ``texts`` with the ``right`` labels, places
    among the label ``words``: model x prompt x template x label words. ``told`` hears the share
    that is done.
    """
    empty = [
        label_scores(speaker, [p], neutral(speaker, wording, p), wording, words)[0] for p in prompts
    ]
    scores = label_scores(speaker, prompts, texts, wording, words, told)
    wanted = torch.tensor(right, device=scores.device)
    return [figures(own, wanted, none) for own, none in zip(scores, empty, strict=True)]


def neutral(speaker: Speaker, wording: Wording, prompt: str) -> tuple[str, ...]:
    """Texts without content; the empty one only if something stands before the label then."""
    typed = any(name == "typed" for name, _ in wording.parts)
    return EMPTY if prompt or typed or speaker.around[0] else EMPTY[:-1]


def figures(scores: Tensor, right: Tensor, empty: Tensor) -> Figures:
    """From label scores (n, g) of texts with the ``right`` labels (n,) and those (m, g) of texts
    without content.
    """
    likely = scores.log_softmax(-1)
    neutral = empty.softmax(-1).mean(0).log()
    ways = {"raw": likely, "calibrated": likely - neutral, **_shifted(likely)}
    hits = {name: (found.argmax(-1) == right).tolist() for name, found in ways.items()}
    rates = {name: Rate.of(sum(own), len(right)) for name, own in hits.items()}
    return Figures(rates, float(F.cross_entropy(scores, right)), hits)


def _shifted(likely: Tensor) -> dict[str, Tensor]:
    if likely.shape[1] == 2:
        odds = likely[:, 1] - likely[:, 0]
        above = odds - odds.quantile(0.5)
        return {"median": torch.stack([torch.zeros_like(above), above], 1)}
    return {"batch": likely - likely.exp().mean(0).log()}


@torch.no_grad()
def label_scores(
    speaker: Speaker,
    prompts: Sequence[str],
    texts: Sequence[str],
    wording: Wording,
    words: Sequence[str],
    told: Callable[[float], None] | None = None,
) -> Tensor:
    """Scores (p, n, g) of the label words for typed prompts beside texts. Each text with its prompt
    and label is tokenised as a whole; what several begin with is read once.
    """
    out = torch.zeros(len(prompts), len(texts), len(words), device=speaker.device)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    steps = max(1, math.ceil(len(order) / AT_ONCE) * len(prompts))
    done = 0
    for start in range(0, len(order), AT_ONCE):
        places = order[start : start + AT_ONCE]
        some = [texts[n] for n in places]
        begun = (
            None
            if wording.prompt_leads or speaker.plain
            else _Begun.of(speaker, wording, some, words)
        )
        for n, prompt in enumerate(prompts):
            rows = contexts(speaker, wording, prompt, some, words)
            out[n, places] = _scores(speaker, rows, begun)
            done += 1
            if told:
                told(done / steps)
    return out


@dataclass(frozen=True, eq=False)
class _Begun:
    """Texts that were read up to the prompt: their ids, and their keys and values."""

    ids: list[tuple[int, ...]]
    kept: Any

    @classmethod
    def of(
        cls, speaker: Speaker, wording: Wording, texts: Sequence[str], words: Sequence[str]
    ) -> _Begun | None:
        found = frames(speaker, wording, texts, words)
        ids = [frame.before if frame else () for frame in found]
        if not all(ids) or not speaker.fits(max(map(len, ids)) + speaker.context // 8):
            return None
        return cls(ids, kept_texts(speaker, ids))


def _scores(speaker: Speaker, rows: Sequence[Context], begun: _Begun | None) -> Tensor:
    """Scores (n, g) of contexts, each read on from its own kept beginning or from what all have in
    common, where it has that beginning and goes on.
    """
    if speaker.plain:
        return context_scores(speaker, rows)
    if begun is not None:
        sizes = [
            len(own) if len(row.ids) > len(own) and row.ids[: len(own)] == own else 0
            for row, own in zip(rows, begun.ids, strict=True)
        ]
        return context_scores(speaker, rows, (begun.kept, sizes))
    shared = _shared([row.ids for row in rows])
    if not shared or not speaker.fits(max(len(row.ids) for row in rows) + 16):
        return context_scores(speaker, rows)
    one = kept_texts(speaker, [rows[0].ids[:shared]])
    return context_scores(speaker, rows, (one, [shared] * len(rows)))


def _shared(rows: Sequence[tuple[int, ...]]) -> int:
    """How many ids all rows begin with, but for each one's last."""
    low, high = min(rows), max(rows)
    pairs = enumerate(zip(low, high, strict=False))
    same = next((n for n, (a, b) in pairs if a != b), min(len(low), len(high)))
    return min(same, min(map(len, rows)) - 1)
