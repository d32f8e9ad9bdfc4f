"""From Python: what surrounds a call, what is taken, what one bad input and Ctrl-C leave."""

from __future__ import annotations

import io
import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pez
from pez.cli import main
from pez.models import Reader
from pez.options import InvertOptions
from pez.result import Result
from pez.search.engine import Progress
from pez.session.session import Watch
from pez.sources import read_source

FAST: dict[str, Any] = {"steps": 2, "length": 3}
LONG = "a large red castle on green " * 20


@pytest.fixture
def picture(pictures: list[Image.Image]) -> Image.Image:
    return pictures[0]


# ---- what surrounds a call


@contextmanager
def a_default(set_it: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    set_it(value)
    try:
        yield
    finally:
        set_it(before)


AROUND: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "float64": lambda: a_default(torch.set_default_dtype, torch.float64, torch.float32),
    "device": lambda: a_default(torch.set_default_device, "meta", None),
}


def every_verb(picture: Image.Image, reader: Reader) -> list[Any]:
    """What each verb returns, without times."""
    found: list[Any] = [
        pez.invert(picture, reader=reader, method="pez", **FAST),
        pez.invert(picture, reader=reader, **FAST),
        pez.distill("a red cat in the snow", reader=reader, **FAST),
        pez.mix(image=picture, negative="a dog", reader=reader, **FAST),
    ]
    shown = [(one.prompt, one.score, one.passes["backward"]) for one in found]
    scores = pez.score(picture, ["a cat", "a dog"], reader=reader)
    looks = [pez.neighbours("cat", 3, reader=reader), pez.explain(picture, "a cat", reader=reader)]
    return [*shown, scores, *looks]


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
def test_verbs_give_the_same_whatever_surrounds_them(
    around: Callable[[], Any], picture: Image.Image, mini: Reader
) -> None:
    plain = every_verb(picture, mini)
    with around():
        assert every_verb(picture, mini) == plain
        loaded = pez.load_model("mini", "cpu")
        assert every_verb(picture, loaded) == plain
    assert every_verb(picture, loaded) == plain
    given = loaded.table[None, :3].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loaded.features(given).sum(), given)
    assert slope.abs().sum() > 0 and slope.dtype == torch.float32


def test_no_verb_moves_a_global_random_state(picture: Image.Image, mini: Reader) -> None:
    def states() -> list[Any]:
        name, keys, *rest = np.random.get_state()
        return [random.getstate(), (name, list(keys), *rest), torch.get_rng_state().tolist()]

    before = states()
    pez.load_model(["mini", "mini-b"], "cpu")
    assert states() == before
    every_verb(picture, mini)
    pez.invert(picture, reader=mini, fluency=0.1, restarts=2, **FAST)
    pez.invert(picture, reader=mini, method="gbda", **FAST)
    assert states() == before


# ---- what is taken and what is refused


def test_a_picture_has_many_forms(picture: Image.Image, tmp_path: Path) -> None:
    path, kept = tmp_path / "p.png", io.BytesIO()
    picture.save(path)
    picture.save(kept, "PNG")  # leaves the position at the end
    values = np.array(picture)
    tensor = torch.from_numpy(values.copy())
    forms: list[Any] = [path, str(path), picture, kept, kept, path.read_bytes(), values]
    forms += [values / np.float32(255), tensor, tensor.permute(2, 0, 1) / 255]
    forms += [np.dstack([values, np.full(values.shape[:2], 255, np.uint8)])]
    with open(path, "rb") as file:
        assert all(read_source(form).tobytes() == picture.tobytes() for form in [*forms, file])
    grey = read_source(values[..., 0])
    assert read_source(values[..., :1]).tobytes() == grey.tobytes()


