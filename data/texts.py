"""Texts for training as compact ids: captions, single words, random and searched lists.

Only the tokens that occur are trained. Ids are mapped to a compact table whose order is that of
the full one, so open_clip's end-token pooling (argmax) is unchanged.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
import world
from open_clip import CLIP
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

CONTEXT = 32


class Words:
    """Captions <-> compact ids, for words that are one token of CLIP's tokenizer."""

    def __init__(self) -> None:
        tokenizer = SimpleTokenizer()
        pieces = [*world.all_words(), ",", ":"]
        full = {w: tokenizer.encode(w) for w in pieces}
        long = [w for w, ids in full.items() if len(ids) != 1]
        assert not long, f"not one token: {long}"
        self.ids = sorted({ids[0] for ids in full.values()} | {0, 49406, 49407})  # full ids
        place = {i: n for n, i in enumerate(self.ids)}
        self.lookup = {w: place[ids[0]] for w, ids in full.items()}
        self.start, self.end = place[49406], place[49407]
        sample = world.caption(
            world.sample_scene(np.random.default_rng(0)), np.random.default_rng(0)
        )
        assert [self.ids[i] for i in self.split(sample)] == tokenizer.encode(sample)

    def split(self, text: str) -> list[int]:
        text = text.replace(",", " ,").replace(":", " :")
        return [self.lookup[w] for w in text.split()]

    def batch(self, texts: list[str]) -> Tensor:
        """Compact ids (b, longest + 2), padded with 0 as open_clip does."""
        rows = [[self.start, *self.split(t)[: CONTEXT - 2], self.end] for t in texts]
        length = max(map(len, rows))
        return torch.tensor([r + [0] * (length - len(r)) for r in rows])


def text_features(model: CLIP, ids: Tensor) -> Tensor:
    """Normalised features (b, e) of ids (b, l); the causal context is cut at l."""
    ids, length = ids.to(model.attn_mask.device), ids.shape[1]
    x = model.token_embedding(ids) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    x = x[torch.arange(len(ids)), ids.argmax(1)] @ model.text_projection
    return F.normalize(x, dim=-1)


def word_tables(words: Words) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Single-word prompts (n, 3); for each kind its rows and truth table (values, rows)."""
    kinds = {
        "thing": world.NAMES,
        "background": world.BACKGROUNDS,
        "style": world.STYLES,
        "size": world.SIZES,
        "spot": world.SPOTS,
    }
    prompts: list[str] = []
    tables = {}
    for kind, table in kinds.items():
        own = [w for ws in table.values() for w in ws]
        truth = torch.zeros(len(table), len(own))
        for value, ws in enumerate(table.values()):
            for w in ws:
                truth[value, own.index(w)] = 1
        tables[kind] = (torch.arange(len(prompts), len(prompts) + len(own)), truth)
        prompts += own
    return words.batch(prompts), tables


def salad_table(words: Words, tables: dict, columns: int) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Every word's id, its true single-word prompts (n, columns), and how often to use it."""
    shares = {"thing": 0.42, "background": 0.2, "style": 0.18, "size": 0.04, "spot": 0.04}
    kinds = (world.NAMES, world.BACKGROUNDS, world.STYLES, world.SIZES, world.SPOTS)
    ids, truth, often = [], [], []
    for (kind, (rows, table)), values in zip(tables.items(), kinds, strict=True):
        for value, own in enumerate(values.values()):
            row = torch.zeros(columns)
            row[rows] = table[value]
            for word in own:
                ids.append(words.lookup[word])
                truth.append(row)
                often.append(shares[kind] / len(rows))
    for word in world.FILLERS:
        ids.append(words.lookup[word])
        truth.append(torch.zeros(columns))
        often.append(0.12 / len(world.FILLERS))
    return np.array(ids), torch.stack(truth), np.array(often) / sum(often)


