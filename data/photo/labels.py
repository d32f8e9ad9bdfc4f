"""How sure each word is of a photograph: by its captions, its labels, or its class of ImageNet."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from wordnet import words_of
from words import Lexicon

# labels of COCO and VOC -> words; other labels are named by their last word
NAMES = {
    "dining table": ("table",),
    "hot dog": ("hotdog",),
    "potted plant": ("plant",),
    "cell phone": ("phone",),
    "couch": ("couch",),
    "motorcycle": ("motorcycle",),
    "motorbike": ("motorcycle",),
    "fire hydrant": ("fire",),
    "tv": ("television",),
    "teddy bear": ("teddy", "bear"),
    "hair drier": ("hair",),
    "parking meter": ("parking",),
    "traffic light": ("light", "traffic"),
    "stop sign": ("sign",),
    "airplane": ("airplane",),
    "aeroplane": ("airplane",),
    "wine glass": ("glass",),
    "baseball bat": ("bat", "baseball"),
    "baseball glove": ("glove", "baseball"),
    "tennis racket": ("racket", "tennis"),
    "sports ball": ("ball",),
    "skis": ("ski",),
    "cow": ("cow",),
    "donut": ("donut",),
}
PERSON = {"man": 0.35, "people": 0.3, "woman": 0.25}  # how sure each is where "person" is labelled
FIRST, SURE, LESS = 4, 1.0, 0.6  # labels go by area: the first four are surely worth a word
# words above a class of ImageNet that are too general to be its name
GENERAL = """person man plant container place structure bar device building vehicle body equipment
furniture machine toy tool surface paper meat driver covering worker"""
# words that WordNet's names of ImageNet's classes use in another sense
MISLEADING = "wind wood stuffed wearing watching fishing game potatoes key"
HIGHEST = 9  # hypernyms from here on are too general


def class_words(paths: list[str], lexicon: Lexicon) -> list[list[int]]:
    """For each class the places of the words that name it or what it is a kind of."""
    too_general, misleading = set(GENERAL.split()), set(MISLEADING.split())
    found = []
    for path in paths:
        own: list[int] = []
        for name, distance in lexicon.wordnet.above(path.rsplit("/", 1)[-1][1:9]):
            if distance and "_" in name:
                continue
            word = name.rsplit("_", 1)[-1]
            place = lexicon.column(word)
            general = distance > 0 and lexicon.wordnet.lemma(word) in too_general
            if place is not None and not general and distance < HIGHEST and place not in own:
                own.append(place)
        found.append([n for n in own if lexicon.words[n] not in misleading])
    return found


def label_vector(text: str, lexicon: Lexicon) -> Tensor:
    """How sure each word is, (words,), by labels between commas, the largest thing first."""
    sure = torch.zeros(len(lexicon.words))

    def name(word: str, value: float) -> None:
        place = lexicon.column(word)
        if place is not None:
            sure[place] = max(float(sure[place]), value)

    for n, label in enumerate(label.strip().lower() for label in text.split(",")):
        if label == "person":
            for word, value in PERSON.items():
                name(word, value)
            continue
        for word in NAMES.get(label) or words_of(label)[-1:]:
            name(word, SURE if n < FIRST else LESS)
    return sure


def caption_vector(captions: Collection[str], lexicon: Lexicon) -> Tensor:
    """How sure each word is, (words,): wholly, where two of five captions name it."""
    if not captions:
        return torch.zeros(len(lexicon.words))
    return (lexicon.counts(captions) / max(1.0, 0.4 * len(captions))).clamp(max=1)