BAD: dict[str, Any] = {
    "none": None,
    "a number": 3,
    "nothing": [],
    "a dict": {},
    "none in a list": ["a.png", None],
    "bytes of no picture": b"abc",
    "two channels": np.zeros((4, 4, 2)),
    "a batch": np.zeros((2, 8, 8, 3)),
    "a batch of tensors": torch.zeros(1, 3, 8, 8),
    "either end": torch.zeros(3, 5, 3),
    "floats to 255": np.full((4, 4), 255.0),
    "not a number": np.full((4, 4), np.nan),
    "wide integers": np.zeros((4, 4), int),
    "no rows": np.zeros((0, 4, 3)),
    "a file of text": io.StringIO("abc"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_no_picture_is_refused_in_a_sentence(bad: Any, mini: Reader) -> None:
    with pytest.raises(pez.PezError):
        pez.invert(bad, reader=mini, **FAST)
    if not isinstance(bad, list | dict):
        with pytest.raises(pez.PezError):
            pez.score(bad, "a cat", reader=mini)
        with pytest.raises(pez.PezError):
            pez.mix(image=bad, reader=mini, **FAST)


WRONG: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "texts": ("texts", lambda _: pez.distill(None)),  # type: ignore[arg-type]
    "no text": ("texts", lambda _: pez.distill([])),
    "one text": ("texts", lambda _: pez.distill(["a", 3])),  # type: ignore[list-item]
    "prompts": ("prompts", lambda p: pez.score(p, None)),  # type: ignore[arg-type]
    "word": ("word", lambda _: pez.neighbours(None)),  # type: ignore[arg-type]
    "top": ("top", lambda _: pez.neighbours("cat", None)),  # type: ignore[arg-type]
    "reader": ("reader", lambda p: pez.invert(p, reader=3)),  # type: ignore[arg-type]
    "watch": ("watch", lambda p: pez.invert(p, watch=3)),  # type: ignore[arg-type]
    "options": ("options", lambda p: pez.invert(p, options=3)),  # type: ignore[arg-type]
    "both": ("steps", lambda p: pez.invert(p, options=InvertOptions(), steps=3)),
    "two models": ("reader", lambda p: pez.invert(p, reader=pez.load_model("mini"), model="x")),
    "a model": ("model", lambda _: pez.load_model(None)),  # type: ignore[arg-type]
    "no model": ("model", lambda _: pez.load_model([])),
    "a device": ("device", lambda _: pez.load_model("mini", 3)),  # type: ignore[arg-type]
    "a mix": ("image", lambda _: pez.mix(image=3)),
    "a mixed text": ("text", lambda _: pez.mix(text=[3])),
    "half a pair": ("texts", lambda _: pez.distill("a \ud800 cat")),
    "half a pair in a list": ("texts", lambda _: pez.distill(["a cat", "\udcff"])),
    "half a pair of a mix": ("--text", lambda _: pez.mix(text=("\ud800", 1))),
    "half a pair to avoid": ("--negative", lambda _: pez.mix(text="a", negative="\ud800")),
    "half a pair to score": ("prompts", lambda p: pez.score(p, "\ud800")),
    "length and ratio": ("--ratio", lambda _: pez.distill("a cat", length=2, ratio=0.5)),
}


@pytest.mark.parametrize(("named", "call"), WRONG.values(), ids=WRONG.keys())
def test_an_argument_of_a_wrong_type_is_named(
    named: str, call: Callable[[Any], Any], picture: Image.Image
) -> None:
    with pytest.raises(pez.PezError, match=named):
        call(picture)


def test_numbers_of_numpy_and_a_device_of_torch_are_options() -> None:
    given = {"seed": np.int64(3), "steps": torch.tensor(4), "lr": np.float32(0.5)}
    more = {"device": torch.device("cpu"), "dtype": torch.float32, "length": "auto"}
    plain = InvertOptions(seed=3, steps=4, lr=0.5, device="cpu", dtype="float32", length=0)
    assert InvertOptions(**given, **more) == plain  # type: ignore[arg-type]


def test_weights_of_a_dict_count(pictures: list[Image.Image], tmp_path: Path, mini: Reader) -> None:
    path = tmp_path / "p.png"
    pictures[0].save(path)
    mixed = {"image": {path: 0.1}, "text": {"a dog": 0.9}, "negative": {"a cat": 0.5}}
    found = pez.mix(**mixed, reader=mini, **FAST)
    assert found.targets == [f"{path}=0.1", "a dog=0.9", "a cat=-0.5"]


def test_pictures_without_a_name_are_numbered(pictures: list[Image.Image], mini: Reader) -> None:
    found: Any = pez.invert(pictures[:3], reader=mini, **FAST)
    assert [one.targets for one in found] == [["image 1"], ["image 2"], ["image 3"]]
    both: Any = pez.invert(pictures[:2], together=True, reader=mini, **FAST)
    assert both.targets == ["image 1", "image 2"]


# ---- one bad input, Ctrl-C, long texts


def test_a_bad_input_has_its_error_in_its_place(
    pictures: list[Image.Image], tmp_path: Path, mini: Reader
) -> None:
    (tmp_path / "cut.png").write_bytes(b"no picture")
    given = [pictures[0], tmp_path / "cut.png", tmp_path / "missing.png", pictures[1]]
    with pytest.warns(pez.PezWarning):
        found: Any = pez.invert(given, reader=mini, **FAST)
        texts: Any = pez.distill(["a red cat", " ", "a dog"], reader=mini, steps=1)
    alone: Any = pez.invert(pictures[1], reader=mini, **FAST)
    assert "cut.png" in str(found[1]) and "missing.png" in str(found[2])
    assert [isinstance(one, pez.PezError) for one in found] == [False, True, True, False]
    assert found[3].prompt == alone.prompt and found[3].targets == ["image 4"]
    assert [isinstance(one, Result) for one in texts] == [True, False, True]
    with pytest.raises(pez.PezError, match="missing"):
        pez.invert([tmp_path / "missing.png"], reader=mini, **FAST)


@pytest.mark.parametrize("settings", [{"length": 4}, {"length": "auto"}])
def test_ctrl_c_keeps_the_best_so_far(
    settings: dict[str, Any], pictures: list[Image.Image], mini: Reader
) -> None:
    count = iter(range(100))

    def strike(_progress: Progress, _prompt: str) -> None:
        if next(count) == 5:
            raise KeyboardInterrupt

    watch = Watch(progress=strike)
    with pytest.raises(KeyboardInterrupt) as stopped:
        pez.invert(pictures[:2], reader=mini, watch=watch, rows=1, steps=4, **settings)
    assert isinstance(stopped.value, pez.Interrupted)
    results = stopped.value.results
    assert len(results) == 2
    first = next(one for one in results if isinstance(one, Result))
    score = pez.score(pictures[results.index(first)], first.prompt, reader=mini)
    assert first.score == pytest.approx(score, abs=1e-5)
    assert any(one.interrupted for one in results if isinstance(one, Result))


def test_a_text_that_is_cut_is_told(
    picture: Image.Image, mini: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"reads only the first {mini.limit} of 120"
    with pytest.warns(pez.PezWarning, match=said):
        mixed = pez.mix(text=LONG, reader=mini, **FAST)
    with pytest.warns(pez.PezWarning, match=said):
        short: Any = pez.distill(LONG, reader=mini, **FAST)
    with pytest.warns(pez.PezWarning, match=said):
        pez.score(picture, LONG, reader=mini)
    for result in (mixed, short):
        assert said in result.notes[0]
        assert Result.from_json(result.to_json()).notes == result.notes
    with warnings.catch_warnings():
        warnings.simplefilter("error", pez.PezWarning)
        assert not pez.mix(text="a red cat", reader=mini, **FAST).notes
    assert main(["mix", "--text", LONG, "--model", "mini", "--steps", "1", "--length", "3"]) == 0
    assert said in capsys.readouterr().err


# ---- numbers


def test_seconds_add_up_to_the_time_it_took(pictures: list[Image.Image], mini: Reader) -> None:
    each: list[dict[str, Any]] = [{"length": 4, "restarts": 2}, {"length": "auto"}]
    for settings in each:
        begin = time.monotonic()
        found: Any = pez.invert(pictures, reader=mini, rows=4, steps=10, **settings)
        whole = time.monotonic() - begin
        assert 0.7 * whole < sum(one.seconds for one in found) <= 1.01 * whole


def test_what_comes_from_the_cache_is_no_pass(
    picture: Image.Image, mini: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    monkeypatch.setattr("pez.session.word_cache.WORTH", 10)
    one, two = (pez.invert(picture, reader=mini, **FAST) for _ in range(2))
    assert isinstance(one, Result) and isinstance(two, Result)
    assert "cached" not in one.passes and one.prompt == two.prompt
    assert two.passes["cached"] > 200  # all but a few that are checked
    assert two.passes["forward"] + two.passes["cached"] == one.passes["forward"]


@pytest.mark.parametrize("seconds", [0.01, 0.0])
def test_rating_words_counts_as_waiting_and_ends(
    seconds: float, picture: Image.Image, mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time, or a stop, ends the rating; the search goes on with the words it has."""
    watch = Watch()
    real = type(mini).features
    seen: list[int] = []

    def slow(self: Any, embeddings: torch.Tensor) -> torch.Tensor:
        if embeddings.shape[1] == 1 and not embeddings.requires_grad:
            seen.append(len(embeddings))
            time.sleep(0.02)
            watch.stop.asked = not seconds
        return real(self, embeddings)

    monkeypatch.setattr(type(mini), "features", slow)
    monkeypatch.setattr("pez.objectives.match.Match.batch", 8)
    settings: dict[str, Any] = {"steps": 10**6, "length": 3, "seconds": seconds, "init": "words"}
    found: Any = pez.invert(picture, reader=mini, watch=watch, method="pez", **settings)
    assert seen[:1] == [8] and sum(seen) < 100 < len(mini.own_words or ())
    assert found.prompt and found.steps >= 1
    assert found.passes["forward"] == sum(seen) + found.steps


def test_time_that_ends_before_a_bank_is_rated_is_told(picture: Image.Image, mini: Reader) -> None:
    with pytest.raises(pez.PezError, match=r"raise --seconds"):
        pez.invert(picture, reader=mini, method="pez-bank", seconds=1e-6, length=4, steps=3)


def test_the_length_includes_words_to_keep(picture: Image.Image, mini: Reader) -> None:
    for method in ("pez", "pursuit"):
        for length in (3, 6, 8):
            found: Any = pez.invert(
                picture, reader=mini, length=length, keep="tiger", steps=1, method=method
            )
            assert len(found.ids) <= length and found.prompt.startswith("tiger")
        assert method != "pez" or len(found.ids) == length
    with pytest.raises(pez.PezError, match="--keep takes 2 tokens"):
        pez.invert(picture, reader=mini, length=2, keep=["tiger", "boat"])


def test_a_score_with_something_to_avoid_is_not_called_a_cosine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["mix", "--text", "a cat", "--model", "mini", "--steps", "1", "--length", "3"]
    assert main(words) == 0
    assert "pez: score " in capsys.readouterr().err
    assert main([*words, "--negative", "a dog"]) == 0
    assert ", less what is to be avoided)" in capsys.readouterr().err
