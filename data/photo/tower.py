"""The second stage: a causal text tower over CLIP's tokens that reads captions as the text head
does, and lists of words as the sum of their vectors.

It starts close to the sum of its tokens' vectors, which are the first stage's, and is drawn to its
targets by cosine. A contrast with photographs, whose vectors are fixed, is added.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from features import Trunk
from heads import Examples, Heads
from open_clip import SimpleTokenizer
from teachers import Teacher
from torch import Tensor

CONTEXT, VOCABULARY = 77, 49408
START, END = 49406, 49407
BYTES = 512  # the first tokens are single bytes: any text can be read
KEPT = 6000  # tokens with a row
ALWAYS = ", . ; : - ! ? \" ' ( ) / & + 0 1 2 3 4 5 6 7 8 9 a photo picture of the in with style"
LENGTH = 0.3  # of tokens' vectors
LONGEST = 8  # words of a list
PAIRED = 160  # photographs with captions a step
SCALE, SHARE = 20.0, 0.1  # of the contrast with photographs


@dataclass(frozen=True)
class TowerSettings:
    """The size of the text tower and how it is trained."""

    seed: int
    width: int = 256
    layers: int = 2
    heads: int = 4
    steps: int = 800
    batch: int = 160  # captions, and as many lists
    rate: float = 2e-3
    decay: float = 0.01


class Texts:
    """Texts as ids of the tokens that are kept; other tokens of a text are left out."""

    def __init__(self, texts: Sequence[str], words: Sequence[str], most: int = KEPT) -> None:
        self.tokenizer = SimpleTokenizer()
        counts = Counter(
            i for text in texts for i in set(self.tokenizer.encode(text)[: CONTEXT - 2])
        )
        must = {i for text in (*words, *ALWAYS.split()) for i in self.tokenizer.encode(text)}
        must |= set(range(BYTES))
        common = [i for i, _ in counts.most_common(max(0, most - len(must) - 2))]
        self.ids = sorted({*must, *common, START, END})  # full ids
        self._places = {i: n for n, i in enumerate(self.ids)}

    def encode(self, text: str) -> list[int]:
        """Places among the kept ids."""
        ids = [START, *self.tokenizer.encode(text)[: CONTEXT - 2], END]
        return [self._places[i] for i in ids if i in self._places]

    def spelled(self) -> list[tuple[str, bool]]:
        """Each kept token's text, and whether it is the end of a word."""
        tokens = [self.tokenizer.decoder[i] for i in self.ids]
        return [(token.replace("</w>", ""), token.endswith("</w>")) for token in tokens]


def config(trunk: Trunk, embed: int, settings: TowerSettings) -> dict[str, Any]:
    """What open_clip builds the model from."""
    return {
        "embed_dim": embed,
        "vision_cfg": {
            "timm_model_name": trunk.name,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": trunk.side,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "width": settings.width,
            "heads": settings.heads,
            "layers": settings.layers,
            "vocab_size": VOCABULARY,
            "mlp_ratio": 2.0,
        },
    }


def first_rows(heads: Heads, teacher: Teacher, texts: Texts, words: Sequence[str]) -> Tensor:
    """The tokens' first vectors (tokens, d): the text head's, or what the word adds to a list, if
    the token is one; zero for what the teacher does not know.
    """
    spelled = texts.spelled()
    taught = teacher.texts([token for token, _ in spelled])
    rows = LENGTH * heads.texts(taught)
    rows[taught.abs().sum(1) == 0] = 0
    added = heads.weighted()
    added = added * (LENGTH / added.norm(dim=1).mean())
    places = {word: n for n, word in enumerate(words)}
    for row, (token, whole) in enumerate(spelled):
        if whole and token in places:
            rows[row] = added[places[token]]
    return rows


def start(settings: TowerSettings, trunk: Trunk, rows: Tensor) -> Any:
    """open_clip's model without its image tower and with the embedding ``rows`` (tokens, d). Each
    block of the transformer is near a mean over the tokens so far.
    """
    torch.manual_seed(settings.seed)
    width, embed = settings.width, rows.shape[1]
    model: Any = open_clip.CLIP(**config(trunk, embed, settings))
    model.visual = None
    model.token_embedding = torch.nn.Embedding(len(rows), width)
    with torch.no_grad():
        model.token_embedding.weight.zero_()[:, :embed] = rows
        model.positional_embedding.normal_(std=0.005)
        model.text_projection.zero_()[:embed] = torch.eye(embed)
        blocks = model.transformer.resblocks
        for n, block in enumerate(blocks):
            attention = block.attn
            attention.in_proj_weight.normal_(std=0.02)
            attention.in_proj_bias.zero_()
            attention.in_proj_weight[2 * width :] += 0.5 * torch.eye(width)  # the values
            attention.out_proj.weight.normal_(std=0.01)
            share = 1.0 if n == len(blocks) - 1 else 0.1
            attention.out_proj.weight += share * torch.eye(width)
            attention.out_proj.bias.zero_()
            block.mlp.c_proj.weight.mul_(0.2)
    return model


