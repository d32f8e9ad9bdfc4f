"""The third stage: the image head once more, on the finished text tower.

The tower has learned more from captions than the text head that it began from, and does not change
any more. A new image head learns from it, with captions guessed for the photographs that have
labels alone. All heads of this stage are in the space of the tower, so that the mean of several,
with different seeds, is a head too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from guesses import GuessSettings, chosen_captions, with_words, words_of_bags
from heads import Examples, Heads, _batch, _contrast, _lists, _words, descend, descent
from torch import Tensor
from tower import Texts, read
from words import Lexicon

READ = 256  # texts at once
SCALE = 3.0  # logarithm of the scales at the start


@dataclass(frozen=True)
class AgainSettings:
    """How the image heads of this stage are trained."""

    seeds: tuple[int, ...] = (1, 2)
    steps: int = 400
    batch: int = 512  # photographs
    prototypes: int = 64
    dropout: float = 0.7
    rate: float = 2e-3
    decay: float = 0.05
    captions: float = 1.0
    words: float = 0.7
    lists: float = 0.7
    candidates: int = 14_000  # texts for guesses, by chance, beside the photographs' captions
    guesses: GuessSettings = field(default_factory=GuessSettings)


@dataclass(frozen=True)
class Told:
    """What the tower says: vectors of length 1 of texts (t, d) and of words (w, d), and which words
    the texts ``said`` (t, w). ``captions`` are the places of each photograph's own texts.
    """

    texts: Tensor
    words: Tensor
    said: Tensor
    captions: Sequence[Sequence[int]]


def told(
    model: Any,
    captions: Sequence[Sequence[str]],
    others: Sequence[str],
    lexicon: Lexicon,
    tokens: Texts,
    settings: AgainSettings,
) -> Told:
    """The photographs' ``captions`` and some of ``others``, read by the tower of ``model``."""
    own = dict.fromkeys(text for some in captions for text in some)
    left = [text for text in others if text not in own]
    some = random.Random(0).sample(left, min(settings.candidates, len(left)))
    texts = [*own, *some]
    places = {text: n for n, text in enumerate(texts)}
    return Told(
        read_all(model, [tokens.encode(text) for text in texts]),
        read_all(model, [tokens.encode(word) for word in lexicon.words]),
        words_of_bags(lexicon.bags(texts), len(lexicon.words)),
        [[places[text] for text in some] for some in captions],
    )


@torch.inference_mode()
def read_all(model: Any, ids: Sequence[Sequence[int]]) -> Tensor:
    """Vectors (n, d) of length 1 of many texts as rows of the embedding; short ones first."""
    order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
    parts = [order[n : n + READ] for n in range(0, len(order), READ)]
    found = torch.cat([read(model, [ids[n] for n in part]) for part in parts])
    return found[torch.tensor(order).argsort()]


def image_head_again(
    heads: Heads,
    data: Examples,
    said: Told,
    settings: AgainSettings,
    log: Callable[[dict[str, Any]], None],
) -> Heads:
    """``heads`` with the mean of the new image heads. Photographs of ``data`` without captions get
    guesses by the image head so far.
    """
    captions, labels = [list(own) for own in said.captions], data.labels.clone()
    alone = torch.tensor([n for n, own in enumerate(captions) if not own], dtype=torch.long)
    if len(alone):
        images = heads.images(data.features[alone, 0])
        chosen = chosen_captions(images, labels[alone], said.texts, said.said, settings.guesses)
        labels[alone] = with_words(labels[alone], chosen, said.said, settings.guesses)
        for n, texts in zip(alone.tolist(), chosen.tolist(), strict=True):
            captions[n] = texts
    data, said = replace(data, labels=labels), replace(said, captions=captions)
    weights, biases = [], []
    for seed in settings.seeds:
        net = _trained(heads, data, said, settings, seed, log)
        size = net.image(_standard(heads, data)[::5, 0].float()).norm(dim=1).mean()
        weights.append(net.image.weight / size)
        biases.append(net.image.bias / size)
    state = heads.state_dict()
    state |= {
        "image.weight": torch.stack(weights).mean(0),
        "image.bias": torch.stack(biases).mean(0),
    }
    return Heads.of(state)


def _standard(heads: Heads, data: Examples) -> Tensor:
    return ((data.features.float() - heads.mean) / heads.deviation).half()


def _trained(
    heads: Heads,
    data: Examples,
    said: Told,
    settings: AgainSettings,
    seed: int,
    log: Callable[[dict[str, Any]], None],
) -> Heads:
    """Heads whose words are fixed, as the tower reads them, with a new image head."""
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = Heads(data.features.shape[-1], torch.zeros(len(said.words), 1), said.words.shape[1])
    net.requires_grad_(False)
    torch.nn.init.zeros_(net.text.weight)
    torch.nn.init.zeros_(net.text.bias)
    net.own.copy_(said.words)
    net.importance.copy_(heads.weighted().norm(dim=1).log())
    net.scales.fill_(SCALE)
    net.image.requires_grad_(True)
    net.scales.requires_grad_(True)
    groups = [
        {"params": [net.image.weight], "weight_decay": settings.decay},
        {"params": [net.image.bias, net.scales], "weight_decay": 0.0},
    ]
    optimizer, schedule = descent(groups, settings)
    standard, vectors = _standard(heads, data), net.vectors()
    rng = random.Random(seed)
    for step in range(settings.steps):
        pick = torch.multinomial(data.weights, settings.batch, generator=g)
        x, y = _batch(standard, data, pick, settings.prototypes, g)
        image = F.normalize(net.image(F.dropout(x, settings.dropout)), dim=-1)
        losses = {
            "words": _words(net.scales[0].exp() * image @ vectors.T, y),
            "lists": _lists(net, vectors, image, y, g),
        }
        own = [said.captions[n] for n in pick.tolist()]
        rows = [row for row, some in enumerate(own) if some]
        if rows:
            text = said.texts[[rng.choice(own[row]) for row in rows]]
            losses["captions"] = _contrast(net.scales[2].exp() * image[rows] @ text.T)
        descend(net, settings, losses, optimizer, schedule)
        if (step + 1) % 100 == 0 or step + 1 == settings.steps:
            row = {name: round(part.item(), 3) for name, part in losses.items()}
            log({"again": seed, "step": step + 1, "of": settings.steps, **row})
    return net.eval().requires_grad_(False)
