"""The tab *Invert*: pictures become prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from pez.datasets.samples import PHOTOGRAPHS, samples
from pez.models.names import is_shipped, reads_photographs
from pez.options import InvertOptions
from pez.web.aims import Pictures
from pez.web.bench import Bench
from pez.web.models import Models
from pez.web.tabs.searching import Found, Inputs, searching_tab
from pez.web.uploads import read_uploads

ONE, ALL = "one prompt each", "one prompt for all"
SAMPLE = 2  # of the shipped pictures
USUAL = 9  # tokens for the small shipped models: five words with commas between them
HINT = "Press “Find a prompt”. For a picture of your own, drop or paste it on the left first."


def invert_tab(models: Models, names: Sequence[str], history: Any) -> Found:
    """Build the tab."""

    def inputs() -> Inputs:
        gallery = picture_field("invert-pictures", names[0])
        which = gr.Radio([ONE, ALL], value=ONE, label="Several pictures", elem_id="invert-which")
        return Inputs([gallery, which], _aim, {"length": usual_length(names[0])})

    return searching_tab(
        Bench(models, InvertOptions), names, history, inputs, HINT, "Find a prompt", "invert"
    )


def _aim(given: Any, which: str) -> Pictures:
    return Pictures(tuple(read_uploads(given)), which == ALL)


def picture_field(name: str, model: str) -> Any:
    """Where pictures are dropped, pasted or taken; a shipped one that ``model`` knows is there."""
    kind = "attributes" if is_shipped(model) and not reads_photographs(model) else PHOTOGRAPHS
    return gr.Gallery(
        [str(samples(kind)[SAMPLE].path)],
        label="Pictures",
        sources=["upload", "clipboard", "webcam"],
        file_types=["image"],
        columns=3,
        height=240,
        object_fit="contain",
        interactive=True,
        buttons=[],
        elem_id=name,
        elem_classes="pez-pictures",
    )


def usual_length(model: str) -> Any:
    """A slider for the tokens of a prompt."""
    usual = USUAL if is_shipped(model) else InvertOptions.length
    return gr.Slider(1, 40, usual, step=1, label="Length", info="tokens; commas count")
