"""Ideas for a search whose words another model likes better, each tried beside the plain search.

    python benchmarks/ideas.py --data FOLDER    # writes ideas.md and ideas.csv

One search serves all: five words between commas, from the words of the start `pursuit`; at each
step the likeliest exchanges of one word, by the sum of the words' own features, are read, and the
best is kept if it is better. What "better" means is the idea. Each has a weight, chosen on other
pictures under the choosing judge; the report judge chose nothing.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks import ideas_page as page  # noqa: E402
from benchmarks.factorial_plan import read_plan  # noqa: E402
from benchmarks.ideas_scene import Places, Scene, caption_texts, pairs_of  # noqa: E402
from benchmarks.photographs import usual_data  # noqa: E402
from benchmarks.photos import Judge, gallery, right_words  # noqa: E402
from pez.models import load_model  # noqa: E402
from pez.models.families import odds  # noqa: E402

# What an idea makes of prompts: of each picture's number (n,) and words (n, k), their features
# (n, e) in the searched model, and the weight, the value (n,) that the search raises.
Value = Callable[[Scene, Tensor, Places, Tensor, float], Tensor]


def cosine(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    return (read * scene.looks[0][who]).sum(1)


def crops(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    """And the mean cosine with crops of the picture."""
    return cosine(scene, who, places, read, 0) + weight * (read * scene.cropped[who]).sum(1)


def second(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    """And the cosine in a second model: twice the passes for each prompt."""
    other = scene.read(scene.readers[1], places)
    return cosine(scene, who, places, read, 0) + weight * (other * scene.looks[1][who]).sum(1)


def crops_and_second(
    scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float
) -> Tensor:
    """All of these."""
    more = weight * (read * scene.cropped[who]).sum(1)
    return second(scene, who, places, read, weight) + more


def trust(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    """Less what the whole prompt has beyond the sum of its words: a trust region around what the
    words say by themselves. Both are cosines; the sum's is the higher one.
    """
    alone = normalize(scene.features[places].sum(1), dim=1)
    far = 1 - (alone * read).sum(1)
    return cosine(scene, who, places, read, 0) - weight * far


def captions(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    """And a tenth of how much oftener than by chance captions have these words together: the mean
    over pairs of their pointwise mutual information.
    """
    pairs = list(combinations(range(places.shape[1]), 2))
    own = torch.stack([scene.together[places[:, a], places[:, b]] for a, b in pairs]).mean(0)
    return cosine(scene, who, places, read, 0) + weight * 0.1 * own


def likely(scene: Scene, who: Tensor, places: Places, read: Tensor, weight: float) -> Tensor:
    """And a tenth of the mean log-odds that its words are right of the picture."""
    return cosine(scene, who, places, read, 0) + weight * 0.1 * scene.odds[
        who[:, None], places
    ].mean(1)


@dataclass(frozen=True)
class Idea:
    """A value to search for. A prompt costs ``each`` passes; without ``weighed`` the weight is 1.
    ``relaxed`` steps of pgd, two passes each, come first.
    """

    value: Value
    each: int = 1
    weighed: bool = True
    relaxed: int = 0


IDEAS = {
    "the score alone": Idea(cosine, weighed=False),
    "random crops": Idea(crops),
    "a second model": Idea(second, 2, weighed=False),  # it is the judge of the weights
    "random crops and a second model": Idea(crops_and_second, 2, weighed=False),
    "trust region around the words' sum": Idea(trust),
    "words that captions have together": Idea(captions),
    "odds of the words": Idea(likely),
    "half the passes for pgd": Idea(cosine, weighed=False, relaxed=50),
}


def search(scene: Scene, idea: Idea, weight: float) -> Places:
    """The words (n, k) found from the start: one place after the other, its likeliest exchanges."""
    plan, each = scene.plan, idea.each
    best = scene.found("pgd", idea.relaxed) if idea.relaxed else scene.start.clone()
    who, place = torch.arange(len(best)), 0

    def value(who: Tensor, places: Places) -> Tensor:
        read = scene.read(scene.readers[0], places)
        return idea.value(scene, who, places, read, weight)

    reached = value(who, best)
    left, tried = plan["passes"] - 2 * idea.relaxed - each, [set() for _ in best]
    while left >= each:
        count = min(plan["candidates"], left // each)
        options = exchanges(scene, best, place, count, tried)
        top, at = value(who.repeat_interleave(count), options.flatten(0, 1)).view(-1, count).max(1)
        better = top > reached
        best[better] = options[who, at][better]
        reached = torch.maximum(top, reached)
        left, place = left - count * each, (place + 1) % best.shape[1]
    return best


def exchanges(
    scene: Scene, best: Places, place: int, count: int, tried: Sequence[set[tuple[int, ...]]]
) -> Tensor:
    """``count`` prompts (n, count, k) with another word at a place, not ``tried`` before: those
    whose words' sum is closest to the picture.
    """
    rest = scene.features[best].sum(1) - scene.features[best[:, place]]
    sums = normalize(rest[:, None] + scene.features, dim=2)
    closeness = torch.einsum("nwe,ne->nw", sums, scene.looks[0])
    out = []
    for row, order in enumerate(closeness.argsort(1, descending=True).tolist()):
        own, found = best[row].tolist(), []
        for word in order:
            new = [*own[:place], word, *own[place + 1 :]]
            key = tuple(sorted(new))
            if word not in own and key not in tried[row]:
                tried[row].add(key)
                found.append(new)
            if len(found) == count:
                break
        out.append(found)
    return torch.tensor(out)


def mean_cosine(scene: Scene, idea: Idea, weight: float) -> float:
    """What the judge says on average of prompts searched with a weight."""
    read = scene.judged(search(scene, idea, weight))
    return sum(cosine for cosine, _ in read) / len(read)


def row_of(name: str, weight: float | None, scene: Scene, found: Places) -> page.Row:
    """The prompts' texts read afresh by judge and searched model."""
    texts, read = scene.texts(found), scene.judged(found)
    own = (scene.readers[0].encode_text(texts) * scene.looks[0]).sum(1).tolist()
    said = [scene.photos.captions[n] for n in scene.photos.searched]
    right = [right_words(t, c) or 0 for t, c in zip(texts, said, strict=True)]
    return page.Row(name, weight, texts, [c for c, _ in read], [r for _, r in read], right, own)


