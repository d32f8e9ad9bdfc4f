"""The tab *Generate*: a prompt becomes pictures, which can be stopped and steered on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from pez.generation.control import MODELS
from pez.web.board import asset
from pez.web.desk import Desk
from pez.web.drawings import (
    COMPARE,
    CONTROLS,
    PAINT,
    START,
    Asked,
    Easel,
    Shown,
    draw,
    go_on,
    pad,
)
from pez.web.models import Models
from pez.web.tabs.distil import LONGEST
from pez.web.tabs.searching import AT_ONCE, WORK, Found

NAME = "generate"
MOST = 8  # pictures of a prompt


def generate_tab(
    models: Models,
    generators: Sequence[str],
    control: str,
    sources: Sequence[Found],
    tabs: Any,
) -> None:
    """Build the tab, whose id is NAME among ``tabs``. ``control`` names a ControlNet in place of
    the known ones; what the tabs of ``sources`` found is drawn when they ask for it.
    """
    easel = gr.State(Easel(), delete_callback=lambda easel: easel.leave())
    steered = bool(control) or any(name in MODELS for name in generators)
    uses = [COMPARE, START, PAINT, *(CONTROLS if steered else ())]
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            prompt = gr.Textbox(
                "a watercolor of a large castle on red",
                label="Prompt",
                lines=2,
                max_length=LONGEST,
                elem_id="generate-prompt",
            )
            guidance = gr.Slider(
                -1,
                20,
                -1,
                step=0.5,
                label="Guidance",
                info="-1 is the generator's own; prompt and guidance can change while it draws",
                elem_id="generate-guidance",
            )
            with gr.Row():
                begin = gr.Button("Draw", variant="primary", elem_id="generate-draw")
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="generate-stop")
                onward = gr.Button("Go on", interactive=False, elem_id="generate-on")
            generator = gr.Dropdown(
                list(generators), value=generators[0], label="Generator", elem_id="generate-model"
            )
            with gr.Row():
                count = gr.Slider(1, MOST, 1, step=1, label="Pictures", elem_id="generate-count")
                seed = gr.Number(
                    0, label="Seed of the first", precision=0, minimum=0, elem_id="generate-seed"
                )
            with gr.Accordion("More", open=False, elem_id="generate-more"):
                negative = gr.Textbox(
                    "", label="Negative prompt", max_length=LONGEST, elem_id="generate-negative"
                )
                steps = gr.Slider(
                    0,
                    100,
                    0,
                    step=1,
                    label="Steps",
                    info="0 is the generator's own number",
                    elem_id="generate-steps",
                )
            with gr.Accordion("A picture to use", open=False, elem_id="generate-use"):
                original = gr.Gallery(
                    label="A picture",
                    sources=["upload", "clipboard", "webcam"],
                    file_types=["image"],
                    height=240,
                    object_fit="contain",
                    interactive=True,
                    buttons=[],
                    elem_id="generate-picture",
                    elem_classes="pez-pictures",
                )
                use = gr.Radio(uses, value=COMPARE, label="What to do", elem_id="generate-what")
                sheet = gr.HTML(
                    "",
                    js_on_load=asset("pad.js"),
                    apply_default_css=False,
                    elem_id="generate-pad",
                )
                strength = gr.Slider(
                    0.05,
                    1,
                    0.6,
                    step=0.05,
                    label="Strength",
                    info="how far to depart from it, where it is a start or is painted over",
                    elem_id="generate-strength",
                )
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(
                "",
                js_on_load=asset("board.js"),
                apply_default_css=False,
                elem_id="generate-status",
            )
            drawn = gr.Gallery(
                label="Drawn",
                columns=2,
                object_fit="contain",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],
                elem_id="generate-drawn",
            )
            take = gr.Button("Use this picture", interactive=False, elem_id="generate-take")

    def shown(easel: Easel, steps: Iterator[Shown]) -> Iterator[Any]:
        for html, pictures in steps:
            at_work = gr.update(interactive=easel.active)
            waits = gr.update(interactive=easel.waits)
            if pictures is None:
                yield html, gr.skip(), at_work, waits, gr.skip()
            else:
                easel.selected = -1
                some = gr.update(interactive=bool(pictures))
                yield html, pictures, at_work, waits, some

    def on_draw(easel: Easel, *values: Any) -> Iterator[Any]:
        yield from shown(easel, draw(models, easel, Asked(*values), control))

    def on_go(easel: Easel, prompt: str, guidance: float) -> Iterator[Any]:
        yield from shown(easel, go_on(easel, prompt, guidance))

    def on_select(easel: Easel, event: gr.SelectData) -> None:
        easel.selected = int(event.index)

    def on_take(easel: Easel, pictures: Any) -> Any:
        """The picture that is selected, or the last one, as the picture to use."""
        return [pictures[easel.selected][0]] if pictures else gr.skip()

    def on_pad(easel: Easel, event: gr.EventData) -> None:
        easel.paint(event.painted)

    asked = [prompt, negative, generator, count, guidance, steps, seed, original, use, strength]
    outputs = [status, drawn, stop, onward, take]
    begin.click(on_draw, [easel, *asked], outputs, **WORK)
    onward.click(on_go, [easel, prompt, guidance], outputs, **WORK)
    stop.click(lambda easel: easel.halt(), [easel], None, **AT_ONCE)
    gr.on(
        [prompt.blur, prompt.submit, guidance.change],
        lambda easel, prompt, guidance: easel.tell(prompt, guidance),
        [easel, prompt, guidance],
        None,
        **AT_ONCE,
    )
    gr.on([use.change, original.change], pad, [original, use], [sheet], **AT_ONCE)
    sheet.input(on_pad, [easel], None, **AT_ONCE)
    drawn.select(on_select, [easel], None, **AT_ONCE)
    take.click(on_take, [easel, drawn], [original], **AT_ONCE)

    def on_ask(desk: Desk, pictures: Any = None) -> Any:
        """The prompt of another tab, its picture to compare with, and this tab."""
        words = models.reader(desk.model).tokens.decode(desk.ids) if desk.ids else ""
        chosen = pictures[min(desk.chosen, len(pictures) - 1)][:1] if pictures else ()
        return words, list(chosen) or None, COMPARE, gr.update(selected=NAME)

    for source in sources:
        given = [source.desk] + ([source.pictures] if source.pictures else [])
        source.draw.click(on_ask, given, [prompt, original, use, tabs], **AT_ONCE).then(
            on_draw, [easel, *asked], outputs, **WORK
        )
