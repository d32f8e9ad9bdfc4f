"""How likely the words of a trained model are right of a picture: its ``odds.toml``.

    python data/photo/odds.py data/models/photo --photographs DIR --runs DIR

Of each training photograph with four captions or more, the words with the highest cosines are
either right, as a caption has them, or wrong. A logistic regression on these pairs has the cosine's
slope and a number for each word, drawn to 0: words whose cosine is high whatever the picture get a
low one. Flickr8k and COCO weigh the same. No photograph that chooses settings or tests is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pairs import FLICKR, Picture, gather
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from train import RECIPES, picture_features
from wordnet import FOLDER, WordNet
from words import Lexicon

from pez.models.photo import load_photo

LEAST = 4  # captions of a photograph, so that a right word is seldom missing
AMONG = 20  # words of a photograph: those a search might take
SHRINK = 4.0  # half of it times a word's number, squared, is its cost: that of a few photographs


def fit(cosines: Tensor, right: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """The slope and each word's number (w,), from cosines (n, w) of photographs with words, which
    words are ``right`` (n, w), and the photographs' weights (n,).
    """
    cosine, place = cosines.topk(min(AMONG, cosines.shape[1]), 1)
    truth = right.gather(1, place).float()
    slope = torch.tensor(10.0, requires_grad=True)
    common = torch.tensor(-4.0, requires_grad=True)
    own = torch.zeros(cosines.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [slope, common, own], max_iter=100, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logit = slope * cosine + common + own[place]
        each = binary_cross_entropy_with_logits(logit, truth, reduction="none")
        total = (weights[:, None] * each).sum() + SHRINK * own.square().sum() / 2
        total.backward()
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    return slope.item(), (common + own).detach()


def toml(slope: float, numbers: Mapping[str, float]) -> str:
    """The text of ``odds.toml``."""
    rows = [f"{word} = {number:.3f}" for word, number in numbers.items()]
    head = [
        "# log-odds that a word is right of a picture: slope x its cosine with the picture + its",
        "# own number here; written by data/photo/odds.py",
        f"slope = {slope:.2f}",
        "",
        "[words]",
    ]
    return "\n".join([*head, *rows]) + "\n"


def weights_of(flickr: Tensor) -> Tensor:
    """Weights (n,) by which those of Flickr8k, ``flickr`` (n,), count as much as all others."""
    own = flickr.float().mean().clamp(1e-6, 1 - 1e-6)
    return torch.where(flickr, 0.5 / own, 0.5 / (1 - own))


def said(pictures: Sequence[Picture], lexicon: Lexicon) -> Tensor:
    """Which words (n, w) a caption of each picture has."""
    found = torch.zeros(len(pictures), len(lexicon.words), dtype=torch.bool)
    for row, picture in enumerate(pictures):
        for caption in picture.captions:
            found[row, lexicon.said(caption)] = True
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=FOLDER)
    args = parser.parse_args()
    words = (args.model / "words.txt").read_text(encoding="utf-8").split()
    lexicon, recipe = Lexicon(tuple(words), WordNet(args.wordnet)), RECIPES[args.model.name]
    pictures = gather(args.photographs, recipe.half, lexicon, print, recipe.without)
    pictures = [picture for picture in pictures if len(picture.captions) >= LEAST]
    seen = picture_features(recipe, pictures, args.photographs, args.runs, print)[:, 0].float()
    reader = load_photo(args.model, args.model.name, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        image = normalize(reader.model.visual.head(seen), dim=-1)
        cosines = image @ reader.encode_text(words).T
    flickr = torch.tensor([p.source == FLICKR or "flickr8k" in p.source for p in pictures])
    slope, numbers = fit(cosines.clone(), said(pictures, lexicon), weights_of(flickr))
    pairs = dict(zip(words, numbers.tolist(), strict=True))
    (args.model / "odds.toml").write_text(toml(slope, pairs), encoding="utf-8")


if __name__ == "__main__":
    main()
