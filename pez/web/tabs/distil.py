"""The tab *Distil*: a long prompt becomes a short one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from pez.errors import PezError
from pez.options import DistillOptions
from pez.web.aims import Texts
from pez.web.bench import Bench
from pez.web.models import Models
from pez.web.tabs.searching import Found, Inputs, searching_tab

LONGEST = 20_000  # characters
MOST = 16  # texts at once
SAMPLE = "a small sketch of a dragon on a red background, pencil drawing, very nice"
HINT = "Press “Make it shorter”, or write a text of your own first: one a line."


def distil_tab(models: Models, names: Sequence[str], history: Any) -> Found:
    """Build the tab."""

    def inputs() -> Inputs:
        text = gr.Textbox(
            SAMPLE,
            label="Long prompts, one a line",
            lines=5,
            max_length=LONGEST,
            elem_id="distil-text",
        )
        ratio = gr.Slider(
            0.05, 1, 0.3, step=0.05, label="Ratio", info="the short prompt's share of the tokens"
        )

        def aim(given: str | None) -> Texts:
            return Texts(tuple(lines_of(given, "text")))

        return Inputs([text], aim, {"ratio": ratio})

    return searching_tab(
        Bench(models, DistillOptions), names, history, inputs, HINT, "Make it shorter", "distil"
    )


def lines_of(given: str | None, what: str) -> list[str]:
    """The filled lines of a text field. PezError for none, and for too many."""
    lines = [line.strip() for line in (given or "").split("\n") if line.strip()]
    if not lines:
        raise PezError(f"there is no {what} yet; write one.")
    if len(lines) > MOST:
        raise PezError(f"{len(lines)} lines are too many at once; keep {MOST} at most.")
    return lines
