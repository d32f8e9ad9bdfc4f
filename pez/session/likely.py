"""Words that a picture is likely to show: of these alone ``--length auto`` makes the prompts of
models that know the odds of their words.

A search takes what raises its score, right or wrong: past the first words of a photograph that is
often a word of many captions ("cup, bowl, table"). What tells right words from such fillers is the
word's own cosine with the picture against what is usual for that word. So a model of photographs
ships a number for each word (:class:`pez.models.family.Odds`), learnt from captions of the
photographs that trained it (``data/photo/odds.py``). A prompt has as many words as have log-odds of
LIKELY or more, at least FEWEST and at most MOST. Which ones is searched among those of POSSIBLE or
more, LEAST at least: likely words alone would be the usual ones, "table, white, sitting" of a cup
of coffee. These numbers were chosen on photographs for choosing (``data/photo/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.models import Reader
from pez.models.families import odds
from pez.models.family import Odds
from pez.objectives.match import Targets
from pez.options import SearchOptions
from pez.search.init import STARTS
from pez.session.drafts import Drafted
from pez.session.items import Item
from pez.session.language import is_needed
from pez.session.session import Session

FEWEST, MOST = 3, 6  # words of a prompt
LIKELY, POSSIBLE = -0.5, -1.0  # log-odds
LEAST = 8  # words that a search chooses from


@dataclass(frozen=True, eq=False)
class Likely:
    """The words that may be chosen and what is known of them: ``ids`` (n,), their ``features``
    (n, e) by themselves, and log-odds = ``slope`` x cosine + ``offset`` (n,).
    """

    ids: Tensor
    features: Tensor
    slope: float
    offset: Tensor

    @classmethod
    def of(cls, session: Session, items: Sequence[Item]) -> Likely | None:
        """For the ``items`` that a session searches; None if they are not all pictures with views,
        if a model does not know the odds of a word that may be chosen, or if the options ask for
        what is more than words.
        """
        if not items or any(item.views is None for item in items):
            return None
        reader = session.reader
        known = [odds(name) for name in reader.name.split(" + ")]
        models = [one for one in known if one is not None]
        if len(models) < len(known) or not plain(reader, session):
            return None
        form = session.form(2 * MOST - 1, "phrases")
        ids = session.words(form).ids
        words = [reader.tokens.decode([i]) for i in ids.tolist()]
        if len(ids) < LEAST or not all(word in one.words for one in models for word in words):
            return None
        slope, offset = joined(models, words)
        features = session.problem(items[:1], form).word_features  # later searches find them
        return cls(ids, features, slope, offset.to(ids.device))

    def log_odds(self, item: Item) -> Tensor:
        """The log-odds (n,) of each word, by the mean cosine of half the picture and half its
        views: the views' share makes up for what a model misreads in one look.
        """
        assert isinstance(item.goal, Targets) and item.views is not None
        goal = (item.goal.normalised()[:, None] * item.goal.features).sum(0)
        look = (goal + item.views.mean(0)) / 2
        return self.slope * (self.features @ look) + self.offset

    def words(self, item: Item) -> tuple[int, Tensor]:
        """How many words an item's prompt has, and the ids (m,) from which they are chosen, the
        likeliest first.
        """
        value, order = self.log_odds(item).sort(descending=True, stable=True)
        count = min(MOST, max(FEWEST, int((value >= LIKELY).sum())))
        return count, self.ids[order[: max(LEAST, int((value >= POSSIBLE).sum()))]]


def joined(models: Sequence[Odds], words: Sequence[str]) -> tuple[float, Tensor]:
    """Slope and offsets (n,) of the mean log-odds of several models, whose mean cosine is read."""
    offsets = torch.tensor([[one.words[word] for word in words] for one in models])
    return sum(one.slope for one in models) / len(models), offsets.mean(0)


def plain(reader: Reader, session: Session) -> bool:
    """Whether a prompt is to be nothing but words: no template, no words to keep, no start text, no
    caption, and neither a draft nor a language model that has a say.
    """
    options: SearchOptions = session.options
    other = isinstance(reader, Drafted) or is_needed(options, session.method)
    starts = ("auto", *STARTS)
    fixed = options.template.strip() != "{}" or options.keep or options.init not in starts
    return not other and not fixed and options.style in ("", "words", "phrases")


def tokens_of(count: int, style: str) -> int:
    """The length of a prompt of ``count`` words in a style, with the commas between them."""
    return 2 * count - 1 if style == "phrases" else count
