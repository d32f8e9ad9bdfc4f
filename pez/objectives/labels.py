"""How well a language model labels texts with a prompt beside them.

Wen et al. 2023, section 5 ("Prompting language models"): the loss of a prompt is the mean
cross-entropy of the right label word, here among the label words alone, over examples; with the
weight x of fluency (1 - x) times that plus x times the mean negative log-likelihood of the prompt's
own tokens (Shi et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.errors import PezError
from pez.formats.wording import Wording
from pez.models.answers import Answers, context_scores
from pez.models.causal import Speaker
from pez.models.lines import Frame, contexts
from pez.options import SearchOptions


@dataclass(frozen=True, eq=False)
class Labelled:
    """The goal of one search: ``texts`` (n,) in their ``frames``, the right label (n,) of each by
    its place among the label ``words``; ``fluency`` is the weight of the prompt's own words.
    """

    wording: Wording
    words: tuple[str, ...]
    texts: list[str]
    frames: list[Frame]
    right: list[int]
    fluency: float = 0.0


@dataclass(frozen=True, eq=False)
class Labels:
    """Score = -loss. An example is a target: the loss may see only some at a step. A prompt's
    features are the scores of all labels for all texts of all items.
    """

    reads_pipeline: ClassVar[bool] = False
    reads_language: ClassVar[bool] = True

    reader: Speaker
    items: list[Labelled]

    @classmethod
    def open(cls, options: SearchOptions) -> Speaker:
        """The language model that ``options`` name. PezError if it is unavailable."""
        from pez.models.speakers import load_speaker

        if not options.usual_model:
            raise PezError("--objective labels is for labelled texts; use pez classify.")
        (name,) = options.model or (options.usual_model,)
        return load_speaker(name, options.device, options.dtype)

    @cached_property
    def _answers(self) -> list[Answers]:
        return [Answers(self.reader, i.frames, i.wording.prompt_leads) for i in self.items]

    @cached_property
    def _right(self) -> list[Tensor]:
        return [torch.tensor(item.right, device=self.reader.device) for item in self.items]

    @property
    def batch(self) -> int:
        """Prompts that may be read at once; their texts are read in chunks."""
        return 64

    @property
    def linear(self) -> bool:
        """Answers of a language model do not add up."""
        return False

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w): :class:`pez.search.problem.Objective`."""
        chosen = None if draw is None else draw.tolist()
        loss = self._loss(embeddings, item.tolist(), chosen)
        if chosen is None:
            return loss, -loss.detach()
        with torch.no_grad():
            score = -self._loss(embeddings.detach(), item.tolist())
        return loss, score

    def _loss(
        self,
        embeddings: Tensor,
        items: Sequence[int],
        chosen: Sequence[Sequence[int]] | None = None,
    ) -> Tensor:
        """Loss (b,) of prompts (b, l, w), each for its item, over all its texts or ``chosen``."""
        groups: dict[tuple[int, int], list[int]] = {}
        for row, item in enumerate(items):  # rows that see the same texts are read together
            groups.setdefault((item, -1 if chosen is None else row), []).append(row)
        parts, order = [], []
        for (item, row), rows in groups.items():
            own = embeddings if len(rows) == len(items) else embeddings[rows]
            seen = None if chosen is None else chosen[row]
            parts.append(_eager(own, lambda e, i=item, s=seen: self._terms(e, i, s)))
            order += rows
        back = torch.tensor(order, device=embeddings.device).argsort()
        return torch.cat(parts)[back]

    def _terms(self, embeddings: Tensor, item: int, seen: Sequence[int] | None) -> Iterator[Tensor]:
        """Terms (b,) whose sum is the loss of prompts (b, l, w) for one item."""
        with self.reader.switch.quickly():
            yield from self._summands(embeddings, item, seen)

    def _summands(
        self, embeddings: Tensor, item: int, seen: Sequence[int] | None
    ) -> Iterator[Tensor]:
        goal, right = self.items[item], self._right[item]
        count = len(goal.right) if seen is None else len(seen)
        for places, scores in self._answers[item].parts(embeddings, seen):
            wanted = right[places].expand(len(scores), -1)
            wrong = F.cross_entropy(scores.transpose(1, 2), wanted, reduction="none")
            yield (1 - goal.fluency) * wrong.sum(1) / count
        if goal.fluency:
            yield goal.fluency * self.nll(embeddings)

    def nll(self, embeddings: Tensor) -> Tensor:
        """Mean negative log-likelihood (b,) of a token, in nats, of prompts (b, l, w) behind the
        start tokens; differentiable, each word as output and as context. PezError as of
        :func:`output_scale`.
        """
        reader = self.reader
        table, scale = reader.head[0], output_scale(reader)
        start = reader.table[reader.around[0]].expand(len(embeddings), -1, -1)
        predicted = embeddings if start.shape[1] else embeddings[:, 1:]
        if not predicted.shape[1]:
            return embeddings.new_zeros(len(embeddings))
        x = torch.cat([start, embeddings.to(start.dtype)], 1)[:, :-1]
        seen = torch.ones(x.shape[:2], dtype=torch.long, device=x.device)
        base = reader.model.base_model(inputs_embeds=x, attention_mask=seen, use_cache=False)
        hidden = base.last_hidden_state[:, -predicted.shape[1] :].float()
        expected = (hidden * predicted / scale).sum(-1)
        return ((hidden @ table.float().T).logsumexp(-1) - expected).mean(1)

    def features(self, embeddings: Tensor) -> Tensor:
        """Scores of all labels of all items (b, e) for prompts (b, l, w)."""
        found = []
        for item, answers in zip(self.items, self._answers, strict=True):
            out = embeddings.new_zeros(len(embeddings), len(item.right), len(item.words))
            for places, scores in answers.parts(embeddings):
                out = out.index_copy(1, torch.tensor(places, device=out.device), scores)
            found.append(out.flatten(1))
        return torch.cat(found, 1)

    def rate(self, features: Tensor, items: Sequence[int]) -> Tensor:
        """Scores (len(items), b) of prompts by their features (b, e), without fluency."""
        sizes = [len(item.right) * len(item.words) for item in self.items]
        parts = features.split(sizes, 1)
        return torch.stack([-self._cross(parts[n], n) for n in items])

    def _cross(self, flat: Tensor, item: int) -> Tensor:
        scores = flat.view(len(flat), -1, len(self.items[item].words))
        wanted = self._right[item].expand(len(flat), -1)
        return F.cross_entropy(scores.transpose(1, 2), wanted, reduction="none").mean(1)

    def targets(self, item: int) -> int:
        """How many examples an item has."""
        return len(self.items[item].right)

    @torch.no_grad()
    def text_scores(self, texts: Sequence[str], items: Sequence[int]) -> list[float]:
        """Scores of typed prompts, each tokenised with every text as a whole, without fluency."""
        out = []
        for text, item in zip(texts, items, strict=True):
            goal = self.items[item]
            rows = contexts(self.reader, goal.wording, text, goal.texts, goal.words)
            scores = context_scores(self.reader, rows)
            out.append(-float(F.cross_entropy(scores, self._right[item])))
        return out


