"""The second part of the demo: a picture of the synthetic world becomes a prompt, and the prompt a
picture again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from pez.api import invert
from pez.datasets.samples import Sample, samples
from pez.images import read_image
from pez.models import Reader
from pez.models.names import OFFLINE
from pez.options import InvertOptions
from pez.result import Result
from pez.session.session import Watch

SEARCHED, JUDGE = ("mini", "mini-b"), "mini-judge"
PICTURES = 2  # of each text


@dataclass(frozen=True)
class Drawn:
    """A text, the first picture drawn from it, and the mean likeness of PICTURES of them to
    the original: their cosine under the judge.
    """

    name: str
    text: str
    picture: Image.Image
    likeness: float


def choose(seed: int) -> Sample:
    """The ``seed``-th of the pictures that show one large thing."""
    choices = [s for s in samples("attributes") if s.attributes["size"] == "large"]
    return choices[seed % len(choices)]


def draw_again(
    sample: Sample, searched: Reader, judge: Reader, options: InvertOptions, watch: Watch
) -> list[Drawn]:
    """Search a prompt for the picture, and draw this and as many random words."""
    from pez.generation import GenerateOptions, open_painter

    result = invert(sample.path, reader=searched, options=options, watch=watch)
    assert isinstance(result, Result)
    words = searched.own_words or []
    count = min(len(result.prompt.split(", ")), len(words))
    texts = {
        "found prompt": result.prompt,
        "random words": ", ".join(random.Random(0).sample(words, count)),
    }
    painter = open_painter(GenerateOptions(generator=OFFLINE))
    target = judge.encode_images([read_image(sample.path)])[0]
    out = []
    for name, text in texts.items():
        pictures = painter.paint([text] * PICTURES, range(PICTURES))
        likeness = (judge.encode_images(pictures) @ target).mean()
        out.append(Drawn(name, text, pictures[0], float(likeness)))
    return out
