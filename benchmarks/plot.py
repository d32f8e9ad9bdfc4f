"""The plot of benchmarks/methods.py, drawn with Pillow: a panel for each reader and axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.curves import ACROSS, AXES, READERS, Run
from pez.evaluation.report.charts import decimals, ticks_of

WIDE, TALL = 900, 620  # of a panel
LEFT, RIGHT, ABOVE, BELOW = 64, 215, 46, 54
HIDDEN = 0.2  # share of the medians that may be below a panel: the best ones are compared
FINE = 2  # drawn larger by this factor, so that lines are smooth
INK, FAINT, BAND = "#222222", "#dddddd", "#e6e6e6"
# colours that colour-blind readers can also distinguish (after Okabe and Ito), the dark ones twice
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7b5ea7", "#8c6d31")
DASHES = ((), (9, 5), (2, 4))

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Where values are on a panel: the horizontal axis is logarithmic."""

    left: float
    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        """Pixels from the panel's left."""
        span = math.log(self.right / self.left) if self.right > self.left else 1.0
        return LEFT + 12 + math.log(value / self.left) / span * (WIDE - LEFT - RIGHT - 24)

    def y(self, value: float) -> float:
        """Pixels from the panel's top."""
        share = (value - self.low) / (self.high - self.low)
        return TALL - BELOW - share * (TALL - BELOW - ABOVE)


def draw(run: Run) -> Image.Image:
    """One row of panels for each reader, one column for each axis."""
    sheet = Image.new("RGB", (WIDE * len(AXES), TALL * len(READERS)), "white")
    for row, reader in enumerate(READERS):
        for column, axis in enumerate(AXES):
            sheet.paste(_panel(run, reader, axis), (column * WIDE, row * TALL))
    return sheet


def _panel(run: Run, reader: str, axis: str) -> Image.Image:
    image = Image.new("RGB", (WIDE * FINE, TALL * FINE), "white")
    pen = ImageDraw.Draw(image)
    lines = [line for line in run.lines if line.axis == axis]
    if lines:
        truth = float(np.median(run.truth[reader]))
        medians = [truth, *(line.quartiles[reader][1] for line in lines)]
        ours = run.at(run.plan["ours"], axis)
        values = [v for line in ours.values() for v in line.quartiles[reader]]
        low, high = min([float(np.quantile(medians, HIDDEN)), *values]), max([*medians, *values])
        margin = 0.04 * (high - low or 1.0)
        budgets = run.budgets(axis)
        frame = Frame(budgets[0], budgets[-1], low - margin, high + margin)
        ticks = [tick for tick in ticks_of(low, high, 8) if frame.low <= tick <= frame.high]
        _grid(pen, ticks, frame)
        _curves(pen, run, reader, axis, frame, truth)
        _floor(pen, frame, budgets)
    name = run.plan["judge"] if reader == "judge" else " + ".join(run.plan["models"])
    who = f"{reader if reader == 'judge' else 'searched model'} ({name})"
    _write(
        pen, LEFT, 12, f"Cosine by the {who}: best prompt so far (lower ones not shown)", size=17
    )
    _write(pen, (LEFT + WIDE - RIGHT) / 2, TALL - 26, ACROSS[axis], anchor="ma")
    return image.resize((WIDE, TALL), Image.Resampling.LANCZOS)


def _grid(pen: ImageDraw.ImageDraw, ticks: list[float], frame: Frame) -> None:
    for tick in ticks:
        at = frame.y(tick)
        _line(pen, [(LEFT, at), (WIDE - RIGHT, at)], FAINT, 1)
        _write(pen, LEFT - 8, at, f"{tick:.{decimals(ticks)}f}", anchor="rm")


def _floor(pen: ImageDraw.ImageDraw, frame: Frame, budgets: list[float]) -> None:
    """The budgets, without values too low to be shown."""
    floor = TALL - BELOW
    pen.rectangle([0, floor * FINE, (WIDE - RIGHT + 4) * FINE, TALL * FINE], fill="white")
    _line(pen, [(LEFT, floor), (WIDE - RIGHT, floor)], FAINT, 1)
    last = -math.inf
    for budget in budgets:
        if frame.x(budget) - last < 32:  # no room for one more
            continue
        last = frame.x(budget)
        _write(pen, last, TALL - BELOW + 8, f"{budget:g}", anchor="ma")


