"""The cards of the models of photographs, from their figures.

python data/photo/cards.py data/models/photo*     # writes README.md of each
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1]
sys.path[:0] = [str(DATA), str(DATA.parent)]
from photo_card import Source, card  # noqa: E402

from pez.models.photo import Backbone  # noqa: E402

FLICKR_TERMS = "captions CC BY-SA 3.0; photographs of Flickr's users, an academic set"
COCO_TERMS = "annotations CC BY 4.0; photographs under their licences on Flickr"
SOURCES = {  # by how the names of sources begin: set, texts, terms
    "flickr": ("Flickr8k (Hodosh et al. 2013)", "five captions each", FLICKR_TERMS),
    "coco": ("MS COCO (Lin et al. 2014)", "labels of 80 kinds, some captions", COCO_TERMS),
    "voc_animals": ("PASCAL VOC, five animals", "labels", "photographs of Flickr's users"),
    "caltech101": ("Caltech 101 (Li et al. 2003)", "labels", "CC BY 4.0"),
    "grocery": ("Grocery Store Dataset (Klasson et al. 2019)", "labels", "MIT"),
    "imagenet": ("ImageNet, one a class", "labels", "research; photographs of their owners"),
}
SPLIT = (
    "By the MD5 of their names 60 % of the photographs trained `photo` and `photo-b`, the other "
    "40 % `photo-judge`; only the animals of PASCAL VOC are in both. Settings were chosen on 100 "
    "photographs of Flickr8k and on COCO photographs of the judge's part; the judge's last stage, "
    "on the same 100 and on 523 COCO photographs of the other part, which it never trained on. The "
    "figures are of 200 photographs of Flickr8k that were used for neither; "
    "`benchmarks/photographs.md` has 79 of COCO."
)
COUNTED = "Its text tower had no pretrained teacher, only how words occur together in captions"
TEACHERS = {
    "MiniLM": "A sentence model (MiniLM, Apache-2.0) was the text tower's teacher and is not "
    "needed any more",
    "co-occurrence": COUNTED,
    "Cooccurrence": COUNTED,  # as train.py writes it
}
EXCHANGING = "its losses ask for the best word beside others, as a search does"
FIGURES = {
    "retrieval_image_to_text_at_1": "finds the caption of a photograph among 200",
    "retrieval_text_to_image_at_1": "finds the photograph of a caption among 200",
    "list_right_words": "right content words of five found",
    "frequent_right_words": "of the five commonest words",
    "list_2_right": "photographs with two right or more",
    "frequent_2_right": "by the five commonest words",
}


def sources(counts: Mapping[str, int]) -> list[Source]:
    """The sets of photographs, from their numbers by source, as ``train.py`` counts them, or by
    set. ValueError for a source that is of no set.
    """
    totals = dict.fromkeys(SOURCES, 0)
    for name, count in counts.items():
        of = next((key for key in SOURCES if name.startswith(key)), None)
        if of is None:
            raise ValueError(f"{name} is of no set of SOURCES; add it there.")
        totals[of] += count
    return [
        Source(name, totals[key], texts, terms)
        for key, (name, texts, terms) in SOURCES.items()
        if totals[key]
    ]


def notes(facts: Mapping[str, Any]) -> list[str]:
    """Further sentences of the recipe: those of ``figures.json``, or what ``train.py`` wrote of it
    there.
    """
    if "notes" in facts:
        return list(facts["notes"])
    said = [EXCHANGING] if facts["heads"]["exchange"] else []
    if facts["after"]:
        said += [
            f"its text tower began as that of `{facts['after']}`, mapped linearly to its own "
            f"features, with {facts['tower']['steps']} steps of its own: the two are not "
            "independent"
        ]
    return said


def written_card(folder: Path) -> str:
    """The card of the model in ``folder``."""
    facts = json.loads((folder / "figures.json").read_text())
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    figures = {
        said: {"Flickr8k, 200 held out": facts["held_out"].get(key, "not measured again")}
        for key, said in FIGURES.items()
    }
    return card(
        folder.name,
        config,
        len((folder / "words.txt").read_text().split()),
        Backbone.of(folder).package,
        sources(facts["photographs"]),
        SPLIT,
        figures,
        notes(facts),
        teacher=TEACHERS[facts["teacher"]],
    )


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        (folder / "README.md").write_text(written_card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
