"""The tab *Invert*: pictures become prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from pez.datasets.samples import PHOTOGRAPHS, samples
from pez.models.names import reads_photographs
from pez.options import InvertOptions
from pez.web.aims import Pictures
from pez.web.bench import Bench
from pez.web.models import Models
from pez.web.tabs.searching import Inputs, searching_tab
from pez.web.uploads import read_uploads

ONE, ALL = "one prompt each", "one prompt for all"
SAMPLE = 2  # of the shipped pictures
USUAL = {True: 9, False: 16}  # tokens, by whether the model is a small one of photographs
HINT = "Press “Find a prompt”. For a picture of your own, drop or paste it on the left first."


def invert_tab(models: Models, names: Sequence[str], history: Any) -> None:
    """Build the tab."""
    photographs = reads_photographs(names[0])

    def inputs() -> Inputs:
        sample = samples(PHOTOGRAPHS if photographs else "attributes")[SAMPLE]
        gallery = gr.Gallery(
            [str(sample.path)],
            label="Pictures",
            sources=["upload", "clipboard", "webcam"],
            file_types=["image"],
            columns=3,
            height=240,
            object_fit="contain",
            interactive=True,
            buttons=[],
            elem_id="invert-pictures",
        )
        which = gr.Radio([ONE, ALL], value=ONE, label="Several pictures", elem_id="invert-which")
        length = gr.Slider(
            1, 40, USUAL[photographs], step=1, label="Length", info="tokens; commas count"
        )

        def aim(given: Any, which: str) -> Pictures:
            return Pictures(tuple(read_uploads(given)), which == ALL)

        return Inputs([gallery, which], aim, {"length": length})

    searching_tab(
        Bench(models, InvertOptions), names, history, inputs, HINT, "Find a prompt", "invert"
    )
