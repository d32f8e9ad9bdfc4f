"""A U-Net that reads another prompt at each step, or the sum of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.generation.encoded import Course, Encoded


@contextmanager
def changing(pipe: Any, courses: Sequence[Course]) -> Iterator[Callable[[int], None]]:
    """Within, the pipeline draws ``courses``, one a row, all with as many parts; it is called with
    :attr:`Course.start`. What is yielded is to be told how many passes are done.

    A second part of a sum costs another pass of the U-Net; with the prediction of the negative
    prompt u and those of the parts c_i, guidance then acts on u + sum of w_i (c_i - u). PezError
    for a sum without guidance, and with a ControlNet, which reads one prompt.
    """
    if not courses:
        yield lambda done: None
        return
    run = _Run(pipe, courses)
    readers = [part for part in (pipe.unet, getattr(pipe, "controlnet", None)) if part is not None]
    is_sum = len(courses[0].weights) > 1
    if is_sum and len(readers) > 1:
        raise PezError("a prompt with AND is not drawn with --control; omit one of them.")
    handles = [r.register_forward_pre_hook(run.swap, with_kwargs=True) for r in readers]
    if is_sum:
        handles.append(pipe.unet.register_forward_hook(run.add, with_kwargs=True))
    try:
        yield run.tell
    finally:
        for handle in handles:
            handle.remove()


class _Run:
    """One call of the pipeline."""

    def __init__(self, pipe: Any, courses: Sequence[Course]) -> None:
        self._pipe, self._courses, self._done = pipe, courses, 0

    def tell(self, done: int) -> None:
        """How many passes are done; some samplers take two for a step."""
        self._done = done

    def _parts(self) -> list[tuple[Encoded, ...]]:
        """Each row's parts at this step."""
        passes = max(1, self._pipe.num_timesteps)
        found = []
        for course in self._courses:
            steps = len(course.steps)
            # of 2 n - 1 passes for n steps each goes to its own step by this
            found.append(course.steps[min(self._done * steps // passes, steps - 1)])
        return found

    def swap(self, _module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The call of the U-Net or the ControlNet with this step's prompts."""
        rows = [parts[0] for parts in self._parts()]
        states = kwargs["encoder_hidden_states"]
        guided = len(states) == 2 * len(rows)
        prompts = [row.prompt for row in rows]
        negatives = [row.negative for row in rows] if guided else []
        kwargs = kwargs | {"encoder_hidden_states": torch.cat([*negatives, *prompts]).to(states)}
        if rows[0].pooled is not None:
            negatives = [row.negative_pooled for row in rows] if guided else []
            pooled = torch.cat([*negatives, *(row.pooled for row in rows)]).to(states)  # type: ignore[list-item]
            kwargs["added_cond_kwargs"] = kwargs["added_cond_kwargs"] | {"text_embeds": pooled}
        return args, kwargs

    def add(self, module: Any, args: Any, kwargs: dict[str, Any], out: Any) -> Any:
        """The prediction for the sum in place of that for its first part."""
        rows = self._parts()
        found: Tensor = out[0]
        if len(found) != 2 * len(rows):
            raise PezError("AND adds prompts up by guidance, and there is none; raise --guidance.")
        away, towards = found.chunk(2)
        args = tuple(_half(value, len(found)) for value in args)
        kwargs = {name: _half(value, len(found)) for name, value in kwargs.items()}
        total = away + self._weights(0, away) * (towards - away)
        for n in range(1, len(rows[0])):
            here = [parts[n] for parts in rows]
            states = kwargs["encoder_hidden_states"]
            kwargs["encoder_hidden_states"] = torch.cat([one.prompt for one in here]).to(states)
            if here[0].pooled is not None:
                pooled = torch.cat([one.pooled for one in here]).to(states)  # type: ignore[misc]
                kwargs["added_cond_kwargs"] = kwargs["added_cond_kwargs"] | {"text_embeds": pooled}
            # the module itself would run these hooks again
            other = module.forward(*args, **kwargs)[0]
            total = total + self._weights(n, away) * (other - away)
        return (torch.cat([away, total]), *out[1:])

    def _weights(self, n: int, like: Tensor) -> Tensor:
        """Each row's weight of a part (b, 1, 1, 1)."""
        weights = [course.weights[n] for course in self._courses]
        return torch.tensor(weights, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)


def _half(value: Any, rows: int) -> Any:
    """The second half, that of the prompts, of what is given row by row."""
    if isinstance(value, dict):
        return {name: _half(one, rows) for name, one in value.items()}
    if isinstance(value, Tensor) and value.ndim and len(value) == rows:
        return value[rows // 2 :]
    return value