def _curves(
    pen: ImageDraw.ImageDraw, run: Run, reader: str, axis: str, frame: Frame, truth: float
) -> None:
    ours = run.plan["ours"]
    band = sorted(run.at(ours, axis).items())
    if len(band) > 1:
        lower = [(frame.x(b), frame.y(line.quartiles[reader][0])) for b, line in band]
        upper = [(frame.x(b), frame.y(line.quartiles[reader][2])) for b, line in band]
        pen.polygon([(x * FINE, y * FINE) for x, y in [*lower, *reversed(upper)]], fill=BAND)
    at = frame.y(truth)
    _line(pen, [(LEFT, at), (WIDE - RIGHT, at)], INK, 1.5, (3, 4))
    labels: list[tuple[float, str, str, Point]] = [(at, "true caption", INK, (WIDE - RIGHT, at))]
    for n, method in enumerate(reversed(run.methods)):  # ours last, on top
        place = len(run.methods) - 2 - n  # of its colour; ours has none
        spots = [
            (frame.x(b), frame.y(line.quartiles[reader][1]))
            for b, line in sorted(run.at(method, axis).items())
        ]
        if not spots:
            continue
        colour = INK if method == ours else COLOURS[place % len(COLOURS)]
        dash = () if method == ours else DASHES[place // len(COLOURS) % len(DASHES)]
        _line(pen, spots, colour, 4 if method == ours else 2.2, dash)
        for x, y in spots:
            _dot(pen, x, y, colour, 4.5 if method == ours else 3.2)
        name = f"{method} (quartiles)" if method == ours else method
        end = (spots[-1][0], min(spots[-1][1], TALL - BELOW))
        labels.append((end[1], name, colour, end))
    _labels(pen, labels)


def _labels(
    pen: ImageDraw.ImageDraw, labels: list[tuple[float, str, str, Point]], step: float = 19
) -> None:
    """Names beside the ends of their lines, moved apart, with thin strokes to their lines."""
    ordered = sorted(labels)
    places = apart([at for at, *_ in ordered], step, ABOVE, TALL - BELOW)
    for at, (_, name, colour, end) in zip(places, ordered, strict=True):
        x = WIDE - RIGHT + 22
        _line(pen, [(end[0] + 5, end[1]), (WIDE - RIGHT + 4, end[1]), (x - 3, at)], colour, 0.6)
        _write(pen, x, at, name, colour, anchor="lm")


def apart(places: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """Ascending ``places``, moved as little as possible so that they are ``step`` apart between
    ``low`` and ``high``, if there is room for all.
    """
    groups: list[list[float]] = []  # of offsets from an even spacing, pooled where they fall
    for n, place in enumerate(places):
        groups.append([place - n * step])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    room = max(low, high - (len(places) - 1) * step)
    offsets = [min(max(_mean(group), low), room) for group in groups for _ in group]
    return [offset + n * step for n, offset in enumerate(offsets)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _line(
    pen: ImageDraw.ImageDraw,
    points: Sequence[Point],
    colour: str,
    width: float,
    dash: Sequence[float] = (),
) -> None:
    broad = max(1, round(width * FINE))
    for piece in _dashed(points, dash) if dash else [list(points)]:
        pen.line([(x * FINE, y * FINE) for x, y in piece], fill=colour, width=broad, joint="curve")


def _dashed(points: Sequence[Point], dash: Sequence[float]) -> Iterator[list[Point]]:
    """The strokes of a line in ``dash`` (stroke, gap) pixels."""
    period, done = sum(dash), 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        first = -(done % period)
        while first < length:
            start, end = max(0.0, first), min(length, first + dash[0])
            if end > start:
                shares = (start / length, end / length)
                yield [(x0 + (x1 - x0) * s, y0 + (y1 - y0) * s) for s in shares]
            first += period
        done += length


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, colour: str, radius: float) -> None:
    box = [(x - radius) * FINE, (y - radius) * FINE, (x + radius) * FINE, (y + radius) * FINE]
    pen.ellipse(box, fill=colour)


def _write(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    text: str,
    colour: str = INK,
    size: int = 15,
    anchor: str = "la",
) -> None:
    font = ImageFont.load_default(size * FINE)
    pen.text((x * FINE, y * FINE), text, colour, font, anchor=anchor)
