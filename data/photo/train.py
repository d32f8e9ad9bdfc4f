"""Train a model of photographs: photo, photo-b (to be searched) or photo-judge (the judge).

    apt-get install wordnet-base; pip install -e '.[train]'
    python data/photo/train.py photo --photographs DIR --captions DIR --runs DIR \\
        --output data/models/photo

README.md beside this file describes the folders. RUNS holds what takes long: the features of the
photographs, the teacher's vectors, and the stages of each model. A stage that is there is not
trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from again import AgainSettings, image_head_again, told
from export import export
from features import Trunk, features
from figures import held_out
from heads import Examples, Heads, HeadSettings, prototypes, train_heads
from labels import class_words
from pairs import (
    FLICKR,
    IMAGENET,
    SOURCES,
    TRAIN,
    Picture,
    classes,
    flickr,
    gather,
    unpaired,
)
from teachers import Cooccurrence, MiniLM, Teacher, kept_texts
from torch import Tensor
from tower import Texts, TowerSettings, continue_from, first_rows, start, train_tower
from wordnet import FOLDER, WordNet
from words import Lexicon, word_list

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Recipe:
    """What a model is made of."""

    trunk: Trunk
    half: str  # of the photographs
    teacher: type[MiniLM] | type[Cooccurrence]
    heads: HeadSettings
    tower: TowerSettings
    single: bool = True  # one view of each listed photograph
    without: tuple[str, ...] = ()  # sources of photographs
    after: str = ""  # the model whose text tower this one's starts from
    paired: bool = False  # its photographs' captions join the texts
    again: AgainSettings | None = None  # the third stage


RECIPES = {
    "photo": Recipe(Trunk(0), "A", MiniLM, HeadSettings(1), TowerSettings(0), single=False),
    "photo-b": Recipe(
        Trunk(2),
        "A",
        MiniLM,
        HeadSettings(3),
        TowerSettings(2, steps=260, rate=1e-3),
        without=("caltech101", "grocery"),
        after="photo",
    ),
    "photo-judge": Recipe(
        Trunk(1),
        "B",
        Cooccurrence,
        HeadSettings(2, prototypes=64, words=0.7, exchange=0.0),  # it is not searched
        TowerSettings(1, steps=900),
        again=AgainSettings(),
    ),
}


@dataclass(frozen=True)
class Material:
    """What a recipe trains on."""

    lexicon: Lexicon
    pictures: list[Picture]
    texts: list[str]
    teacher: Teacher
    examples: Examples


def noting(log: Log) -> Callable[[str], None]:
    """A log of sentences."""
    return lambda text: log({"note": text})


def read_texts(captions: Path, photographs: Path) -> tuple[list[str], list[str]]:
    """All captions, for the list of words, and those that train: each once, without those of the
    held-out pictures of ``flickr1000``.
    """
    rows = unpaired(captions)
    held = set(list(flickr(photographs))[TRAIN:])
    kept = dict.fromkeys(text for name, text in rows if name not in held)
    return [text for _, text in rows], list(kept)


def material(
    recipe: Recipe, photographs: Path, captions: Path, runs: Path, wordnet: WordNet, log: Log
) -> Material:
    """Read, and have the trunk and the teacher read, all that a recipe needs."""
    every, texts = read_texts(captions, photographs)
    lexicon = Lexicon(word_list(every, wordnet), wordnet)
    pictures = gather(photographs, recipe.half, lexicon, noting(log), recipe.without)
    if recipe.paired:
        texts = list(dict.fromkeys([*texts, *(c for p in pictures for c in p.captions)]))
    log({"words": len(lexicon.words), "photographs": len(pictures), "texts": len(texts)})
    seen = picture_features(recipe, pictures, photographs, runs, log)
    teacher = recipe.teacher() if recipe.teacher is MiniLM else Cooccurrence(texts)
    places = {text: n for n, text in enumerate(texts)}
    named = class_words(classes(photographs), lexicon)
    examples = Examples(
        features=seen,
        labels=torch.stack([picture.labels for picture in pictures]),
        captions=[[places[c] for c in p.captions if c in places] for p in pictures],
        weights=torch.tensor([picture.weight for picture in pictures]),
        texts=kept_texts(teacher, texts, runs),
        words=teacher.words(lexicon.words),
        bags=lexicon.bags(texts),
        prototypes=prototypes(recipe.trunk.classifier(), named, seen[:, 0], len(lexicon.words)),
    )
    return Material(lexicon, pictures, texts, teacher, examples)


def picture_features(
    recipe: Recipe, pictures: Sequence[Picture], photographs: Path, runs: Path, log: Log
) -> Tensor:
    """Features (n, 4, f), float16; of photographs with fewer views these again."""
    note = noting(log)
    found = []
    for name in dict.fromkeys(picture.source for picture in pictures):
        once = recipe.single and name not in (FLICKR, IMAGENET)
        count = 1 if once else SOURCES[name].views
        kept = runs / "features" / f"{name}.lite{recipe.trunk.size}.{count}.npz"
        paths = [picture.path for picture in pictures if picture.source == name]
        own = features(photographs, paths, recipe.trunk, count, kept, note)
        found.append(own[:, torch.arange(4) % count])
    return torch.cat(found)


def stage(file: Path, settings: dict[str, Any], make: Callable[[], Any], log: Log) -> Any:
    """What ``make`` makes, or what ``file`` holds of it, if that was made with these settings."""
    if file.is_file():
        saved = torch.load(file, weights_only=True)
        if saved["settings"] != settings:
            raise SystemExit(f"{file} was trained with other settings; move it away.")
        log({"note": f"{file} is there"})
        return saved["state"]
    state = make()
    part = file.with_suffix(".part")
    torch.save({"settings": settings, "state": state}, part)
    part.rename(file)
    return state


def finished(runs: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of both stages of a model that was trained."""
    files = [runs / f"{name}.{part}.pt" for part in ("heads", "tower")]
    if not all(file.is_file() for file in files):
        raise SystemExit(f"{runs} has no {name}; train it first.")
    heads, tower = (torch.load(file, weights_only=True)["state"] for file in files)
    return heads, tower


