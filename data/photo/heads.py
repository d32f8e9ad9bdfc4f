"""The first stage: linear heads over an image trunk and over a teacher of texts, a vector for every
word that can be seen, and its importance in a list.

A list of words is the sum of its words' vectors, each times the exponential of its importance. The
losses draw photographs to their captions, to their words, and to lists of these; the exchange loss
asks which word fits best beside the others of a list, which is what a search does again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 3.4  # of the logarithms of the scales
AGREEING = 256  # captions a step
AGREEMENT = 15.0  # the scale of their similarities
LIST = 5  # words of a list, at most
BESIDE, GUESSED = 4, 2  # words beside which one is exchanged: right ones, and the model's guesses
NOISE = 0.6  # of a prototype, in differences of photographs
LEAST = 0.2  # sum of how sure the remaining words are, for an exchange to have an answer


@dataclass(frozen=True)
class HeadSettings:
    """How the heads are trained. The weights of the losses come last."""

    seed: int
    width: int = 256
    steps: int = 1500
    batch: int = 320  # photographs
    prototypes: int = 16  # of classes of ImageNet, beside them
    dropout: float = 0.7  # of features
    rate: float = 2e-3
    decay: float = 0.05
    captions: float = 1.0
    words: float = 0.4
    lists: float = 0.7
    agreement: float = 0.5
    exchange: float = 2.0


@dataclass(frozen=True)
class Examples:
    """What the heads learn from: n photographs, t texts, w words.

    ``features`` (n, views, f); ``labels`` (n, w), how sure each word is; ``captions``, the places
    of each photograph's captions among the texts; ``weights`` (n,), how often each is drawn;
    ``texts`` (t, e) and ``words`` (w, e), the teacher's vectors; ``bags``, the words of each text
    as :meth:`words.Lexicon.bags` gives them; ``prototypes``, standardised features (c, f) and
    labels (c, w) of classes.
    """

    features: Tensor
    labels: Tensor
    captions: Sequence[Sequence[int]]
    weights: Tensor
    texts: Tensor
    words: Tensor
    bags: tuple[Tensor, Tensor]
    prototypes: tuple[Tensor, Tensor]

    @property
    def captioned(self) -> Tensor:
        """Which photographs have captions among the texts, (n,)."""
        return torch.tensor([len(own) > 0 for own in self.captions])


class Heads(nn.Module):
    """The heads and the vectors of the words."""

    mean: Tensor
    deviation: Tensor
    taught: Tensor

    def __init__(self, features: int, words: Tensor, width: int) -> None:
        super().__init__()
        self.image = nn.Linear(features, width)
        self.text = nn.Linear(words.shape[1], width)
        self.own = nn.Parameter(torch.zeros(len(words), width))
        self.importance = nn.Parameter(torch.zeros(len(words)))
        # logarithms, of the similarities with words, lists and captions
        self.scales = nn.Parameter(torch.tensor([2.3, 2.7, 2.3]))
        self.offset = nn.Parameter(torch.tensor(-4.0))
        self.register_buffer("taught", words)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        nn.init.normal_(self.image.weight, std=0.02)
        nn.init.zeros_(self.image.bias)
        nn.init.normal_(self.text.weight, std=0.05)

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Heads:
        """Heads that were trained, by their tensors; frozen."""
        width, features = state["image.weight"].shape
        heads = cls(features, state["taught"], width)
        heads.load_state_dict(state)
        return heads.eval().requires_grad_(False)

    def vectors(self) -> Tensor:
        """Of the words, (w, d)."""
        return self.text(self.taught) + self.own

    def weighted(self) -> Tensor:
        """What each word adds to a list, (w, d)."""
        return self.vectors() * self.importance.exp()[:, None]

    def images(self, features: Tensor) -> Tensor:
        """Vectors (n, d) of length 1 of a trunk's features (n, f)."""
        return F.normalize(self.image((features.float() - self.mean) / self.deviation), dim=-1)

    def texts(self, taught: Tensor) -> Tensor:
        """Vectors (n, d) of length 1 of a teacher's vectors (n, e)."""
        return F.normalize(self.text(taught), dim=-1)

    def projection(self) -> tuple[Tensor, Tensor]:
        """The image head's weight (d, f) and bias (d,) for features as the trunk gives them."""
        weight = self.image.weight / self.deviation
        return weight, self.image.bias - weight @ self.mean


