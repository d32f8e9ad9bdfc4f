"""What words add, as bars: leave-one-out on the left, gradient x embedding on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from pez.inspect.explain import Explanation
from pez.inspect.ink import COLOURS, INK, LINE, PALE, Sheet, shortened, width_of, wrapped

WIDE, GAP, BAR = 1000, 20, 16  # pixels
WORDS = 200  # the widest column of words
FIGURE = 62  # room for the figure beside a bar


@dataclass(frozen=True)
class Scale:
    """Where values of one panel are: from ``left`` over ``width`` pixels, 0 always among them."""

    left: float
    width: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], left: float, width: float) -> Scale:
        """The scale on which all ``values`` have room, and their figures beside them."""
        low, high = min(0.0, *values), max(0.0, *values)
        return cls(left, width, low, high if high > low else low + 1e-9)

    def x(self, value: float) -> float:
        """Pixels from the picture's left."""
        room = self.width - FIGURE - (FIGURE if self.low < 0 else 0)
        start = self.left + (FIGURE if self.low < 0 else 0)
        return start + (value - self.low) / (self.high - self.low) * room


def draw_bars(found: Explanation) -> Image.Image:
    """A row for each word; in it a bar for each model, in the model's colour. Redundant words are
    grey.
    """
    models = len(found.models)
    tall = BAR * models + 10
    title = wrapped(found.prompt, WIDE - 2 * GAP, 18)[:3]
    legend = [
        f"{model}: score {score:.4f}"
        for model, score in zip(found.models, found.scores, strict=True)
    ]
    top = GAP + 24 * len(title) + 22 * len(legend) + 40
    foot = wrapped(footer(found), WIDE - 2 * GAP, 15)
    sheet = Sheet.of(WIDE, top + tall * len(found.words) + 20 * len(foot) + 2 * GAP)
    for n, line in enumerate(title):
        sheet.text(GAP, GAP + 12 + 24 * n, line, size=18)
    for n, line in enumerate(legend):
        y = GAP + 24 * len(title) + 14 + 22 * n
        sheet.pen.rectangle((GAP, y - 6, GAP + 12, y + 6), fill=COLOURS[n % len(COLOURS)])
        sheet.text(GAP + 20, y, line, size=15)
    column = min(WORDS, max(width_of(word.word) for word in found.words)) + 2 * GAP
    width = (WIDE - column - 2 * GAP) / 2
    panels = (
        ("leave-one-out (cosine)", [[v.adds for v in w.views] for w in found.words], column),
        (
            "gradient x embedding",
            [[v.gradient for v in w.views] for w in found.words],
            column + width + GAP,
        ),
    )
    for name, values, left in panels:
        sheet.text(left, top - 16, name, PALE, 15)
        _panel(sheet, values, Scale.of([v for row in values for v in row], left, width), top, tall)
    for n, word in enumerate(found.words):
        y = top + tall * n + tall / 2
        colour = PALE if word.redundant else INK
        sheet.text(column - GAP, y, shortened(word.word, WORDS), colour, anchor="rm")
    for n, line in enumerate(foot):
        sheet.text(GAP, top + tall * len(found.words) + GAP + 20 * n, line, PALE, 15)
    return sheet.image


def _panel(
    sheet: Sheet, values: Sequence[Sequence[float]], scale: Scale, top: int, tall: int
) -> None:
    """The bars of one panel, with their figures."""
    zero = scale.x(0)
    sheet.pen.line((zero, top, zero, top + tall * len(values)), LINE, 1)
    for n, row in enumerate(values):
        for m, value in enumerate(row):
            y = top + tall * n + 5 + BAR * m
            ends = sorted((zero, scale.x(value)))
            sheet.pen.rectangle(
                (ends[0], y + 2, max(ends[1], ends[0] + 1), y + BAR - 2),
                fill=COLOURS[m % len(COLOURS)],
            )
            beside = (ends[0] - 5, "rm") if value < 0 else (ends[1] + 5, "lm")
            sheet.text(beside[0], y + BAR / 2, f"{value:.4f}", PALE, 13, beside[1])


def footer(found: Explanation) -> str:
    """Which words are redundant, and what is left without them."""
    named = [word.word for word in found.words if word.redundant]
    if not named:
        return f"No word is redundant: each adds more than {found.margin:g}."
    alone = f"Redundant (adds at most {found.margin:g} by itself): {', '.join(named)}."
    if found.shorter == found.prompt:
        return alone
    return f"{alone} Left out together: {found.shorter_score:.4f}  {found.shorter}"
