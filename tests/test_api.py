"""The verbs as Python functions: what they take, what they give, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pez
from pez.models import Reader
from pez.options import DistillOptions, InvertOptions, SearchOptions
from pez.result import Result

FAST: dict[str, Any] = {"model": "mini", "device": "cpu", "steps": 10, "length": 4}


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Image.Image]) -> list[Path]:
    """Three pictures in a folder."""
    paths = [tmp_path / "photos" / f"p{n}.png" for n in range(3)]
    paths[0].parent.mkdir()
    for path, picture in zip(paths, pictures, strict=False):
        picture.save(path)
    return paths


def one(result: Result | list[Result | pez.PezError]) -> Result:
    assert isinstance(result, Result)
    return result


def many(results: Result | list[Result | pez.PezError]) -> list[Result]:
    assert isinstance(results, list)
    return [one(result) for result in results if not isinstance(result, pez.PezError)]


def test_paths_texts_and_pictures_are_the_same_input(photos: list[Path], mini: Reader) -> None:
    path = photos[0]
    given = [path, str(path), Image.open(path)]
    found = [one(pez.invert(source, reader=mini, **FAST)) for source in given]
    assert len({(r.prompt, r.key, r.score) for r in found}) == 1


def test_one_gives_a_result_and_several_a_list(photos: list[Path], mini: Reader) -> None:
    single = one(pez.invert(photos[1], reader=mini, **FAST))
    (listed,) = many(pez.invert([photos[1]], reader=mini, **FAST))
    folder = many(pez.invert(photos[0].parent, reader=mini, **FAST))
    mixed = many(pez.invert([Image.open(photos[1]), str(photos[0].parent)], reader=mini, **FAST))
    assert single.prompt == listed.prompt == folder[1].prompt == mixed[0].prompt
    assert [r.targets for r in folder] == [[str(path)] for path in photos]
    assert len(mixed) == 4
    assert isinstance(pez.distill("a red cat", reader=mini, steps=2), Result)
    assert isinstance(pez.distill(["a red cat"], reader=mini, steps=2), list)


def test_a_model_that_is_named_is_loaded(photos: list[Path]) -> None:
    result = one(pez.invert(photos[0], **FAST))
    assert result.model == "mini"
    assert pez.score(photos[0], result.prompt, model="mini") == pytest.approx(result.score)


def test_a_given_reader_stays_whole(photos: list[Path], mini: Reader) -> None:
    pez.invert(photos[0], reader=mini, **FAST)
    pez.distill("a cat", reader=mini, steps=1)
    pez.mix(image=photos[0], reader=mini, **FAST)
    assert mini.encode_images([Image.open(photos[0]).convert("RGB")]).isfinite().all()


UNKNOWN: dict[str, Callable[[], Any]] = {
    "invert": lambda: pez.invert([], colour="red"),
    "distill": lambda: pez.distill("a cat", colour="red"),
    "mix": lambda: pez.mix(text="a cat", colour="red"),
    "score": lambda: pez.score(Image.new("RGB", (8, 8)), "a cat", colour="red"),  # type: ignore
    "neighbours": lambda: pez.neighbours("cat", colour="red"),
}


@pytest.mark.parametrize("call", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_option_is_told_with_those_there_are(call: Callable[[], Any]) -> None:
    with pytest.raises(pez.PezError, match=r"unknown option 'colour'; there are .*steps"):
        call()


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": "20"},
        {"length": 2.5},
        {"length": True},
        {"lr": "fast"},
        {"history": 1},
        {"model": 3},
        {"seconds": float("nan")},
        {"restarts": 0},
        {"seed": -1},
        {"rows": 10**12},
    ],
    ids=lambda s: "-".join(map(str, *s.items())),
)
def test_options_of_a_wrong_kind_or_size_are_refused(settings: dict[str, Any]) -> None:
    for call in (pez.invert, pez.distill):
        with pytest.raises(pez.PezError, match=f"--{next(iter(settings))}"):
            call("a cat", **settings)


def test_options_of_another_kind_that_mean_the_same_are_taken(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cat dog")
    near = pez.neighbours("cat", 5, model="mini", vocabulary=words, ban=["dog"])
    assert [word for _, word, _ in near] == ["cat"]


def test_a_run_is_recognised_by_what_decides_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mark(**settings: Any) -> str:
        return InvertOptions(**settings).fingerprint()

    monkeypatch.chdir(tmp_path)
    assert mark() == mark(rows=3) == mark(device="cpu") == mark(history=True)
    marks = {
        mark(),
        mark(seed=1),
        mark(length=3),
        mark(ban=("cat",)),
        SearchOptions().fingerprint(),
    }
    assert len(marks) == 5
    Path("ban.txt").write_text("cat")
    before = mark(ban=("ban.txt",))
    Path("ban.txt").write_text("dog")
    assert mark(ban=("ban.txt",)) != before
    with pytest.raises(pez.PezError, match="--restarts"):
        DistillOptions(restarts=0)


def test_together_is_scored_by_the_mean_cosine(photos: list[Path], mini: Reader) -> None:
    result = one(pez.invert(photos, together=True, reader=mini, **FAST))
    cosines = [pez.score(path, result.prompt, reader=mini) for path in photos]
    assert result.score == pytest.approx(sum(cosines) / 3, abs=1e-5)
    with pytest.raises(pez.PezError, match="no picture"):
        pez.invert([], together=True, reader=mini, **FAST)


def test_mix_is_scored_by_its_weights(photos: list[Path], mini: Reader) -> None:
    result = pez.mix(
        image=[(Image.open(photos[0]), 0.9), str(photos[1])],
        text="a dog=0.1",
        negative=["a cat=0.5", (photos[2], 0.25)],
        reader=mini,
        **FAST,
    )
    cosines = [pez.score(path, result.prompt, reader=mini) for path in photos]
    prompt, dog, cat = mini.encode_text([result.prompt, "a dog", "a cat"])
    pull = 0.9 * cosines[0] + cosines[1] + 0.1 * float(prompt @ dog)
    push = 0.5 * float(prompt @ cat) + 0.25 * cosines[2]
    assert result.score == pytest.approx((pull - push) / 2, abs=1e-5)
    names = [f"{photos[0]}=0.9", f"{photos[1]}=1", "a dog=0.1", "a cat=-0.5", f"{photos[2]}=-0.25"]
    assert result.targets == names


def test_a_name_with_an_equals_sign_is_a_name(photos: list[Path], mini: Reader) -> None:
    odd = photos[0].with_name("a=b.png")
    photos[0].rename(odd)
    for entry, weight in ((str(odd), "1"), (f"{odd}=0.5", "0.5")):
        assert pez.mix(image=entry, reader=mini, **FAST).targets == [f"{odd}={weight}"]


@pytest.mark.parametrize("weight", ["much", -1, 0, float("nan"), float("inf"), None])
def test_a_weight_is_a_number_above_0(weight: Any) -> None:
    with pytest.raises(pez.PezError, match="weight"):
        pez.mix(text=[("a cat", weight)])


def test_distill_keeps_the_order_and_takes_its_length_from_each_text(mini: Reader) -> None:
    texts = ["a red cat on a blue car in snow", "a dog", "a cat and a dog"]
    results = many(pez.distill(texts, ratio=0.4, reader=mini, steps=5))
    assert [r.targets for r in results] == [[text] for text in texts]
    assert [len(r.ids) for r in results] == [4, 1, 2]
    alone = one(pez.distill(texts[2], ratio=0.4, reader=mini, steps=5))
    assert alone.prompt == results[2].prompt
    own, text = mini.encode_text([alone.prompt, texts[2]])
    assert alone.score == pytest.approx(float(own @ text), abs=1e-5)


def test_score_of_one_prompt_is_a_number_and_of_several_a_list(
    photos: list[Path], mini: Reader
) -> None:
    single = pez.score(photos[0], "a cat", reader=mini)
    several = pez.score(photos[0], ["a dog", "a cat"], reader=mini)
    assert isinstance(single, float)
    assert several[1] == pytest.approx(single, abs=1e-6)
    assert pez.score(photos[0], [], reader=mini) == []


def test_neighbours_are_sorted_and_begin_with_the_word(mini: Reader) -> None:
    near = pez.neighbours("cat", 6, reader=mini)
    cosines = [cosine for _, _, cosine in near]
    assert near[0][1] == "cat"
    assert cosines == sorted(cosines, reverse=True)
    assert len(near) == 6
    assert len(pez.neighbours("cat", 10**6, reader=mini)) == len(mini.own_words or [])
    for word, top in (("cat dog", 5), ("", 5), ("cat", 0), ("cat", -3)):
        with pytest.raises(pez.PezError):
            pez.neighbours(word, top, reader=mini)


def test_what_must_stay_stays_and_what_is_banned_is_absent(
    photos: list[Path], mini: Reader
) -> None:
    free = one(pez.invert(photos[0], reader=mini, **FAST)).prompt.split()
    bound = one(
        pez.invert(photos[0], reader=mini, ban=free, keep="tiger", template="a photo of {}", **FAST)
    )
    words = bound.prompt.split()
    assert words[:4] == ["tiger", "a", "photo", "of"]
    assert not set(free) & set(words[4:])


def test_a_result_survives_json(photos: list[Path], mini: Reader) -> None:
    result = one(pez.invert(photos[0], reader=mini, history=True, **FAST))
    assert Result.from_json(result.to_json()) == result
