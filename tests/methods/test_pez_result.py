"""The returned score is of the returned text, and the caller's model is left as it was."""

from typing import Any

import pytest
from PIL import Image

import pez
from pez.models import Reader


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"vocabulary": "words"},
        {"vocabulary": "words", "template": "a photo of {} , {2}"},
        {"vocabulary": "ascii"},
        {"vocabulary": "all"},
        {"vocabulary": "all", "length": 0},  # as long as the model reads
    ],
    ids=str,
)
def test_the_returned_score_is_of_the_returned_text(
    settings: dict[str, Any], mini: Reader, other: Reader, pictures: list[Image.Image]
) -> None:
    reader = other if settings else mini  # ``other`` may use every id, broken words too
    options = {"length": 7, "steps": 12, "history": True, **settings}
    options["length"] = options["length"] or reader.limit
    results: Any = pez.invert(pictures[:3], reader=reader, **options)
    assert isinstance(results, list)
    survived = []
    for result, look in zip(results, reader.encode_images(pictures[:3]), strict=True):
        whole = reader.tokens.full([result.prompt])[0].tolist()  # as open_clip reads the text
        assert result.ids == whole[1 : whole.index(49407)]
        cosine = float(reader.encode_text([result.prompt])[0] @ look)
        assert result.score == pytest.approx(cosine, abs=1e-6)
        assert result.history is not None
        searched = max(result.history, key=lambda step: step["score"])
        survived.append(result.ids == searched["ids"])
        if survived[-1]:
            assert result.score == pytest.approx(searched["score"], abs=1e-4)
    if settings.get("vocabulary") in ("ascii", "all"):
        assert not all(survived)  # or this test would not test much
    else:
        assert all(survived)


def test_a_callers_model_stays_whole(mini: Reader, pictures: list[Image.Image]) -> None:
    quick = {"reader": mini, "steps": 1, "length": 2}
    first = pez.invert(pictures[0], **quick)
    pez.distill("a cat and a dog", **quick)
    long = "a " + "very " * 100 + "long text"
    with pytest.warns(pez.PezWarning, match="only the first 30 of 103 tokens"):
        pez.mix(image=[pictures[0]], text=["a cat"], negative=[long], **quick)
    again = pez.invert(pictures[0], **quick)
    assert isinstance(first, pez.Result) and isinstance(again, pez.Result)
    assert first.prompt == again.prompt