def salads(words: Words, table: tuple, count: int, rng) -> tuple[Tensor, Tensor]:
    """Random word lists as ids (count, 14) and the share (count, columns) of single-word prompts
    that they contain, synonyms included. A search tries such lists. If the model reads them as the
    words they contain, no list of unrelated words matches a picture."""
    ids, truth, often = table
    picks = rng.choice(len(ids), (count, 12), p=often)
    lengths = rng.integers(1, 13, count)
    said = torch.from_numpy(np.arange(12) < lengths[:, None])
    target = (truth[torch.from_numpy(picks)] * said[:, :, None]).amax(1)
    out = torch.zeros(count, 14, dtype=torch.long)
    out[:, 0] = words.start
    out[:, 1:13] = torch.from_numpy(ids[picks]) * said
    out[torch.arange(count), torch.from_numpy(lengths) + 1] = words.end
    return out, target / target.sum(1, keepdim=True).clamp(min=1)


@torch.no_grad()
def flipped(model: CLIP, ids: Tensor, image: Tensor, truth: list[set[int]], pool_ids: Tensor, rng):
    """Adversarial negatives: in each text one word is replaced by the wrong word that, to first
    order, raises the similarity with the image most (HotFlip, Ebrahimi 2018)."""
    with torch.enable_grad():
        x = model.token_embedding(ids.to(image.device)).detach().requires_grad_(True)
        length = ids.shape[1]
        h = x + model.positional_embedding[:length].detach()
        h = model.ln_final(model.transformer(h, attn_mask=model.attn_mask[:length, :length]))
        h = h[torch.arange(len(ids)), ids.argmax(1)] @ model.text_projection
        (grad,) = torch.autograd.grad((F.normalize(h, dim=-1) * image).sum(), x)
    gain = (grad @ model.token_embedding.weight[pool_ids].T).cpu()  # (b, l, n)
    out, place = ids.clone(), {int(i): n for n, i in enumerate(pool_ids)}
    for b, true in enumerate(truth):
        places = [p for p in range(1, int(ids[b].argmax())) if int(ids[b, p]) in true]
        if not places:
            continue
        p = places[int(rng.integers(len(places)))]
        gain[b, p, torch.tensor([place[i] for i in true])] = -1e9
        out[b, p] = pool_ids[gain[b, p].argmax()]
    return out


def searched(model: CLIP, image: Tensor, allowed: Tensor, words: Words, steps: int = 40) -> Tensor:
    """Prompts of eight words that PEZ finds for images (b, e) on the current model: compact ids
    (b, 10). As negatives they remove shortcuts: unrelated words that a search finds to match."""
    allowed = allowed.to(image.device)
    table = F.normalize(model.token_embedding.weight[allowed].detach(), dim=-1)
    ids = allowed[torch.randint(len(allowed), (len(image), 8)).to(image.device)]
    point = model.token_embedding.weight[ids].detach().clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([point], lr=0.1, weight_decay=0.1)
    edge = torch.tensor([words.start, words.end], device=image.device).expand(len(image), 2)
    best, top = ids.clone(), torch.full((len(image),), -2.0, device=image.device)
    for _ in range(steps):
        ids = allowed[(point.detach() @ table.T).argmax(-1)]
        full = torch.cat([edge[:, :1], ids, edge[:, 1:]], 1)
        x = model.token_embedding.weight[full].detach().requires_grad_(True)
        h = x + model.positional_embedding[:10].detach()
        h = model.ln_final(model.transformer(h, attn_mask=model.attn_mask[:10, :10]))
        score = (F.normalize(h[:, -1] @ model.text_projection, dim=-1) * image).sum(-1)
        (grad,) = torch.autograd.grad(-score.sum(), x)
        better = score.detach() > top
        top = torch.where(better, score.detach(), top)
        best = torch.where(better[:, None], ids, best)
        point.grad = grad[:, 1:-1]
        optimizer.step()
    return torch.cat([edge[:, :1], best, edge[:, 1:]], 1).cpu()


def naming(ids: Tensor, scenes: list[world.Scene], words: Words, kinds: tuple[str, ...]) -> Tensor:
    """Whether prompts, ids (m, l), contain a word of every kind for each scene: bool (b, m)."""
    held = torch.zeros(len(ids), len(words.ids)).scatter_(1, ids, 1.0)
    named = torch.ones(len(scenes), len(ids), dtype=torch.bool)
    for kind in kinds:
        true = torch.zeros(len(scenes), len(words.ids))
        for n, scene in enumerate(scenes):
            true[n, [words.lookup[w] for w in scene.words()[kind]]] = 1
        named &= true @ held.T > 0
    return named
