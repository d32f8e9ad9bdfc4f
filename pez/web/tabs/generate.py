"""The tab *Generate*: a prompt becomes pictures, beside the one that it was found for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
from PIL import Image

from pez.errors import PezError
from pez.evaluation.judges import open_judge
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.generation.pipelines import open_painter, with_options
from pez.models.families import companions
from pez.models.generators import find_generator
from pez.models.names import OFFLINE_CLIP
from pez.result import Result
from pez.search.engine import Progress
from pez.search.stop import Stop
from pez.session.session import Watch
from pez.web.board import in_page, render
from pez.web.desk import Desk
from pez.web.models import Models
from pez.web.running import Running, follow
from pez.web.tabs.distil import LONGEST
from pez.web.tabs.searching import AT_ONCE, WORK
from pez.web.uploads import read_uploads

COMPARE, START = "compare with it", "start from it"
MOST = 4  # pictures of a prompt
SIDES = 1536  # pixels, the most of a side


class _Stopped(KeyboardInterrupt):  # as Ctrl-C, it is no fault of the pipeline
    """A drawing was stopped by the visitor."""


def generate_tab(models: Models, generators: Sequence[str]) -> None:
    """Build the tab."""
    desk = gr.State(Desk(), delete_callback=lambda desk: desk.halt())
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            prompt = gr.Textbox(
                "a watercolor of a large castle on red",
                label="Prompt",
                lines=2,
                max_length=LONGEST,
                elem_id="generate-prompt",
            )
            negative = gr.Textbox(
                "", label="Negative prompt", max_length=LONGEST, elem_id="generate-negative"
            )
            with gr.Row():
                draw = gr.Button("Draw", variant="primary", elem_id="generate-draw")
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="generate-stop")
            generator = gr.Dropdown(
                list(generators), value=generators[0], label="Generator", elem_id="generate-model"
            )
            count = gr.Slider(1, MOST, 1, step=1, label="Pictures", elem_id="generate-count")
            with gr.Accordion("More", open=False, elem_id="generate-more"):
                guidance = gr.Slider(
                    -1, 20, -1, step=0.5, label="Guidance", info="-1 is the generator's own"
                )
                steps = gr.Slider(
                    0, 100, 0, step=1, label="Steps", info="0 is the generator's own number"
                )
                seed = gr.Number(0, label="Seed", precision=0, minimum=0)
                original = gr.Gallery(
                    label="A picture to compare with, or to start from",
                    sources=["upload", "clipboard", "webcam"],
                    file_types=["image"],
                    height=200,
                    object_fit="contain",
                    interactive=True,
                    buttons=[],
                    elem_id="generate-picture",
                )
                use = gr.Radio([COMPARE, START], value=COMPARE, label="The picture is there to")
                strength = gr.Slider(
                    0.05, 1, 0.6, step=0.05, label="Strength", info="how far to depart from it"
                )
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(
                "", apply_default_css=False, js_on_load=None, elem_id="generate-status"
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

    def on_draw(desk: Desk, *values: Any) -> Iterator[Any]:
        for html, pictures in _drawing(models, desk, *values):
            shown = gr.skip() if pictures is None else pictures
            yield html, shown, gr.update(interactive=desk.searching)

    asked = [prompt, negative, generator, count, guidance, steps, seed, original, use, strength]
    draw.click(on_draw, [desk, *asked], [status, drawn, stop], **WORK)
    stop.click(lambda desk: desk.halt(), [desk], None, **AT_ONCE)


def _drawing(
    models: Models,
    desk: Desk,
    prompt: str,
    negative: str,
    generator: str,
    count: float,
    guidance: float,
    steps: float,
    seed: float,
    given: Any,
    use: str,
    strength: float,
) -> Iterator[tuple[str, list[Any] | None]]:
    """How far the drawing is, as HTML, and at its end the pictures with their captions."""
    drawn: list[Image.Image] = []
    notes: list[str] = []
    stop = desk.stop = Stop()

    def work(watch: Watch) -> list[Result | None]:
        if not prompt.strip():
            raise PezError("there is no prompt yet; write one.")
        start = given[0][0] if given and use == START else ""
        originals = read_uploads(given)[:1] if given else []
        options = GenerateOptions(
            generator=generator,
            negative=plain_text(negative),
            count=int(count),
            guidance=guidance,
            steps=int(steps),
            seed=int(seed),
            image=start,
            strength=strength if start else 0.0,
            device=models.device,
        )
        painter = _painter(models, options)

        def progress(done: int, total: int) -> None:
            if watch.stop.asked:
                raise _Stopped
            if watch.progress:
                watch.progress(Progress(done, total, 0, 1, 0.0, []), prompt)

        try:
            pairs = [prompt] * options.count, options.seeds
            painter.paint(
                *pairs, progress=progress, done=lambda _, one: drawn.append(one), warn=notes.append
            )
        except _Stopped:
            notes.append(f"Stopped; {len(drawn)} of {options.count} pictures were drawn.")
        for n, likeness in enumerate(_likeness(models, generator, originals, drawn)):
            notes.append(f"Picture {n + 1} resembles the original by {likeness}.")
        return []

    running = Running()
    try:
        for running in follow(work, stop, models.busy):
            if not running.over:
                yield _status(running), None
    finally:
        desk.stop = None
    if running.wrong:
        yield render("drawing.html.j2", error=in_page(running.wrong), total=0, notes=notes), None
        return
    originals = [(given[0][0], "original")] if given else []
    captions = [(picture, f"seed {int(seed) + n}") for n, picture in enumerate(drawn)]
    yield render("drawing.html.j2", error="", total=0, notes=notes), originals + captions


def _status(running: Running) -> str:
    total = running.total or 1
    return render("drawing.html.j2", error="", total=total, steps=running.steps, notes=[])


def plain_text(text: str) -> str:
    """A negative prompt with a blank in front, so that options do not look whether a file of that
    name is here: visitors must not learn what files this machine has.
    """
    plain = text.strip()
    return f" {plain}" if plain else ""


def _painter(models: Models, options: GenerateOptions) -> Painter:
    """A generator with these options; it is loaded once for drawing from texts, and once for
    drawing from pictures.
    """
    task = "picture" if options.image else "text"
    make: Callable[[], Painter] = lambda: open_painter(options)  # noqa: E731
    return with_options(models.once(("generator", options.generator, task), make), options)


def _likeness(
    models: Models, generator: str, originals: list[Image.Image], drawn: list[Image.Image]
) -> list[str]:
    """What a judge says of each drawn picture beside the original, if there is one."""
    if not originals or not drawn:
        return []
    readers = find_generator(generator).readers
    name = companions(readers[0]).judge if readers else ""
    name = name or companions(OFFLINE_CLIP).judge
    judge = models.once(("judge", name), lambda: open_judge(name, models.device))
    found = judge.similarities(originals * len(drawn), drawn)
    return [f"{value:.3f} ({name})" for value in found]
