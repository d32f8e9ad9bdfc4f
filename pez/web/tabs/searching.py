"""What the tabs that search have in common: controls, buttons, and the board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pez.web.aims import Aim
from pez.web.bench import Bench, Wanted
from pez.web.board import asset, empty_board
from pez.web.desk import Desk
from pez.web.history import added

# one queue for all that needs a model; no route by name for programs
WORK: dict[str, Any] = {
    "concurrency_id": "work",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "minimal",
}
QUIET: dict[str, Any] = WORK | {"show_progress": "hidden"}
AT_ONCE: dict[str, Any] = {
    "concurrency_limit": None,
    "api_visibility": "private",
    "show_progress": "hidden",
}


@dataclass(frozen=True)
class Inputs:
    """What a tab asks for: components, and the aim that their values stand for. ``options`` are
    further components, each the search option of its name.
    """

    components: Sequence[Any]
    aim: Callable[..., Aim]
    options: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a tab found, for another one to use: its desk, the button that asks for a drawing, and
    the field of its pictures, None where it has none.
    """

    desk: Any
    draw: Any
    pictures: Any


def searching_tab(
    bench: Bench,
    names: Sequence[str],
    history: Any,
    inputs: Callable[[], Inputs],
    hint: str,
    action: str,
    name: str,
) -> Found:
    """Build a tab: what ``inputs`` builds, then the shared controls, and the board beside them.
    ``name`` begins the ids of its elements.
    """
    desk = gr.State(Desk(), delete_callback=lambda desk: desk.halt())
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            own = inputs()
            with gr.Row():
                find = gr.Button(action, variant="primary", elem_id=f"{name}-find")
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id=f"{name}-stop")
            model = gr.Dropdown(list(names), value=names[0], label="Model", elem_id=f"{name}-model")
            options, avoid = _more(own, name)
        with gr.Column(scale=5, min_width=300):
            board = gr.HTML(
                empty_board(hint),
                js_on_load=asset("board.js"),
                apply_default_css=False,
                elem_id=f"{name}-board",
            )
            with gr.Row():
                onward = gr.Button(
                    "Go on from these words", interactive=False, elem_id=f"{name}-on"
                )
                draw = gr.Button("Draw this prompt", interactive=False, elem_id=f"{name}-draw")
            itself = gr.Checkbox(
                True,
                label="Go on by itself",
                info="after a word is locked, banned or exchanged",
                elem_id=f"{name}-itself",
            )
    controls = [model, avoid, *options.values()]
    outputs = [board, stop, onward, draw, history]

    def wanted(values: Sequence[Any]) -> Wanted:
        chosen, typed, *rest = values
        return Wanted(chosen, dict(zip(options, rest, strict=True)), typed or "")

    def on_find(desk: Desk, past: Any, *values: Any) -> Iterator[Any]:
        asked, rest = values[: len(own.components)], values[len(own.components) :]
        boards = bench.find(desk, lambda: own.aim(*asked), wanted(rest))
        yield from _shown(boards, desk, past)

    def on_go(desk: Desk, past: Any, *values: Any) -> Iterator[Any]:
        yield from _shown(bench.go_on(desk, wanted(values)), desk, past)

    def on_board(desk: Desk, event: gr.EventData) -> str:
        return bench.act(desk, str(event.act), int(event.n))

    def on_change(desk: Desk, past: Any, itself: bool, *values: Any) -> Iterator[Any]:
        if itself and desk.changed:
            yield from _shown(bench.follow_up(desk, wanted(values)), desk, past)
        else:
            yield (gr.skip(),) * len(outputs)

    find.click(on_find, [desk, history, *own.components, *controls], outputs, **WORK)
    onward.click(on_go, [desk, history, *controls], outputs, **WORK)
    board.click(on_board, [desk], [board], **QUIET).then(
        on_change, [desk, history, itself, *controls], outputs, **QUIET
    )
    stop.click(lambda desk: desk.halt(), [desk], None, **AT_ONCE)
    shown = own.components[0]
    return Found(desk, draw, shown if isinstance(shown, gr.Gallery) else None)


def _more(own: Inputs, name: str) -> tuple[dict[str, Any], Any]:
    """The options of a tab's own, and those that all searches have."""
    with gr.Accordion("More", open=False, elem_id=f"{name}-more"):
        common = {
            "steps": gr.Slider(
                0, 500, 0, step=10, label="Steps", info="0 is the method's own number"
            ),
            "fluency": gr.Slider(
                0, 0.3, 0, step=0.01, label="Fluency", info="how much easy reading counts"
            ),
            "top": gr.Slider(1, 5, 1, step=1, label="Prompts to choose from"),
            "seed": gr.Number(0, label="Seed", precision=0, minimum=0),
        }
        avoid = gr.Textbox(label="Words to leave out", max_length=500, elem_id=f"{name}-avoid")
    return own.options | common, avoid


def _shown(boards: Iterator[str], desk: Desk, past: Any) -> Iterator[Any]:
    """Boards as what the page's parts show: the buttons follow, and the history at the end."""
    board: Any = gr.skip()
    for board in boards:
        yield board, gr.update(interactive=desk.searching), gr.skip(), gr.skip(), gr.skip()
    on = gr.update(interactive=bool(desk.ids))
    yield board, gr.update(interactive=False), on, on, added(past, desk)
