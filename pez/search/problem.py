"""What is searched: vocabulary, template and objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.init import (
    AROUND,
    RATED,
    SAMPLE,
    Added,
    Begun,
    best_words,
    pursued_words,
    random_words,
)
from pez.search.rating import rated
from pez.search.rows import Rows
from pez.search.template import Template
from pez.search.vocabulary import Vocabulary

Rate = Callable[[Tensor], Tensor]  # ids (n,) -> features (n, e)
# ids, how to rate them, and the template around each of them (see Problem.around) -> features
Kept = Callable[[Tensor, Rate, tuple[int, ...]], Tensor]
ROUNDING = 1e-6  # how much scores of one prompt in different batches may differ


class Halted(PezError):
    """The time was over before a search could begin."""


class Objective(Protocol):
    """How good a prompt is. ``linear`` says whether ``rate`` is linear in the features, so
    that those of several words may be added.
    """

    @property
    def batch(self) -> int:
        """Prompts that may be read at once."""
        ...

    @property
    def linear(self) -> bool:
        """Whether features may be added."""
        ...

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w), each for its own ``item`` (b,).

        ``draw`` (b, d) names the targets of an item that the loss sees at this step; the
        score always sees all of them.
        """
        ...

    def features(self, embeddings: Tensor) -> Tensor:
        """The model's features (b, e) of prompts (b, l, w)."""
        ...

    def rate(self, features: Tensor, items: Sequence[int]) -> Tensor:
        """Scores (len(items), b) of prompts by their features (b, e), for several items."""
        ...

    def targets(self, item: int) -> int:
        """How many targets an item has."""
        ...

    def text_scores(self, texts: Sequence[str], items: Sequence[int]) -> list[float]:
        """Scores of typed texts, tokenised afresh, by the models' whole forward."""
        ...


