"""The tokens of label words, and their log-probabilities behind a text, up to what they share.

Of a label of several tokens the log-probabilities are summed. The first token of all labels is
predicted at one place, where the sum over the vocabulary is the same for all: so it is left out,
and only the label words' logits are needed. Letters of dimensions: b prompts, n texts, g labels, w
width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pez.models.causal import Speaker
from pez.models.lines import Tails

LOGITS = 1 << 24  # numbers of logits at once


@dataclass(frozen=True, eq=False)
class Forest:
    """The tokens of labels behind which others follow, as a forest: ``ids`` (m,), ``ancestors``
    (m, m), each itself included; ``steps`` are (label, token, node) for every token but the first
    of each label, the node being that which predicts it.
    """

    tails: Tails
    ids: list[int]
    ancestors: Tensor
    steps: list[tuple[int, int, int]]

    @classmethod
    def of(cls, tails: Tails, device: torch.device) -> Forest:
        """For labels with these ids."""
        nodes: dict[tuple[int, ...], int] = {}
        steps = []
        for label, tail in enumerate(tails):
            for n in range(1, len(tail)):
                node = nodes.setdefault(tail[:n], len(nodes))
                steps.append((label, tail[n], node))
        listed = list(nodes)
        ancestors = torch.tensor(
            [[one[: len(other)] == other for other in listed] for one in listed], dtype=torch.bool
        ).view(len(listed), len(listed))
        return cls(tails, [one[-1] for one in listed], ancestors.to(device), steps)

    @cached_property
    def firsts(self) -> list[int]:
        """The first token of each label."""
        return [tail[0] for tail in self.tails]


def _scored(speaker: Speaker, forest: Forest, ends: Tensor, nodes: Tensor) -> Tensor:
    """Labels' scores (..., g) from the last states before them (..., w) and those of the forest
    (..., m, w).
    """
    table, bias = speaker.head
    firsts = torch.tensor(forest.firsts, device=ends.device)
    found = ends.float() @ table[firsts].float().T
    if bias is not None:
        found = found + bias[firsts].float()
    if not forest.steps:
        return found
    flat = nodes.flatten(0, -3).float()  # (f, m, w)
    size = max(1, LOGITS // (table.shape[0] * flat.shape[1]))
    parts = []
    for some in flat.split(size):
        logits = some @ table.float().T
        if bias is not None:
            logits = logits + bias.float()
        likely = logits.log_softmax(-1)
        columns = [likely.new_zeros(len(some)) for _ in forest.tails]
        for label, token, node in forest.steps:
            columns[label] = columns[label] + likely[:, node, token]
        parts.append(torch.stack(columns, -1))
    return found + torch.cat(parts).view(*found.shape)


def at_ends(speaker: Speaker, forest: Forest, states: Tensor, sizes: Tensor) -> Tensor:
    """Scores (r, c, g) from the states (r, c, q, w) of blocks whose contexts are of ``sizes``."""
    more = len(forest.ids)
    last = (sizes - 1)[..., None, None].expand(-1, -1, 1, states.shape[-1])
    ends = states.gather(2, last)[:, :, 0]
    return _scored(speaker, forest, ends, states[:, :, states.shape[2] - more :])


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids of rows as a tensor (m, a), 0 behind their ends, and their sizes (m,)."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.long)
    sizes = torch.tensor([len(row) for row in rows], device=device)
    return ids.view(len(rows), longest).to(device), sizes


def plain_scores(speaker: Speaker, forest: Forest, rows: Sequence[Tensor]) -> Tensor:
    """Labels' scores (r, g) behind whole rows of embeddings (t, w), as transformers reads them."""
    sizes = torch.tensor([len(row) for row in rows], device=speaker.device)
    x = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    chains = list(dict.fromkeys(tail[:-1] for tail in forest.tails))
    if speaker.paired:
        said, _ = padded([[*speaker.first, *chain] for chain in chains], speaker.device)
        likely = speaker.answer(x, sizes, said).log_softmax(-1)  # (r, a, q, V)
        columns = []
        for tail in forest.tails:
            own = likely[:, chains.index(tail[:-1])]
            columns.append(sum(own[:, n, token] for n, token in enumerate(tail)))
        return torch.stack([torch.as_tensor(one) for one in columns], -1)
    found: list[Tensor] = [x.new_zeros(())] * len(forest.tails)
    for chain in chains:
        more = speaker.table[torch.tensor(chain, dtype=torch.long, device=speaker.device)]
        whole = [torch.cat([row, more]) for row in rows]
        padded_rows = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
        likely = speaker.read(padded_rows, sizes + len(chain)).log_softmax(-1)
        at = (sizes - 1)[:, None] + torch.arange(len(chain) + 1, device=speaker.device)
        likely = likely.gather(1, at[..., None].expand(-1, -1, likely.shape[-1]))
        for label, tail in enumerate(forest.tails):
            if tail[:-1] == chain:
                found[label] = sum(  # type: ignore[assignment]
                    likely[:, n, token] for n, token in enumerate(tail)
                )
    return torch.stack(found, -1)
