"""The tab *Explore*: the neighbours of a word, the tokens of a text, the score of a prompt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from pez.api import neighbours, score
from pez.errors import PezError
from pez.models.names import photo_names, shipped_names
from pez.models.offered import JUDGE
from pez.web.board import error_board, in_page, render
from pez.web.models import Models
from pez.web.tabs.distil import LONGEST, lines_of
from pez.web.tabs.invert import picture_field
from pez.web.tabs.searching import WORK
from pez.web.uploads import read_uploads

NEAR = 20  # neighbours that are shown
_LOG = logging.getLogger(__name__)


def explore_tab(models: Models, names: Sequence[str]) -> None:
    """Build the tab."""
    with gr.Row():
        with gr.Column(min_width=280):
            word = gr.Textbox("dog", label="A word", max_length=80, elem_id="explore-word")
            near_by = _model(names, "explore-word-model")
            near = gr.Button("Neighbours", elem_id="explore-near")
            nearest = _answer("explore-neighbours")
        with gr.Column(min_width=280):
            text = gr.Textbox(
                "a cup of coffee", label="A text", max_length=LONGEST, elem_id="explore-text"
            )
            split_by = _model(names, "explore-text-model")
            split = gr.Button("Tokens", elem_id="explore-split")
            pieces = _answer("explore-tokens")
        with gr.Column(min_width=280):
            picture = picture_field("explore-picture", names[0])
            prompts = gr.Textbox(
                "a cup of coffee on a table\na dog in the snow",
                label="Prompts, one a line",
                lines=3,
                max_length=LONGEST,
                elem_id="explore-prompts",
            )
            judged_by = _model([*names, *_judges(names)], "explore-score-model")
            rate = gr.Button("Score", elem_id="explore-rate")
            scores = _answer("explore-scores")

    def on_near(word: str, model: str) -> str:
        return answered(models, lambda: _neighbours(models, word, model))

    def on_split(text: str, model: str) -> str:
        return answered(models, lambda: _tokens(models, text, model))

    def on_rate(given: Any, prompts: str, model: str) -> str:
        return answered(models, lambda: _scores(models, given, prompts, model))

    gr.on([near.click, word.submit], on_near, [word, near_by], [nearest], **WORK)
    gr.on([split.click, text.submit], on_split, [text, split_by], [pieces], **WORK)
    rate.click(on_rate, [picture, prompts, judged_by], [scores], **WORK)


def answered(models: Models, make: Callable[[], str]) -> str:
    """What ``make`` returns while no search runs, or what went wrong, as HTML."""
    try:
        with models.busy:
            return make()
    except PezError as error:
        return error_board(in_page(error))
    except Exception as error:
        _LOG.exception("the page failed")
        return error_board(f"This failed ({type(error).__name__}: {error}); try again.")


def _neighbours(models: Models, word: str | None, model: str) -> str:
    reader = models.reader(model)
    rows = [
        (text, f"{cosine:.3f}")
        for _, text, cosine in neighbours((word or "").strip(), NEAR, reader=reader)
    ]
    return render("table.html.j2", heads=("token", "cosine"), rows=rows, beyond=len(rows), note="")


def _tokens(models: Models, text: str | None, model: str) -> str:
    tokens = models.reader(model).tokens
    ids = tokens.encode(text or "")
    rows = [(tokens.decode([i]), str(i)) for i in ids]
    note = f"{len(ids)} tokens; the model reads at most {tokens.limit}."
    return render("table.html.j2", heads=("token", "id"), rows=rows, beyond=tokens.limit, note=note)


def _scores(models: Models, given: Any, prompts: str | None, model: str) -> str:
    reader, listed = models.reader(model), lines_of(prompts, "prompt")
    notes: list[str] = []
    found = score(read_uploads(given)[0], listed, reader=reader, warn=notes.append)
    pairs = sorted(zip(listed, found, strict=True), key=lambda pair: -pair[1])
    rows = [(prompt, f"{value:.4f}") for prompt, value in pairs]
    return render(
        "table.html.j2",
        heads=("prompt", "score"),
        rows=rows,
        beyond=len(rows),
        note=" ".join(notes),
    )


def _judges(names: Sequence[str]) -> list[str]:
    """The shipped models that only judge, of the kinds that are offered."""
    known = {**dict.fromkeys(shipped_names()), **dict.fromkeys(photo_names())}
    return [n for n in known if n.endswith(JUDGE) and n.removesuffix(JUDGE) in names]


def _model(names: Sequence[str], name: str) -> Any:
    return gr.Dropdown(list(names), value=names[0], label="Model", elem_id=name)


def _answer(name: str) -> Any:
    return gr.HTML("", apply_default_css=False, js_on_load=None, elem_id=name)