def continue_from(
    model: Any, tower: Mapping[str, Tensor], old: Heads, new: Heads, taught: Tensor
) -> None:
    """Give the model of :func:`start` the ``tower`` of another with the same tokens, and turn what
    it reads from the space of that one's heads, ``old``, into that of ``new``: by the linear map
    that is best for the words and for a seventh of the texts, whose vectors are ``taught`` (t, e).
    """
    model.load_state_dict(tower)
    some = taught[::7].float()
    before = torch.cat([old.texts(some), F.normalize(old.vectors(), dim=-1)])
    after = torch.cat([new.texts(some), F.normalize(new.vectors(), dim=-1)])
    with torch.no_grad():
        model.text_projection.copy_(
            model.text_projection @ torch.linalg.lstsq(before, after).solution
        )


def read(model: Any, ids: Sequence[Sequence[int]]) -> Tensor:
    """Vectors (n, d) of length 1 of texts as rows of the embedding; the causal context is cut after
    the longest text.
    """
    rows = [torch.tensor(row) for row in ids]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    last, length = torch.tensor([len(row) - 1 for row in rows]), tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(rows)), last] @ model.text_projection
    return F.normalize(x, dim=-1)


class Lists:
    """Random lists of words, as texts with their words' places."""

    def __init__(
        self, words: Sequence[str], bags: tuple[Tensor, Tensor], rng: random.Random
    ) -> None:
        self.words, self.bags, self.rng = words, bags, rng
        counts = torch.bincount(bags[0][bags[1] > 0], minlength=len(words))
        self.often = counts.float() ** 0.5 + 1

    def draw(self, count: int, g: torch.Generator) -> list[tuple[str, list[int]]]:
        """Half of ``count`` are of words that a caption has, with some by chance, a quarter are
        single words, a quarter of words by chance.
        """
        rng = self.rng
        places, there = self.bags
        drawn = []
        for n in torch.randint(0, len(places), (count // 2,), generator=g).tolist():
            own = places[n][there[n] > 0].tolist()
            rng.shuffle(own)
            own += [self._chance(1, g)[0] for _ in range(rng.randint(0, 3))]
            own = list(dict.fromkeys(own[: rng.randint(1, LONGEST)])) or [0]
            rng.shuffle(own)
            drawn.append((self._joined(own), own))
        drawn += [(self._single(n), [n]) for n in self._chance(count // 4, g)]
        for _ in range(count // 4):
            own = self._chance(rng.randint(2, LONGEST), g)
            drawn.append((self._joined(own), own))
        return drawn

    def _chance(self, count: int, g: torch.Generator) -> list[int]:
        """Places of different words, common ones more often."""
        return torch.multinomial(self.often, min(count, len(self.words)), generator=g).tolist()

    def _joined(self, places: list[int]) -> str:
        return (", " if self.rng.random() < 0.6 else " ").join(self.words[n] for n in places)

    def _single(self, place: int) -> str:
        word = self.words[place]
        forms = [word, word, f"a {word}", f"a photo of a {word}", f"a picture of {word}"]
        return self.rng.choice([*forms, f"the {word}"])


def train_tower(
    model: Any,
    heads: Heads,
    data: Examples,
    texts: Sequence[str],
    words: Sequence[str],
    tokens: Texts,
    settings: TowerSettings,
    log: Callable[[dict[str, Any]], None],
) -> Any:
    """Train the ``model`` of :func:`start`; ``log`` gets the mean cosines now and then."""
    rng, g = random.Random(settings.seed), torch.Generator().manual_seed(settings.seed)
    ids = [tokens.encode(text) for text in texts]
    lists = Lists(words, data.bags, rng)
    added = heads.weighted()
    targets = torch.cat([heads.texts(part.float()) for part in data.texts.split(8192)])
    paired = [n for n, own in enumerate(data.captions) if own]
    images = heads.images(data.features[paired, 0])
    params = [p for p in model.parameters() if p is not model.logit_scale]
    groups = [
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": settings.decay},
    ]
    optimizer = torch.optim.AdamW(groups, settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.steps, pct_start=0.08
    )
    begin = time.time()
    for step in range(settings.steps):
        pick = torch.randint(0, len(ids), (settings.batch,), generator=g)
        drawn = lists.draw(settings.batch, g)
        told = torch.stack([added[own].sum(0) for _, own in drawn])
        of_captions = (read(model, [ids[n] for n in pick]) * targets[pick]).sum(1).mean()
        of_lists = read(model, [tokens.encode(text) for text, _ in drawn])
        of_lists = (of_lists * F.normalize(told, dim=-1)).sum(1).mean()
        loss = 2 - of_captions - of_lists
        if paired:
            some = torch.randint(0, len(paired), (PAIRED,), generator=g).tolist()
            own = [data.captions[paired[n]] for n in some]
            found = read(model, [ids[row[rng.randrange(len(row))]] for row in own])
            similar, truth = SCALE * images[some] @ found.T, torch.arange(len(some))
            contrast = F.cross_entropy(similar, truth) + F.cross_entropy(similar.T, truth)
            loss = loss + SHARE * contrast
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == settings.steps:
            row = {"captions": round(of_captions.item(), 3), "lists": round(of_lists.item(), 3)}
            row |= {"s": round(time.time() - begin)}
            log({"step": step + 1, "of": settings.steps, **row})
    return model.eval().requires_grad_(False)
