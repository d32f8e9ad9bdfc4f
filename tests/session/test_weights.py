"""Prompts found with other weights are never reported as those of the current weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_clips import small_folder, trained_further
from tiny_tokenizers import SPOKEN

import pez
import pez.session.word_cache
from pez.cli import main
from pez.cli.journal import Journal
from pez.files import data_folder
from pez.methods import record_of
from pez.options import DistillOptions, InvertOptions, SearchOptions
from pez.result import Result
from pez.session.session import weights_now

CAPTURE = pytest.CaptureFixture[str]
QUICK = ["--length", "3", "--steps", "2", "--init", "random", "--vocabulary", "few.txt"]


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures and a model in ``m``."""
    monkeypatch.setenv("PEZ_CACHE", str(folder / "cache"))
    small_folder(Path("m"))
    Path("few.txt").write_text(SPOKEN)
    return folder


def lines(file: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


@pytest.mark.parametrize(
    ("verb", "count"),
    [(["invert", "photos/p0.png", "photos/p1.png"], 2), (["distill", "red cat on a boat"], 1),
     (["mix", "--image", "photos/p0.png", "--text", "oil"], 1)],
)  # fmt: skip
def test_other_weights_are_searched_again_and_the_old_results_stay(
    verb: list[str], count: int, place: Path, capsys: CAPTURE
) -> None:
    command = [*verb, "--model", "local-dir:m", *QUICK, "--output", "out.jsonl"]
    assert main(command) == 0
    old = lines()
    assert len(old) == count and set(old[0]["weights"]) == {"local-dir:m"}
    shutil.copytree("m", "before")
    trained_further(Path("m"), 1.0)
    capsys.readouterr()
    assert main(command) == 0
    new, err = capsys.readouterr()
    assert err.count("found with other weights; they are searched again") == 1
    assert "done before" not in err
    assert main([*command[:-1], "fresh.jsonl"]) == 0
    assert capsys.readouterr().out == new, "as if there had been no old results"
    assert lines()[:count] == old and len(lines()) == 2 * count
    for _ in range(2):
        assert main(command) == 0
        out, err = capsys.readouterr()
        assert out == new and f"{count} of {count} were done before" in err
        assert "other weights" not in err
    shutil.rmtree("m")
    shutil.move("before", "m")
    assert main(command) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == [line["prompt"] for line in old]
    assert len(lines()) == 2 * count


def test_results_of_before_weights_were_told_are_searched_again(
    place: Path, capsys: CAPTURE
) -> None:
    command = ["invert", "photos", "--model", "local-dir:m", *QUICK, "--output", "out.jsonl"]
    assert main(command) == 0
    old = [{k: v for k, v in line.items() if k != "weights"} for line in lines()]
    Path("out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    capsys.readouterr()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert err.count("3 of 3 were found by an earlier version of pez") == 1
    assert out.split("\n")[:-1] == [line["prompt"] for line in old]
    assert lines()[:3] == old and all(line["weights"] for line in lines()[3:])
    assert main(command) == 0
    assert "3 of 3 were done before" in capsys.readouterr().err


def test_every_model_of_a_search_counts(place: Path, pictures: list[Image.Image]) -> None:
    small_folder(Path("draft"))
    shutil.copytree(data_folder() / "language" / "mini-lm", "lm")
    shutil.copytree(data_folder() / "generators" / "mini-sd", "sd")
    small: dict[str, Any] = {"length": 2, "steps": 1, "device": "cpu", "vocabulary": "few.txt"}
    models, probe = ("local-dir:m", "mini"), ("draft=local-dir:draft", "candidates=8", "topk=8")
    text = DistillOptions(
        model=models, method="gcg", set=probe, language_model="lm", init="random", **small
    )
    denoise = InvertOptions(generator="sd", objective="denoise", method="ph2p", **small)
    one, two = pez.distill("a cat", options=text), pez.invert(pictures[0], options=denoise)
    for options, result in ((text, one), (denoise, two)):
        assert isinstance(result, Result) and result.weights == weights_now(options)
        assert Result.from_json(result.to_json()) == result
    names = {"local-dir:m", "mini", "local-dir:draft", "lm"}
    assert set(weights_now(text)) == names and set(weights_now(denoise)) == {"sd"}
    for options, name in [(text, n) for n in names - {"mini"}] + [(denoise, "sd")]:
        before = weights_now(options)
        trained_further(Path(name.removeprefix("local-dir:")))
        after = weights_now(options)
        assert {n for n in before if before[n] != after[n]} == {name}


def test_a_language_model_that_nobody_named_counts(place: Path) -> None:
    assert set(weights_now(SearchOptions(model=("mini",), fluency=0.1))) == {"mini", "mini-lm"}
    assert set(weights_now(SearchOptions(model=("mini",), method="vgd"))) == {"mini", "mini-lm"}
    assert set(weights_now(SearchOptions(model=("mini",)))) == {"mini"}


def test_weights_that_cannot_be_known_are_taken_for_the_same(tmp_path: Path) -> None:
    options = SearchOptions(model=("a", "b"))
    told: dict[str, Any] = {"prompt": "cat", "ids": [1], "score": 0.5, "model": "a + b"}
    told |= {"method": "pez", "targets": ["x"], "steps": 1, "seconds": 0.1, "seed": 0}
    result = Result(**told, options=record_of(options), weights={"a": "1", "b": "2"})
    path = tmp_path / "out.jsonl"
    path.write_text(result.to_json() + "\n")
    for now, same in (({"a": "1", "b": "2"}, True), ({}, True), ({"b": "2"}, True)):
        journal = Journal(path, options, lambda now=now: now)
        assert bool(journal.done()) is same
        journal.close(complete=False)
    for now in ({"a": "1", "b": "3"}, {"a": "1", "b": "2", "c": "3"}):
        journal = Journal(path, options, lambda now=now: now)
        assert not journal.done() and list(journal.older) == ["x"]
        journal.close(complete=False)


def test_kept_word_features_are_of_the_very_weights(
    place: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pez.session.word_cache, "WORTH", 5)
    settings: dict[str, Any] = {"model": "local-dir:m", "vocabulary": "few.txt"}
    settings |= {"length": 2, "steps": 2, "init": "words", "history": True, "device": "cpu"}

    def history() -> Any:
        result: Any = pez.invert(pictures[0], **settings)
        return result.history

    first = history()
    assert history() == first and len(list(Path("cache").glob("features-*"))) == 1
    trained_further(Path("m"), 1e-3)
    second = history()
    assert len(list(Path("cache").glob("features-*"))) == 2
    shutil.rmtree("cache")
    assert history() == second != first
