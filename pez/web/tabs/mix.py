"""The tab *Mix*: one prompt from pictures and texts by weight, and away from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from pez.errors import PezError
from pez.options import MixOptions
from pez.session.typed import weighted as weighted
from pez.sources import Part, source_name
from pez.web.aims import Mix
from pez.web.bench import Bench
from pez.web.models import Models
from pez.web.tabs.distil import LONGEST, lines_of
from pez.web.tabs.invert import picture_field, usual_length
from pez.web.tabs.searching import Found, Inputs, searching_tab
from pez.web.uploads import read_uploads

HINT = "Press “Mix”. A line may end in a weight: oil painting = 0.3"


def mix_tab(models: Models, names: Sequence[str], history: Any) -> Found:
    """Build the tab."""

    def inputs() -> Inputs:
        pictures = picture_field("mix-pictures", names[0])
        weight = gr.Slider(
            0.05, 2, 1, step=0.05, label="Weight of the pictures", elem_id="mix-weight"
        )
        texts = gr.Textbox(
            "oil painting = 0.5",
            label="Texts, one a line",
            lines=2,
            max_length=LONGEST,
            elem_id="mix-texts",
        )
        avoid = gr.Textbox(
            "", label="Stay away from, one a line", lines=2, max_length=LONGEST, elem_id="mix-away"
        )
        return Inputs([pictures, weight, texts, avoid], _aim, {"length": usual_length(names[0])})

    return searching_tab(Bench(models, MixOptions), names, history, inputs, HINT, "Mix", "mix")


def _aim(pictures: Any, weight: float, texts: str | None, avoid: str | None) -> Mix:
    parts: list[Part] = []
    if pictures:
        if not weight > 0:
            raise PezError(f"the weight of the pictures must be above 0, not {weight:g}.")
        read = read_uploads(pictures)
        parts += [(p, weight, f"{source_name(p, n)}={weight:g}") for n, p in enumerate(read, 1)]
    for given, sign in ((texts, 1), (avoid, -1)):
        if (given or "").strip():
            parts += [weighted(line, sign) for line in lines_of(given, "text")]
    if not any(share > 0 for _, share, _ in parts):
        raise PezError("there is nothing to match; add a picture or a text.")
    return Mix(tuple(parts))