class Language(Protocol):
    """How likely prompts are under a language model that reads the vocabulary's words."""

    def next_words(self, ids: Tensor) -> Tensor:
        """Log-probabilities (b, v) of the allowed ids after prompts that begin ids (b, n)."""
        ...

    def continued(
        self, ids: Tensor, before: Any = None, parent: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """``next_words``, and what was read of ids (b, n). Given what was read ``before``, only
        what is new is read: ids begin with those at the places ``parent`` (b,) there.
        """
        ...

    def nll(self, ids: Tensor) -> Tensor:
        """Mean negative log-likelihood (b,) of a token, in nats, of whole prompts ids (b, l)."""
        ...


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a method may know; nothing here is specific to CLIP.

    ``init`` is one of :data:`pez.search.init.STARTS` or ids (k,) to start from. ``language`` and
    ``draft`` are set for methods that request them. ``little`` is set where prompts are to be
    sentences: the words (n,), such as "of", that may be said again but not begin or end one;
    ``articles`` are those of them that no other of them follows.
    ``halt`` says whether the user has waited long enough: then words and phrases are no longer
    rated.
    """

    vocabulary: Vocabulary
    template: Template
    objective: Objective
    init: str | Tensor = "random"
    word_batch: int = 512
    language: Language | None = None
    little: Tensor | None = None
    articles: Tensor | None = None
    kept: Kept | None = None  # returns cached features, or rates
    draft: Problem | None = None  # the same problem for a cheaper model
    halt: Callable[[], bool] | None = None

    @cached_property
    def _fixed(self) -> Tensor:
        return self.vocabulary.embed(self.template.fixed)

    def evaluate(
        self, chosen: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of the free places' embeddings ``chosen`` (b, k, w)."""
        return self.objective(self.template.fill_embeddings(self._fixed, chosen), item, draw)

    def features(self, chosen: Tensor) -> Tensor:
        """Features (b, e) of prompts by their free places' embeddings ``chosen`` (b, k, w)."""
        return self.objective.features(self.template.fill_embeddings(self._fixed, chosen))

    @torch.no_grad()
    def next_words(self, chosen: Tensor) -> Tensor:
        """What a language model expects at the next free place: log-probabilities (b, v), as
        ``vocabulary.ids``, after the words ``chosen`` (b, n) at the first n of them and what the
        template has before and between.
        """
        place = int(self.template.free[chosen.shape[1]])
        begun = self.template.fixed[:place].expand(len(chosen), -1).clone()
        begun[:, self.template.free[: chosen.shape[1]]] = chosen
        return self._speaker.next_words(begun)

    @torch.no_grad()
    def continued(
        self, chosen: Tensor, before: Any = None, parent: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """:meth:`next_words`, and what the language model read of these prompts. With that as
        ``before`` a next call reads only what is new: each of its prompts begins with the one at
        its ``parent`` (b,) here.
        """
        place = int(self.template.free[chosen.shape[1]])
        begun = self.template.fixed[:place].expand(len(chosen), -1).clone()
        begun[:, self.template.free[: chosen.shape[1]]] = chosen
        return self._speaker.continued(begun, before, parent)

    @torch.no_grad()
    def nll(self, chosen: Tensor) -> Tensor:
        """Mean negative log-likelihood (b,) of a token, in nats, of whole prompts by the ids
        ``chosen`` (b, k) at their free places.
        """
        return self._speaker.nll(self.template.fill(chosen))

    @property
    def _speaker(self) -> Language:
        if self.language is None:
            raise PezError("this search needs a language model; name one with --language-model.")
        return self.language

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What methods compute once for all rows and items, under a name of their choice."""
        return {}

    def start_ids(self, rows: Rows) -> Tensor:
        """Ids (b, k) at which rows start, according to ``init``. PezError for a start that is too
        long, and for one that adds features where they cannot be added.
        """
        if isinstance(self.init, Tensor):
            if len(self.init) > self.template.slots:
                raise PezError(
                    f"the start has {len(self.init)} tokens but only {self.template.slots} places "
                    "are free; raise --length."
                )
            ids = random_words(self.vocabulary.ids, self.template.slots, rows)
            ids[:, : len(self.init)] = self.init.to(ids)
            return ids
        ids, slots = self.vocabulary.ids, self.template.slots
        if self.init == "words" or (self.init == "pursuit" and self.objective.linear):
            ids = ids[: len(self.start_features)]
        if self.init == "pursuit":
            if not self.objective.linear:
                raise PezError(
                    "--init pursuit does not apply to this --objective; use --init words or random."
                )
            found = [self._pursued(ids, one, rows) for one in self._added]
            return found[0] if len(found) == 1 else self._best(torch.stack(found, 1), rows)
        if self.init == "words":
            scores = partial(self.objective.rate, self.start_features)
            return best_words(ids, slots, scores, rows, self.said)
        return random_words(ids, slots, rows)

    @cached_property
    def said(self) -> Tensor:
        """Ids (f,) of the template's own words; punctuation, as between phrases, is none."""
        own = torch.ones(self.template.length, dtype=torch.bool)
        own[self.template.free.cpu()] = False
        ids, decode = self.template.fixed.cpu()[own].tolist(), self.vocabulary.tokens.decode
        words = [i for i in ids if any(c.isalnum() for c in decode([i]))]
        return torch.tensor(words, dtype=torch.long, device=self.template.fixed.device)

    @cached_property
    def around(self) -> tuple[int, ...]:
        """The template in which a start rates each word: the ids of what stands around the first
        free place, which is 0, without what belongs to the others. Empty where words are rated
        alone: the template says nothing, or there are too many of them.
        """
        few = len(self.vocabulary.ids) <= AROUND
        if not (few and len(self.said) and self.objective.linear):
            return ()
        return tuple(self.template.first(1).fixed.tolist())

    @cached_property
    @torch.no_grad()
    def _added(self) -> list[Added]:
        """What words and the template say, in the ways that a pursuit tries."""
        if self.around:
            return Added.around(self.start_features, self._alone)
        own = None
        if len(self.said):
            own = self.objective.features(self.vocabulary.embed(self.said)[None].float())[0]
        return Added.alone(self.start_features, own, self.template.slots)

    @cached_property
    def _alone(self) -> Tensor:
        """The mean feature (e,) of words without the template, as SAMPLE of them show it."""
        return self._known(self._sample, ()).mean(0)

    @property
    def _sample(self) -> Tensor:
        ids = self.vocabulary.ids
        return ids[:: -(-len(ids) // SAMPLE)].contiguous()

    def _pursued(self, ids: Tensor, added: Added, rows: Rows) -> Tensor:
        """Ids (b, k) of a pursuit that counts words and template as ``added`` has them."""
        begun = None
        if len(self.said):
            scores: dict[int, Tensor] = {}
            if added.template is not None:
                items = sorted({job.item for job in rows.jobs})
                values = self.objective.rate(added.template[None], items)[:, 0]
                scores = dict(zip(items, values, strict=True))
            begun = Begun(self.said, added.template, scores)
        rate = partial(self.objective.rate, added.words)
        return pursued_words(ids, self.template.slots, added.words, rate, rows, begun)

    @torch.no_grad()
    def _best(self, tried: Tensor, rows: Rows) -> Tensor:
        """Of the prompts ``tried`` (b, c, k) each row's best (b, k)."""
        items = rows.item.repeat_interleave(tried.shape[1])
        prompts = tried.flatten(0, 1).split(self.word_batch)
        pairs = zip(prompts, items.split(self.word_batch), strict=True)
        scores = [self.evaluate(self.vocabulary.embed(some), item)[1] for some, item in pairs]
        best = torch.cat(scores).view(tried.shape[:2]).argmax(1)
        return tried[torch.arange(len(tried), device=tried.device), best]

    @property
    def start_forwards(self) -> int:
        """Forward passes of :meth:`start_ids`: one for each rated word, shared by all rows, and one
        for each prompt that a pursuit tried, if it tried several.
        """
        if not (isinstance(self.init, str) and self.init in RATED):
            return 0
        alone = len(self._sample) if self.init == "pursuit" and self.around else 0
        tried = len(vars(self).get("_added", ()))
        return len(self.vocabulary.ids) + alone + (tried if tried > 1 else 0)

    def word_scores(self, items: Sequence[int]) -> Tensor:
        """Score (len(items), n) of each allowed word as a prompt by itself."""
        return self.objective.rate(self.word_features, items)

    @cached_property
    def word_features(self) -> Tensor:
        """Features (n, e) of every allowed word, computed once for all rows and items, and for
        all searches if ``kept`` caches them. Only of the first words, in the order of their ids,
        if ``halt`` ended the rating: in a BPE vocabulary these are the most frequent ones.
        """
        return self._known(self.vocabulary.ids, ())

    @property
    def start_features(self) -> Tensor:
        """:attr:`word_features` of the template with each word in it: :attr:`around`."""
        return self._around_features if self.around else self.word_features

    @cached_property
    def _around_features(self) -> Tensor:
        return self._known(self.vocabulary.ids, self.around)

    @property
    def cached_forwards(self) -> tuple[int, int]:
        """What of :attr:`start_forwards` was not done: words that a cache knew, and words that were
        not rated for lack of time. Each rated word is one forward pass.
        """
        tables = [vars(self).get(name) for name in ("word_features", "_around_features")]
        sizes = [len(table) for table in tables if table is not None]
        if not sizes:
            return 0, 0
        known = sum(sizes) + ("_alone" in vars(self)) * len(self._sample)
        return known - self.memo.get(RATED, 0), len(sizes) * len(self.vocabulary.ids) - sum(sizes)

    def _known(self, ids: Tensor, around: tuple[int, ...]) -> Tensor:
        """Features (n, e) of words ``ids`` (n,) in the template ``around`` them, or alone."""
        rate = partial(self._rated, around=around)
        return self.kept(ids, rate, around) if self.kept else rate(ids)

    def _rated(self, ids: Tensor, around: tuple[int, ...] = ()) -> Tensor:
        template = self.template.first(1) if around else None
        features, words = self.objective.features, self.vocabulary
        out = rated(features, words, ids, template, self.word_batch, self.halt)
        self.memo[RATED] = self.memo.get(RATED, 0) + len(out)
        return out