def train(name: str, recipe: Recipe, data: Material, runs: Path, output: Path, log: Log) -> None:
    """All stages and the model's folder."""
    words, examples = data.lexicon.words, data.examples
    other = finished(runs, recipe.after) if recipe.after else None
    marks = {"photographs": len(data.pictures), "texts": len(data.texts), "words": len(words)}
    settings = {**marks, "paired": recipe.paired, **asdict(recipe.heads)}
    heads = Heads.of(
        stage(
            runs / f"{name}.heads.pt",
            settings,
            lambda: train_heads(examples, recipe.heads, log).state_dict(),
            log,
        )
    )
    tokens = Texts(data.texts, words)
    model = start(recipe.tower, recipe.trunk, first_rows(heads, data.teacher, tokens, words))
    if other:
        continue_from(model, other[1], Heads.of(other[0]), heads, examples.texts)
    model.load_state_dict(
        stage(
            runs / f"{name}.tower.pt",
            {"heads": settings, "after": recipe.after, **asdict(recipe.tower)},
            lambda: train_tower(
                model, heads, examples, data.texts, words, tokens, recipe.tower, log
            ).state_dict(),
            log,
        )
    )
    if (third := recipe.again) is not None:
        captions = [picture.captions for picture in data.pictures]

        def once_more() -> Any:
            said = told(model, captions, data.texts, data.lexicon, tokens, third)
            return image_head_again(heads, examples, said, third, log).state_dict()

        so_far = {"heads": settings, "tower": asdict(recipe.tower), **asdict(third)}
        heads = Heads.of(stage(runs / f"{name}.again.pt", so_far, once_more, log))
    export(output, heads, model, tokens.ids, words, recipe.trunk, recipe.tower)


def facts(recipe: Recipe, data: Material, output: Path) -> dict[str, Any]:
    """What the card says of the training."""
    counts = dict.fromkeys(SOURCES, 0)
    for picture in data.pictures:
        counts[picture.source] += 1
    return {
        "trunk": recipe.trunk.package,
        "teacher": recipe.teacher.__name__,
        "half": recipe.half,
        "after": recipe.after,
        "words": len(data.lexicon.words),
        "photographs": {name: count for name, count in counts.items() if count},
        "captioned": int(data.examples.captioned.sum()),
        "texts": len(data.texts),
        "heads": asdict(recipe.heads),
        "tower": asdict(recipe.tower),
        "again": asdict(recipe.again) if recipe.again else None,
        "bytes": (output / "model.safetensors").stat().st_size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, nargs=2, metavar=("HEADS", "TOWER"))
    parser.add_argument(
        "--paired",
        action="store_true",
        help="train on the captions of pairs.tsv that CAPTIONS lacks, too; the shipped models "
        "know them only as words",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = replace(RECIPES[args.name], paired=args.paired)
    if args.steps:
        heads, tower = args.steps
        recipe = replace(
            recipe,
            heads=replace(recipe.heads, steps=heads),
            tower=replace(recipe.tower, steps=tower),
        )
    args.runs.mkdir(parents=True, exist_ok=True)
    with (args.runs / f"{args.name}.log").open("a") as file:

        def log(row: dict[str, Any]) -> None:
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=file, flush=True)

        wordnet = WordNet(args.wordnet)
        data = material(recipe, args.photographs, args.captions, args.runs, wordnet, log)
        train(args.name, recipe, data, args.runs, args.output, log)
        found = facts(recipe, data, args.output)
        found["held_out"] = held_out(args.output, args.photographs, wordnet)
        (args.output / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
        log(found["held_out"])


if __name__ == "__main__":
    main()
