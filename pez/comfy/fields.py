"""The inputs that all searching nodes have, and the options that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from comfy_api.latest import io

from pez.methods import METHODS
from pez.options import SearchOptions
from pez.result import Result
from pez.session.styles import STYLES
from pez.session.typed import typed_words

O = TypeVar("O", bound=SearchOptions)  # noqa: E741

USUAL = "auto"  # the form that the method itself would choose
MOST_SEED = (1 << 64) - 1
# soft has no words to hand on; ph2p needs a generator inside the search
_NOT_HERE = ("soft", "ph2p")


def search_inputs(length: int, lengths: str) -> list[io.Input]:
    """The inputs of a search; ``length`` is the usual one, ``lengths`` says what 0 means."""
    return [
        io.Int.Input(
            "length",
            default=length,
            min=0,
            max=1000,
            tooltip=f"Tokens of the prompt, commas included. {lengths}",
        ),
        io.Combo.Input(
            "style",
            options=[USUAL, *STYLES],
            default=USUAL,
            tooltip="Form of the prompt. auto: phrases between commas if it is long enough.",
        ),
        io.Combo.Input(
            "method",
            options=[name for name in METHODS if name not in _NOT_HERE],
            default=SearchOptions.method,
            tooltip="How to search; pez is the paper's method.",
        ),
        io.Int.Input(
            "steps", default=0, min=0, max=100_000, tooltip="0 is the method's own number."
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=MOST_SEED,
            control_after_generate=_fixed(),
            tooltip="While nothing changes, the seed included, ComfyUI does not search again.",
        ),
        io.String.Input("keep", default="", tooltip="Words that must be in the prompt."),
        io.String.Input("ban", default="", tooltip="Words that must not be in the prompt."),
        io.String.Input(
            "template",
            default="{}",
            tooltip="Fixed words and free slots: a photo of {} in the style of {}",
        ),
        io.Float.Input(
            "fluency",
            default=0.0,
            min=0.0,
            max=10.0,
            step=0.01,
            tooltip="How much easy reading counts, by a language model; try 0.03 to 0.3.",
        ),
        io.Boolean.Input(
            "also_negative",
            default=False,
            tooltip="Find a negative prompt too; it takes a second search.",
        ),
    ]


def _fixed() -> Any:
    """The seed has ComfyUI's control; where ComfyUI lets a node choose, the seed stays as it is
    after a run, as another one would search again.
    """
    control = getattr(io, "ControlAfterGenerate", None)
    return True if control is None else control.fixed


def search_outputs() -> list[io.Output]:
    """What all searching nodes give: one of each for every prompt."""
    return [
        io.String.Output("prompt", display_name="prompt", is_output_list=True),
        io.Float.Output("score", display_name="score", is_output_list=True),
        io.String.Output("negative", display_name="negative", is_output_list=True),
    ]


def outputs_of(results: Sequence[Result]) -> io.NodeOutput:
    """The outputs for some results. Without a negative prompt that output is an empty text."""
    return io.NodeOutput(
        [one.prompt for one in results],
        [one.score for one in results],
        [one.negative or "" for one in results],
    )


def options_of(kind: type[O], *, style: str, keep: str, ban: str, **settings: Any) -> O:
    """The options that the inputs of :func:`search_inputs`, and others of ``kind``, stand for.
    PezError for values that they cannot have.
    """
    own = "" if style == USUAL else style
    return kind(style=own, keep=typed_words(keep), ban=typed_words(ban), **settings)
