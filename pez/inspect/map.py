"""Words and the tokens near them as a map: each model's space, flattened in two ways.

PCA keeps the two directions in which these tokens differ most: far is far. t-SNE (van der Maaten &
Hinton 2008) keeps who is whose neighbour: groups are groups, distances between groups mean little.
Both are scikit-learn's, of embeddings of length one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.inspect.ink import COLOURS, INK, LINE, PALE, Box, Sheet, overlap, width_of
from pez.inspect.near import nearest_tokens, word_id
from pez.models import Reader
from pez.search.vocabulary import Vocabulary, unit_rows

LEAST = 5  # tokens on a map
SIDE, HEAD, GAP, MARGIN = 620, 64, 20, 46  # pixels of a panel, and within it
BIG, SMALL = 16, 13  # of letters
FAR = 20  # from a dot: a name beyond has a line to it


@dataclass(frozen=True, eq=False)
class Space:
    """Tokens in a model's space: embeddings (n, w) of length one. ``owner`` has for each the place
    of the word that it is nearest to; the words themselves come first.
    """

    model: str
    tokens: list[str]
    rows: Tensor
    owner: list[int]


def space_around(reader: Reader, vocabulary: Vocabulary, words: Sequence[str], top: int) -> Space:
    """The ``words`` and the ``top`` tokens nearest to each, in one model's space. PezError for a
    word that it does not know, and where there are too few tokens for a map.
    """
    own = [word_id(reader, word) for word in dict.fromkeys(words)]
    found: dict[int, tuple[float, int]] = {i: (2.0, n) for n, i in enumerate(own)}
    for n, i in enumerate(own):
        for near in nearest_tokens(vocabulary, i, top):
            if near.cosine > found.get(near.id, (-2.0, n))[0]:
                found[near.id] = near.cosine, n
    if len(found) < LEAST:
        raise PezError(f"a map needs {LEAST} tokens, not {len(found)}; raise --top.")
    ids = torch.tensor(list(found), device=vocabulary.table.device)
    rows = unit_rows(vocabulary.embed(ids).float(), vocabulary.parts).cpu()
    texts = [reader.tokens.decode([i]) for i in found]
    return Space(reader.name, texts, rows, [n for _, n in found.values()])


def flat_pca(rows: Tensor) -> tuple[np.ndarray, tuple[float, float]]:
    """Places (n, 2) and the share of the variance along each axis."""
    from sklearn.decomposition import PCA

    model = PCA(2, svd_solver="full")
    places = model.fit_transform(rows.numpy().astype(np.float64))
    first, second = model.explained_variance_ratio_.tolist()
    return places, (first, second)


def flat_tsne(rows: Tensor) -> np.ndarray:
    """Places (n, 2), the same for the same rows."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(rows) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=0)
    return np.asarray(model.fit_transform(rows.numpy().astype(np.float64)))


def draw_map(spaces: Sequence[Space]) -> Image.Image:
    """A row for each model: PCA on the left, t-SNE on the right. Words are large, and what is near
    a word has its colour.
    """
    wide, tall = 2 * SIDE + 3 * GAP, SIDE + HEAD
    sheet = Sheet.of(wide, tall * len(spaces) + GAP)
    for n, space in enumerate(spaces):
        top = tall * n
        sheet.text(GAP, top + 24, space.model, size=20)
        places, (first, second) = flat_pca(space.rows)
        pca = f"PCA ({first:.0%} + {second:.0%} of the variance)"
        for m, (name, spots) in enumerate(((pca, places), ("t-SNE", flat_tsne(space.rows)))):
            left = GAP + m * (SIDE + GAP)
            sheet.text(left, top + HEAD - 14, name, PALE, 15)
            _panel(sheet, space, spots, left, top + HEAD)
    return sheet.image


def _panel(sheet: Sheet, space: Space, spots: np.ndarray, left: int, top: int) -> None:
    """Dots and names of one flattened space."""
    sheet.pen.rectangle((left, top, left + SIDE, top + SIDE), outline=LINE)
    low, high = spots.min(0), spots.max(0)
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    centre = (low + high) / 2
    xy = (spots - centre) * scale + np.array([left + SIDE / 2, top + SIDE / 2])
    words = max(space.owner) + 1
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in xy.tolist()]
    for n, (x, y) in enumerate(xy.tolist()):
        colour, r = COLOURS[space.owner[n] % len(COLOURS)], 6 if n < words else 3
        sheet.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    frame = (left + 2.0, top + 2.0, left + SIDE - 2.0, top + SIDE - 2.0)
    for n, (x, y) in enumerate(xy.tolist()):
        size = BIG if n < words else SMALL
        colour = INK if n < words else COLOURS[space.owner[n] % len(COLOURS)]
        box = _free((x, y), width_of(space.tokens[n], size), size, taken, frame)
        taken.append(box)
        near = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        if abs(near[0] - x) + abs(near[1] - y) > FAR:
            sheet.pen.line((x, y, *near), LINE, 1)
        sheet.text(box[0], (box[1] + box[3]) / 2, space.tokens[n], colour, size)


def _free(
    spot: tuple[float, float], wide: float, size: int, taken: Sequence[Box], frame: Box
) -> Box:
    """Where a name of ``wide`` pixels stands: beside its dot, on the first side with room."""
    x, y = spot
    first: Box | None = None
    for far in (8, 16, 26, 38, 52, 68, 86, 106):
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            left = x + far if dx > 0 else x - far - wide if dx < 0 else x - wide / 2
            middle = y + dy * (far + size / 2)
            box = (left, middle - size * 0.55, left + wide, middle + size * 0.55)
            first = first or box
            inside = box[0] >= frame[0] and box[2] <= frame[2]
            if inside and box[1] >= frame[1] and box[3] <= frame[3] and not overlap(box, taken):
                return box
    assert first is not None
    return first
