"""Where a generator looks while it draws: its attention to each position of the text.

Each attention layer gets a processor that hands everything on to the one that was there, and beside
that works out, from the same inputs, how much each place of the picture attends to each position of
the text. So the picture stays the same to the bit. Probabilities are averaged over heads, layers
and steps, layers of other resolutions enlarged to the finest one (DAAM: Tang et al. 2023, "What the
DAAM: Interpreting Stable Diffusion Using Cross Attention", section 3). They are enlarged
bilinearly; DAAM's bicubic enlarging may fall below zero.

In a U-Net the picture attends to the text alone. In SD 3 and FLUX (MMDiT, Esser et al. 2024) it
attends to itself as well: there the text's part is kept, and divided by its sum over the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.errors import PezError

MOST = 1 << 26  # probabilities in memory at once: 256 MB


@dataclass(eq=False)
class Recorder:
    """Sums of attention probabilities while one picture is drawn.

    ``sums`` holds (n, h, w) for each resolution: n positions of the text, and ``counts`` how many
    layers and steps went into it.
    """

    sums: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    text: int = 0  # positions of the text in the pass that runs
    size: tuple[int, int] = (0, 0)  # height and width of its picture, in latents or patches
    _prompt: Tensor | None = None
    _active: bool = False

    def begin(self, size: tuple[int, int], states: Tensor) -> None:
        """A pass of the network begins, on the text encoder's output ``states`` (b, n, w).

        Where a negative prompt is in the same batch, it stands first; where it has a pass of its
        own, that comes second and is not recorded.
        """
        last = states[-1].detach()
        if self._prompt is None:
            self._prompt = last.clone()
        same = last.shape == self._prompt.shape
        self._active = same and bool(torch.equal(last, self._prompt))
        self.size, self.text = size, states.shape[1]

    def add(self, query: Tensor, key: Tensor, text: slice) -> None:
        """Attention of queries (heads, places, d) to keys (heads, m, d), of which ``text`` are the
        text's; nothing in a pass that is not recorded.
        """
        if not self._active:
            return
        heads, places, width = query.shape
        rows = max(1, MOST // (heads * key.shape[1]))
        other = key.float().transpose(1, 2) * width**-0.5  # SD 2 overflows float16 here
        found = torch.cat(
            [(part.float() @ other).softmax(-1)[..., text].mean(0) for part in query.split(rows, 1)]
        )
        grid = grid_of(places, self.size)
        found = found.T.reshape(-1, *grid)
        before = self.sums.get(grid)
        self.sums[grid] = found if before is None else before + found
        self.counts[grid] = self.counts.get(grid, 0) + 1

    def maps(self) -> Tensor:
        """Attention (n, h, w) to each position of the text at the finest resolution: at each place
        the positions sum to one. PezError if nothing was recorded.
        """
        if not self.sums:
            raise PezError("this generator's layers do not attend to a text; there are no maps.")
        finest = max(self.sums, key=lambda grid: grid[0] * grid[1])
        total = torch.stack(
            [
                F.interpolate(one.cpu()[None], size=finest, mode="bilinear")[0]
                for one in self.sums.values()
            ]
        ).sum(0)
        return total / total.sum(0, keepdim=True)


def grid_of(places: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a layer with so many ``places``: those of the whole, halved some times.
    PezError if there is no such.
    """
    high, wide = size
    while high * wide > places and (high > 1 or wide > 1):
        high, wide = -(-high // 2), -(-wide // 2)
    if high * wide != places:
        raise PezError(
            f"attention over {places} places of a picture of {size[0]} x {size[1]} is not known; "
            "there are no maps of this generator."
        )
    return high, wide


def heads_of(x: Tensor, heads: int) -> Tensor:
    """The last row of (b, m, heads x d) as (heads, m, d)."""
    return x[-1].unflatten(-1, (heads, -1)).transpose(0, 1)


@dataclass(eq=False)
class CrossAttention:
    """Records a U-Net's attention to the text, and attends as ``own``."""

    own: Any
    recorder: Recorder

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """As diffusers' ``AttnProcessor2_0``."""
        if encoder_hidden_states is not None:
            text = encoder_hidden_states[-1:]
            if attn.norm_cross:
                text = attn.norm_encoder_hidden_states(text)
            query = _normed(attn.norm_q, heads_of(attn.to_q(hidden_states[-1:]), attn.heads))
            key = _normed(attn.norm_k, heads_of(attn.to_k(text), attn.heads))
            self.recorder.add(query, key, slice(None))
        return self.own(
            attn, hidden_states, encoder_hidden_states, attention_mask, temb, *args, **kwargs
        )


@dataclass(eq=False)
class JointAttention:
    """Records SD 3's attention: the picture's tokens come first, then the text's."""

    own: Any
    recorder: Recorder

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """As diffusers' ``JointAttnProcessor2_0``."""
        if encoder_hidden_states is not None:
            query = _normed(attn.norm_q, heads_of(attn.to_q(hidden_states[-1:]), attn.heads))
            own = _normed(attn.norm_k, heads_of(attn.to_k(hidden_states[-1:]), attn.heads))
            text = heads_of(attn.add_k_proj(encoder_hidden_states[-1:]), attn.heads)
            key = torch.cat([own, _normed(attn.norm_added_k, text)], 1)
            self.recorder.add(query, key, slice(own.shape[1], None))
        return self.own(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs)


@dataclass(eq=False)
class FluxAttention:
    """Records FLUX's attention: the text's tokens come first. Its single blocks are given both in
    one sequence.
    """

    own: Any
    recorder: Recorder

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        """As diffusers' ``FluxAttnProcessor``."""
        rotate = import_module("diffusers.models.embeddings").apply_rotary_emb
        query = attn.norm_q(heads_of(attn.to_q(hidden_states[-1:]), attn.heads))
        key = attn.norm_k(heads_of(attn.to_k(hidden_states[-1:]), attn.heads))
        if encoder_hidden_states is not None:
            text = encoder_hidden_states[-1:]
            asked = attn.norm_added_q(heads_of(attn.add_q_proj(text), attn.heads))
            said = attn.norm_added_k(heads_of(attn.add_k_proj(text), attn.heads))
            query, key = torch.cat([asked, query], 1), torch.cat([said, key], 1)
        if image_rotary_emb is not None:  # (b, heads, m, d)
            query, key = (rotate(x[None], image_rotary_emb)[0] for x in (query, key))
        count = self.recorder.text
        self.recorder.add(query[:, count:], key, slice(count))
        return self.own(
            attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
        )


def _normed(norm: Any, x: Tensor) -> Tensor:
    return x if norm is None else norm(x)


# diffusers' processors whose attention we know -> what records it
KNOWN = {
    "AttnProcessor": CrossAttention,
    "AttnProcessor2_0": CrossAttention,
    "JointAttnProcessor2_0": JointAttention,
    "FluxAttnProcessor": FluxAttention,
}


@contextmanager
def recording(pipe: Any) -> Iterator[Recorder]:
    """Within, a recorder that sees the pipeline draw. PezError for one whose attention is of
    another kind. The pipeline's own processors are back afterwards.
    """
    net = getattr(pipe, "unet", None)
    net = pipe.transformer if net is None else net
    before = dict(net.attn_processors)
    kinds = {type(one).__name__ for one in before.values()}
    if unknown := sorted(kinds - set(KNOWN)):
        raise PezError(
            f"{type(pipe).__name__} attends by {unknown[0]}, which is not known; attention maps "
            "are made of SD 1, SD 2, SDXL, SD 3 and FLUX, without IP-Adapter."
        )
    recorder = Recorder()

    def begin(_net: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        sample = given["hidden_states"] if "hidden_states" in given else args[0]
        if (ids := given.get("img_ids")) is not None:  # FLUX: row and column of each patch
            size = int(ids[..., 1].max()) + 1, int(ids[..., 2].max()) + 1
        else:
            size = int(sample.shape[-2]), int(sample.shape[-1])
        recorder.begin(size, given["encoder_hidden_states"])

    handle = net.register_forward_pre_hook(begin, with_kwargs=True)
    try:
        net.set_attn_processor(
            {name: KNOWN[type(one).__name__](one, recorder) for name, one in before.items()}
        )
        yield recorder
    finally:
        handle.remove()
        net.set_attn_processor(dict(before))  # diffusers empties what it is given