def output_scale(reader: Speaker) -> float:
    """By what a word's embedding is larger than its row of the output's table. PezError for a model
    with two tables: a word as output would then have no gradient with respect to its embedding.
    """
    count = min(64, len(reader.table))
    own, out = reader.table[:count].float(), reader.head[0][:count].float()
    scale = 0.0
    if not reader.paired and own.shape == out.shape:
        scale = float((own * out).sum() / out.square().sum().clamp(min=1e-12))
    if not scale or not torch.allclose(own, scale * out, rtol=1e-2, atol=1e-5):
        raise PezError(
            f"--fluency needs one table for input and output, and {reader.name} has two; omit it."
        )
    return scale


class _Eager(torch.autograd.Function):
    """A loss (b,) whose gradient is taken at once, term by term, so that no more than one term's
    graph is in memory. A row's loss depends on its own prompt alone.
    """

    @staticmethod
    def forward(
        ctx: Any, embeddings: Tensor, terms: Callable[[Tensor], Iterator[Tensor]]
    ) -> Tensor:
        point = embeddings.detach().requires_grad_(True)
        loss = embeddings.new_zeros(len(embeddings))
        gradient = torch.zeros_like(embeddings)
        with torch.enable_grad():
            for term in terms(point):
                gradient += torch.autograd.grad(term.sum(), point)[0]
                loss += term.detach()
                del term
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (gradient,) = ctx.saved_tensors
        return upstream[0][:, None, None] * gradient, None


def _eager(embeddings: Tensor, terms: Callable[[Tensor], Iterator[Tensor]]) -> Tensor:
    """The sum (b,) of ``terms``, differentiable in ``embeddings`` where that is asked for."""
    if torch.is_grad_enabled() and embeddings.requires_grad:
        return _Eager.apply(embeddings, terms)  # type: ignore[return-value]
    return torch.stack(list(terms(embeddings))).sum(0)
