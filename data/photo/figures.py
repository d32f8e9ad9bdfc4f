"""What a trained model knows of photographs that nothing was trained or chosen on: the last 200 of
``flickr1000``.

    python data/photo/figures.py data/models/photo --photographs DIR     # updates figures.json

The model is loaded as users load it, so the figures are of what is stored.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pairs import CHOOSE, FLICKR, flickr
from PIL import Image
from torch import Tensor
from tower import CONTEXT, END, START, read
from wordnet import FOLDER, WordNet
from words import Lexicon

from pez.models.photo import load_photo

LIST = 5  # words
SHORTLIST = 60  # words that a found list is of, the best alone
SWEEPS = 2
BATCH = 2048  # texts


def retrieval(image: Tensor, text: Tensor) -> dict[str, float]:
    """How often the right one of n is first, or among the first ten. Image features (n, d), text
    features (k, n, d): caption k of each picture. The mean over k.
    """
    figures: dict[str, float] = {}
    similar = torch.einsum("nd,kmd->knm", image, text)
    for way, table in (("image_to_text", similar), ("text_to_image", similar.transpose(1, 2))):
        right = table.diagonal(dim1=1, dim2=2)[..., None]
        before = (table > right).sum(2)
        for most in (1, 10):
            figures[f"retrieval_{way}_at_{most}"] = (before < most).float().mean().item()
    return figures


def right_words(
    found: Sequence[Sequence[str]], captions: Sequence[Sequence[str]], lexicon: Lexicon, name: str
) -> dict[str, float]:
    """How many of a picture's words its captions mention: the mean, and the shares of pictures with
    one, two and three or more.
    """
    pairs = zip(found, captions, strict=True)
    right = torch.tensor([float(lexicon.right(words, texts)) for words, texts in pairs])
    shares = {f"{name}_{n}_right": (right >= n).float().mean().item() for n in (1, 2, 3)}
    return {f"{name}_right_words": right.mean().item(), **shares}


def found_lists(model: Any, image: Tensor, ids: Sequence[int], alone: Tensor) -> list[list[int]]:
    """For each picture, image features (n, d), places of the words of a list that fits: one word is
    added at a time, then each is exchanged for the best beside the others, twice. ``ids`` are the
    words' tokens, ``alone`` (n, w) how well each fits alone.
    """
    near = alone.topk(min(SHORTLIST, alone.shape[1])).indices  # (n, s)
    size = near.shape[1]
    length = min(LIST, size)
    lists = torch.zeros(len(image), 0, dtype=torch.long)  # places within the shortlist
    steps = [*range(length), *[k for _ in range(SWEEPS) for k in range(length)]]
    for step, place in enumerate(steps):
        if step < length:
            lists = torch.cat([lists, torch.zeros(len(image), 1, dtype=torch.long)], 1)
        tried = lists[:, None].repeat(1, size, 1)  # (n, s, k)
        tried[:, :, place] = torch.arange(size)
        rows = torch.gather(near[:, None].expand(-1, size, -1), 2, tried).flatten(0, 1)
        texts = [[START, *(ids[n] for n in row), END] for row in rows.tolist()]
        feature = torch.cat(
            [read(model, texts[n : n + BATCH]) for n in range(0, len(texts), BATCH)]
        ).unflatten(0, (len(image), size))
        score = (feature * image[:, None]).sum(-1)
        others = torch.cat([lists[:, :place], lists[:, place + 1 :]], 1)
        score.scatter_(1, others, -1.0)
        lists[:, place] = score.argmax(1)
    return near.gather(1, lists).tolist()


@torch.inference_mode()
def held_out(folder: Path, photographs: Path, wordnet: WordNet) -> dict[str, float]:
    """The figures of the model in ``folder``. ``frequent`` are the words that captions name most,
    whatever the picture.
    """
    reader = load_photo(folder, folder.name, torch.device("cpu"), torch.float32)
    words = (folder / "words.txt").read_text().split()
    lexicon = Lexicon(tuple(words), wordnet)
    kept = list(flickr(photographs).items())[CHOOSE:]
    captions = [texts for _, texts in kept]
    pictures = []
    for name, _ in kept:
        with Image.open(photographs / FLICKR / "images" / name) as image:
            pictures.append(image.convert("RGB"))
    image = reader.encode_images(pictures)
    encode = reader.tokens.encode
    known = set(reader.known.tolist()) if reader.known is not None else set()

    def texts_read(texts: Sequence[str]) -> Tensor:
        ids = [[i for i in encode(text)[: CONTEXT - 2] if i in known] for text in texts]
        return read(reader.model, [[START, *row, END] for row in ids])

    count = min(len(texts) for texts in captions)
    text = torch.stack([texts_read([texts[k] for texts in captions]) for k in range(count)])
    alone = image @ texts_read(words).T
    single = [[words[n] for n in row] for row in alone.topk(LIST).indices.tolist()]
    ids = [encode(word)[0] for word in words]
    lists = [[words[n] for n in row] for row in found_lists(reader.model, image, ids, alone)]
    frequent = [words[:LIST]] * len(captions)
    figures = retrieval(image, text)
    for name, found in (("single", single), ("list", lists), ("frequent", frequent)):
        figures |= right_words(found, captions, lexicon, name)
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=FOLDER)
    args = parser.parse_args()
    file = args.model / "figures.json"
    facts = json.loads(file.read_text()) if file.is_file() else {}
    facts["held_out"] = held_out(args.model, args.photographs, WordNet(args.wordnet))
    file.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts["held_out"], indent=1))


if __name__ == "__main__":
    main()