def prototypes(
    classifier: Tensor, words: Sequence[Sequence[int]], features: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """A standardised feature (c, f) and labels (c, count) for each class of ImageNet with words:
    from the mean of the photographs' features (n, f) along the class's row of the classifier
    (classes, f), and along what varies with it.
    """
    features = features.float()
    deviation = features.std(0).clamp_min(0.05)
    standard = ((features - features.mean(0)) / deviation)[::3]
    covariance = standard.T @ standard / len(standard)
    rows = classifier * deviation
    away = 0.4 * rows + 0.6 * (rows @ covariance)
    away *= 0.6 * standard.norm(dim=1).mean() / away.norm(dim=1, keepdim=True)
    labels = torch.zeros(len(words), count)
    for row, own in enumerate(words):
        labels[row, list(own)] = 1
    named = labels.any(1)
    return away[named], labels[named]


def train_heads(
    data: Examples, settings: HeadSettings, log: Callable[[dict[str, Any]], None]
) -> Heads:
    """The heads after all steps; ``log`` gets the losses now and then."""
    g = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    heads = Heads(data.features.shape[-1], data.words, settings.width)
    heads.mean = data.features[:, 0].float().mean(0)
    heads.deviation = data.features[:, 0].float().std(0).clamp_min(0.05)
    standard = ((data.features.float() - heads.mean) / heads.deviation).half()
    matrices = [heads.image.weight, heads.text.weight, heads.own]
    own = {id(p) for p in matrices}
    rest = [p for p in heads.parameters() if id(p) not in own]
    groups = [
        {"params": matrices, "weight_decay": settings.decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer, schedule = descent(groups, settings)
    captioned, start = data.captioned, time.time()
    for step in range(settings.steps):
        pick = torch.multinomial(data.weights, settings.batch, generator=g)
        x, y = _batch(standard, data, pick, settings.prototypes, g)
        image = F.normalize(heads.image(F.dropout(x, settings.dropout)), dim=-1)
        vectors = heads.vectors()
        told = F.pad(captioned[pick], (0, len(x) - len(pick)))  # all their words are known
        logits = heads.scales[0].exp() * image @ F.normalize(vectors, dim=-1).T
        losses = {"words": _words(logits, y) + 0.1 * _binary(logits + heads.offset, y, told)}
        losses["lists"] = _lists(heads, vectors, image, y, g)
        if settings.exchange:
            losses["exchange"] = _exchange(heads, vectors, image, y, logits.detach(), g)
        losses["captions"] = _captions(heads, image, data, pick, g)
        losses["agreement"] = _agreement(heads, vectors, data, g)
        descend(heads, settings, losses, optimizer, schedule)
        if (step + 1) % 100 == 0 or step + 1 == settings.steps:
            row = {name: round(part.item(), 3) for name, part in losses.items()}
            log({"step": step + 1, "of": settings.steps, **row, "s": round(time.time() - start)})
    return heads.eval().requires_grad_(False)


def descent(groups: list[dict[str, Any]], settings: Any) -> tuple[Any, Any]:
    """The optimizer of parameters in ``groups``, and the schedule of its rate."""
    optimizer = torch.optim.AdamW(groups, settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.steps, pct_start=0.1
    )
    return optimizer, schedule


def descend(
    heads: Heads, settings: Any, losses: Mapping[str, Tensor], optimizer: Any, schedule: Any
) -> None:
    """One step down the sum of the losses, each times the setting of its name."""
    loss = sum(getattr(settings, name) * part for name, part in losses.items())
    assert isinstance(loss, Tensor)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    heads.scales.data.clamp_(max=LARGEST)


def _batch(
    standard: Tensor, data: Examples, pick: Tensor, count: int, g: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Standardised features (b, f) and labels (b, w): a view of each photograph, and ``count``
    prototypes with the difference of two photographs as noise.
    """
    view = torch.randint(0, standard.shape[1], (len(pick),), generator=g)
    x, y = standard[pick, view].float(), data.labels[pick]
    centres, labels = data.prototypes
    if not count or not len(centres):
        return x, y
    k = torch.randint(0, len(centres), (count,), generator=g)
    i, j = torch.randint(0, len(standard), (2, count), generator=g)
    noise = NOISE * (standard[i, 0].float() - standard[j, 0].float()) / 2**0.5
    return torch.cat([x, centres[k] + noise]), torch.cat([y, labels[k]])


def _words(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the words (b, w), shared among a photograph's own."""
    share = y / y.sum(1, keepdim=True).clamp_min(1)
    return -(share * logits.log_softmax(-1)).sum(1).mean()


def _binary(logits: Tensor, y: Tensor, told: Tensor) -> Tensor:
    """Binary cross-entropy of every word; of words that are not labelled only where captions would
    have told them, ``told`` (b,).
    """
    each = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (each * (told[:, None] | (y > 0))).sum(1).mean()


def _sums(heads: Heads, vectors: Tensor, places: Tensor, there: Tensor) -> Tensor:
    """Vectors (b, d) of lists (b, k) of words, of those that are ``there`` (b, k)."""
    weight = heads.importance[places].exp() * there
    return (vectors[places] * weight[..., None]).sum(1)


def _contrast(similarity: Tensor) -> Tensor:
    """InfoNCE both ways (Radford et al. 2021), of logits (b, b)."""
    truth = torch.arange(len(similarity))
    return (F.cross_entropy(similarity, truth) + F.cross_entropy(similarity.T, truth)) / 2


def _lists(heads: Heads, vectors: Tensor, image: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    """Photographs against lists of up to five of their words."""
    most = min(LIST, y.shape[1])
    places = torch.multinomial(y + 1e-7, most, generator=g)
    length = torch.randint(1, most + 1, (len(y), 1), generator=g)
    there = ((y.gather(1, places) > 0) & (torch.arange(most) < length)).float()
    lists = F.normalize(_sums(heads, vectors, places, there) + 1e-6, dim=-1)
    return _contrast(heads.scales[1].exp() * image @ lists.T)


def _exchange(
    heads: Heads, vectors: Tensor, image: Tensor, y: Tensor, logits: Tensor, g: torch.Generator
) -> Tensor:
    """Cross-entropy of the word that fits best beside others of a list: up to four right words and,
    half the time, up to two that the model guesses.
    """
    guess = torch.multinomial(logits.softmax(-1) + 1e-9, GUESSED, generator=g)
    right = torch.multinomial(y + 1e-7, BESIDE, generator=g)
    length = torch.randint(0, BESIDE + 1, (len(y), 1), generator=g)
    there = ((y.gather(1, right) > 0) & (torch.arange(BESIDE) < length)).float()
    guesses = torch.arange(GUESSED) < torch.randint(0, GUESSED + 1, (len(y), 1), generator=g)
    guessing = guesses.float() * (torch.rand(len(y), 1, generator=g) < 0.5)
    places, there = torch.cat([right, guess], 1), torch.cat([there, guessing], 1)
    rest = _sums(heads, vectors, places, there)  # (b, d)
    each = vectors * heads.importance.exp()[:, None]  # (w, d)
    # the cosine of the image and rest + each, for all words at once
    along = (rest * image).sum(1, keepdim=True) + image @ each.T
    squared = (rest * rest).sum(1, keepdim=True) + 2 * rest @ each.T + (each * each).sum(1)
    taken = torch.zeros_like(y).scatter_add_(1, places, there) > 0
    fit = heads.scales[1].exp() * along / squared.clamp_min(1e-6).sqrt()
    left = y.masked_fill(taken, 0)
    total = left.sum(1, keepdim=True)
    share = left / total.clamp_min(LEAST)
    losses = -(share * fit.masked_fill(taken, -1e4).log_softmax(-1)).sum(1)
    has = total[:, 0] > LEAST
    return losses[has].sum() / has.sum().clamp_min(1)


def _captions(
    heads: Heads, image: Tensor, data: Examples, pick: Tensor, g: torch.Generator
) -> Tensor:
    """Photographs against one of their captions."""
    rows, texts = [], []
    for row, n in enumerate(pick.tolist()):
        own = data.captions[n]
        if own:
            rows.append(row)
            texts.append(own[int(torch.randint(0, len(own), (1,), generator=g))])
    if not rows:
        return image.new_zeros(())
    text = heads.texts(data.texts[texts].float())
    return _contrast(heads.scales[2].exp() * image[rows] @ text.T)


def _agreement(heads: Heads, vectors: Tensor, data: Examples, g: torch.Generator) -> Tensor:
    """Captions against the lists of their words."""
    pick = torch.randint(0, len(data.texts), (AGREEING,), generator=g)
    places, there = data.bags
    lists = F.normalize(_sums(heads, vectors, places[pick], there[pick]) + 1e-6, dim=-1)
    return _contrast(AGREEMENT * lists @ heads.texts(data.texts[pick].float()).T)