@torch.no_grad()
def main() -> None:
    """Choose each idea's weight, search the report split, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=usual_data(), help="where the data sets lie")
    args = parser.parse_args()
    plan = tomllib.loads((HERE / "ideas.toml").read_text(encoding="utf-8"))
    whole = read_plan(HERE / "factorial.toml", folder=str(args.data))
    one, two = (load_model((name,), "cpu") for name in whole["several"])
    known = odds(one.name)
    assert known is not None
    words = tuple(known.words)
    pairs = pairs_of(caption_texts(plan, args.data), words)
    splits = {}
    for name, split in whole["splits"].items():
        photos = gallery(whole["data"], split, str(args.data), 0)
        reader = load_model((split.get("judge", whole["judge"]),), "cpu")
        judge = Judge.of(reader, photos.pictures)
        splits[name] = Scene(plan, photos, (one, two), words, pairs, judge)
    rows = []
    for name, idea in IDEAS.items():
        weight = None if idea.value is cosine else 1.0
        if idea.weighed:
            weight = max(plan["weights"], key=lambda w: mean_cosine(splits["choose"], idea, w))
        scene = splits["report"]
        rows.append(row_of(name, weight, scene, search(scene, idea, weight or 0.0)))
        print(name, weight, f"{sum(rows[-1].cosine) / len(rows[-1].cosine):.4f}", flush=True)
    (HERE / "ideas.md").write_text(page.markdown(plan, rows), encoding="utf-8")
    page.write_csv(HERE / "ideas.csv", rows)


if __name__ == "__main__":
    main()
