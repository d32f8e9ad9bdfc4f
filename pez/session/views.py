"""Views of a picture that no search sees: by them ``--length auto`` judges prompts of models that
a search overfits.

A search makes up for what a model misreads in one view of a picture: on photographs the score of a
longer prompt rises whether its new words are right or wrong. Another view is misread otherwise.
The view was chosen on photographs with human captions: for the centre and its mirror image, four
words of a prompt hold more right ones than four by the score or four for every picture. On drawn
scenes, whose models read them well, the score itself is as good.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageOps

from pez.models import Reader
from pez.models.families import companions
from pez.options import SearchOptions
from pez.result import Result
from pez.session.items import Item

SIDE = 0.75  # of a view, as a share of the picture's shorter side


def held_out_views(image: Image.Image) -> list[Image.Image]:
    """The centre of a picture, a square, and its mirror image."""
    width, height = image.size
    side = max(1, round(SIDE * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    centre = image.crop((left, top, left + side, top + side))
    return [centre, ImageOps.mirror(centre)]


def needs_views(reader: Reader, options: SearchOptions) -> bool:
    """Whether lengths are found by views: for ``--length auto`` where every searched model asks for
    them (``views`` of its :class:`pez.models.family.Companions`).
    """
    return not options.length and all(companions(n).views for n in reader.name.split(" + "))


def judged(reader: Reader, items: Sequence[Item], results: Sequence[Result | None]) -> list[float]:
    """By what lengths are compared, for each item: the mean cosine of its prompt with its views,
    its score if it has none, minus infinity without a result.
    """
    out = [result.score if result else float("-inf") for result in results]
    places = [n for n, item in enumerate(items) if results[n] and item.views is not None]
    if not places:
        return out
    prompts = reader.encode_text([results[n].prompt for n in places])  # type: ignore[union-attr]
    for n, prompt in zip(places, prompts, strict=True):
        views = items[n].views
        assert isinstance(views, torch.Tensor)
        out[n] = float((views @ prompt).mean())
    return out
