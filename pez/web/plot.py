"""The score over the steps of a search, as a small picture of lines (SVG)."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDE, HIGH, LEFT, BELOW = 360, 120, 44, 18


def score_plot(curve: Sequence[tuple[int, float]]) -> Markup:
    """The best score so far over the steps; empty for fewer than two points."""
    if len(curve) < 2:
        return Markup("")
    last = max(curve[-1][0], 1)
    low, high = min(s for _, s in curve), max(s for _, s in curve)
    flat = high - low < 5e-4  # as shown: no rise
    room = max(high - low, 1e-9)

    def x(step: float) -> float:
        return LEFT + (WIDE - LEFT - 4) * step / last

    def y(score: float) -> float:
        share = 0.5 if flat else (high - score) / room
        return 6 + (HIGH - BELOW - 10) * share

    points = " ".join(f"{x(step):.1f},{y(score):.1f}" for step, score in curve)
    rose = f"stayed at {high:.3f}" if flat else f"rose from {low:.3f} to {high:.3f}"
    said = f"The score {rose} in {last} steps."
    parts = [
        f'<svg class="pez-plot" viewBox="0 0 {WIDE} {HIGH}" role="img" '
        f'aria-label="{escape(said)}">',
        f'<line x1="{LEFT}" y1="{y(low):.1f}" x2="{WIDE - 4}" y2="{y(low):.1f}" class="pez-axis"/>',
        f'<polyline points="{points}" class="pez-line"/>',
        f'<text x="{LEFT - 6}" y="{y(high) + 4:.1f}" text-anchor="end">{high:.3f}</text>',
        ""
        if flat
        else f'<text x="{LEFT - 6}" y="{y(low) + 1:.1f}" text-anchor="end">{low:.3f}</text>',
        f'<text x="{LEFT}" y="{HIGH - 4}">0</text>',
        f'<text x="{WIDE - 4}" y="{HIGH - 4}" text-anchor="end">{last} steps</text>',
        "</svg>",
    ]
    return Markup("".join(parts))
