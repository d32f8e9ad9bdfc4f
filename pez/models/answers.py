"""What a language model answers: log-probabilities of the label words, up to what they share.

How a label's tokens are scored is in :mod:`pez.models.forest`; here texts and prompts are read,
many in a pass. Letters of dimensions: b prompts, n texts, g labels, l tokens of a prompt, w width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pez.models.causal import Speaker
from pez.models.forest import Forest, at_ends, padded, plain_scores
from pez.models.kept import Kept, joined
from pez.models.lines import Context, Frame, Tails

TOKENS = 1024  # read at once without gradients: more are no faster on a CPU
GRADIENTS = 1 << 29  # bytes that a pass with gradients may keep


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Texts that are read together: their ``places`` among all, and the ids behind the prompt,
    padded (m, a), of ``sizes`` (m,); ``kept`` where the prompt follows the texts.
    """

    places: list[int]
    after: Tensor
    sizes: Tensor
    kept: Kept | None


@dataclass(frozen=True, eq=False)
class Answers:
    """The texts of one search in their frames. Where the prompt follows the texts, their keys and
    values are computed once; where it leads, its own are, and serve all texts.
    """

    speaker: Speaker
    frames: Sequence[Frame]
    leads: bool

    @cached_property
    def _fast(self) -> bool:
        longest = max(len(f.before) + len(f.after) + max(map(len, f.tails)) for f in self.frames)
        return self.speaker.fits(longest + self.speaker.context // 8)

    @cached_property
    def _groups(self) -> list[tuple[Forest, list[int]]]:
        """Places of texts behind which the labels have the same ids: mostly all of them."""
        found: dict[Tails, list[int]] = defaultdict(list)
        for n, frame in enumerate(self.frames):
            found[frame.tails].append(n)
        return [(Forest.of(t, self.speaker.device), places) for t, places in found.items()]

    @property
    def _per_token(self) -> int:
        """Bytes that a token keeps for the backward pass, roughly."""
        config = self.speaker.config
        wide = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        layers = config.num_hidden_layers
        return layers * (14 * config.hidden_size + 4 * wide) * 4

    def _room(self, tokens: int, gradient: bool) -> int:
        """How many blocks of so many tokens are read at once."""
        most = max(64, GRADIENTS // self._per_token) if gradient else TOKENS
        return max(1, most // tokens)

    @cached_property
    def _chunks(self) -> list[tuple[Forest, list[_Chunk]]]:
        """Texts of about one length together, so that little is padding."""
        return [(forest, list(self._cut(places))) for forest, places in self._groups]

    def _cut(self, places: Sequence[int]) -> Iterator[_Chunk]:
        frames = self.frames
        order = sorted(places, key=lambda n: (len(frames[n].before), len(frames[n].after)))
        size = 32 if not self.leads else self._room(max(len(f.after) for f in frames) + 1, True)
        for start in range(0, len(order), size):
            some = order[start : start + size]
            after, sizes = padded([frames[n].after for n in some], self.speaker.device)
            kept = None
            if not self.leads:
                kept = kept_texts(self.speaker, [frames[n].before for n in some])
            yield _Chunk(some, after, sizes, kept)

    @cached_property
    def _begin(self) -> Kept | None:
        """What stands before a leading prompt: the start tokens and the template's words."""
        before = self.frames[0].before
        return kept_texts(self.speaker, [before]) if before else None

    def parts(
        self, prompts: Tensor, chosen: Sequence[int] | None = None
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Labels' scores (b, n', g) of prompts (b, l, w), some of the texts at a time, with the
        places of these; differentiable. Only of the texts ``chosen``, if they are given.
        """
        asked = None if chosen is None else set(chosen)
        if not self._fast:
            yield from self._plainly(prompts, asked)
            return
        gradient = torch.is_grad_enabled() and prompts.requires_grad
        for forest, chunks in self._chunks:
            for chunk in chunks:
                rows = range(len(chunk.places))
                own = [n for n in rows if asked is None or chunk.places[n] in asked]
                if own:
                    yield from self._part(prompts, forest, chunk, own, gradient)

    def _part(
        self, prompts: Tensor, forest: Forest, chunk: _Chunk, own: list[int], gradient: bool
    ) -> Iterator[tuple[list[int], Tensor]]:
        tokens = (0 if self.leads else prompts.shape[1]) + chunk.after.shape[1] + len(forest.ids)
        room = self._room(tokens, gradient)
        for start in range(0, len(own), room):
            some = own[start : start + room]
            index = torch.tensor(some, device=prompts.device)
            many = max(1, room // len(some))
            read = self._behind if not self.leads else self._before
            found = [read(p, forest, chunk, index) for p in prompts.split(many)]
            yield [chunk.places[n] for n in some], torch.cat(found)

    def _embed(self, ids: Tensor | list[int]) -> Tensor:
        if isinstance(ids, list):
            ids = torch.tensor(ids, dtype=torch.long, device=self.speaker.device)
        return self.speaker.table[ids]

    def _behind(self, prompts: Tensor, forest: Forest, chunk: _Chunk, index: Tensor) -> Tensor:
        """Scores (b, m, g) of prompts behind kept texts, side by side in each text's row."""
        m, b, dtype = len(index), len(prompts), self.speaker.table.dtype
        after = self._embed(chunk.after[index])  # (m, a, w)
        more = self._embed(forest.ids)
        x = torch.cat(
            [
                prompts.to(dtype).expand(m, -1, -1, -1),
                after[:, None].expand(-1, b, -1, -1),
                more.expand(m, b, -1, -1),
            ],
            2,
        )
        sizes = (chunk.sizes[index] + prompts.shape[1])[:, None].expand(m, b)
        states, _ = self.speaker.run(x, sizes, forest.ancestors, chunk.kept, index)
        return at_ends(self.speaker, forest, states, sizes).transpose(0, 1)

    def _before(self, prompts: Tensor, forest: Forest, chunk: _Chunk, index: Tensor) -> Tensor:
        """Scores (b, m, g) of texts behind prompts that are read once."""
        m, b, dtype = len(index), len(prompts), self.speaker.table.dtype
        device = prompts.device
        none = torch.zeros(0, 0, dtype=torch.bool, device=device)
        whole = torch.full((b, 1), prompts.shape[1], device=device)
        rows = torch.zeros(b, dtype=torch.long, device=device)
        begin = self._begin
        _, kept = self.speaker.run(
            prompts.to(dtype)[:, None], whole, none, begin, rows if begin else None, keep=True
        )
        after = self._embed(chunk.after[index])
        x = torch.cat([after, self._embed(forest.ids).expand(m, -1, -1)], 1)
        sizes = chunk.sizes[index].repeat(b)[:, None]
        owner = torch.arange(b, device=device).repeat_interleave(m)
        x = x.repeat(b, 1, 1)[:, None]
        states, _ = self.speaker.run(x, sizes, forest.ancestors, kept, owner)
        return at_ends(self.speaker, forest, states, sizes).view(b, m, -1)

    def _plainly(
        self, prompts: Tensor, asked: set[int] | None
    ) -> Iterator[tuple[list[int], Tensor]]:
        """As :meth:`parts`, each text whole."""
        gradient = torch.is_grad_enabled() and prompts.requires_grad
        dtype = self.speaker.table.dtype
        for forest, places in self._groups:
            own = [n for n in places if asked is None or n in asked]
            own.sort(key=lambda n: len(self.frames[n].before) + len(self.frames[n].after))
            longest = prompts.shape[1] + max(
                (len(self.frames[n].before) + len(self.frames[n].after) for n in own), default=1
            )
            room = self._room(longest, gradient)
            for start in range(0, len(own), room):
                some = own[start : start + room]
                found = []
                for prompt in prompts.to(dtype):
                    rows = [
                        torch.cat(
                            [
                                self._embed(list(self.frames[n].before)),
                                prompt,
                                self._embed(list(self.frames[n].after)),
                            ]
                        )
                        for n in some
                    ]
                    found.append(plain_scores(self.speaker, forest, rows))
                yield some, torch.stack(found)


@torch.no_grad()
def kept_texts(speaker: Speaker, rows: Sequence[Sequence[int]]) -> Kept | None:
    """Keys and values of beginnings given as ids; None if all are empty. Those of about one length
    are read together: padding behind a text needs no mask, as no token of the text sees it.
    """
    longest = max(map(len, rows))
    if not longest:
        return None
    order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
    none = torch.zeros(0, 0, dtype=torch.bool, device=speaker.device)
    found: list[Kept] = []
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= TOKENS // 4:
            end += 1
        ids, sizes = padded([rows[n] for n in order[start:end]], speaker.device)
        x = speaker.table[ids][:, None]
        made = speaker.run(x, sizes[:, None], none, keep=True)[1] if ids.shape[1] else None
        if made is None:  # empty ones: as long as the next, all of it padding
            rest = [n for n in order if rows[n]]
            return _with_empty(speaker, rows, rest)
        found.append(made)
        start = end
    return joined(found, order)


def _with_empty(speaker: Speaker, rows: Sequence[Sequence[int]], rest: Sequence[int]) -> Kept:
    """As :func:`kept_texts`, where only ``rest`` are not empty."""
    kept = kept_texts(speaker, [rows[n] for n in rest])
    assert kept is not None
    place = torch.zeros(len(rows), dtype=torch.long, device=speaker.device)
    place[list(rest)] = torch.arange(len(rest), device=speaker.device)
    lengths = torch.tensor([len(row) for row in rows], device=speaker.device)
    return Kept([(k[place], v[place]) for k, v in kept.layers], lengths)


@torch.no_grad()
def context_scores(
    speaker: Speaker,
    rows: Sequence[Context],
    kept: tuple[Kept | None, Sequence[int]] = (None, ()),
) -> Tensor:
    """Labels' scores (n, g) of whole contexts. ``kept`` are beginnings of them that were read
    before, one for each or one for all, and how many tokens each context has in its own; 0 for one
    that does not begin so.
    """
    out = torch.zeros(len(rows), len(rows[0].tails), device=speaker.device)
    begun, lengths = kept
    sizes = list(lengths) or [0] * len(rows)
    groups: dict[tuple[Tails, bool], list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        groups[row.tails, sizes[n] > 0].append(n)
    for (tails, known), places in groups.items():
        forest = Forest.of(tails, speaker.device)
        places.sort(key=lambda n: len(rows[n].ids) - sizes[n])
        longest = max(len(rows[n].ids) for n in places)
        fast = speaker.fits(longest + max(map(len, tails)))
        most = max(len(rows[n].ids) - sizes[n] for n in places) + len(forest.ids)
        room = max(1, TOKENS // most)
        for start in range(0, len(places), room):
            some = places[start : start + room]
            parts = [rows[n].ids[sizes[n] :] for n in some]
            if not fast:
                found = plain_scores(speaker, forest, [speaker.table[list(p)] for p in parts])
            else:
                ids, size = padded(parts, speaker.device)
                more = torch.tensor(forest.ids, dtype=torch.long, device=speaker.device)
                x = speaker.table[torch.cat([ids, more.expand(len(ids), -1)], 1)][:, None]
                own = begun if known else None
                one = own is not None and len(own.lengths) == 1
                index = torch.tensor([0] * len(some) if one else some, device=speaker.device)
                states, _ = speaker.run(
                    x, size[:, None], forest.ancestors, own, index if own else None
                )
                found = at_ends(speaker, forest, states, size[:, None])[:, 0]
            out[some] = found
    return out
