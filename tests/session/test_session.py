"""What does not depend on the targets is computed once, however many searches there are."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

import pez
import pez.images
import pez.methods
import pez.models.prior
import pez.session.items
import pez.session.session
import pez.session.word_cache
from pez.api import search_pictures
from pez.cli import main
from pez.cli.pictures import Pictures
from pez.evaluation.searches import Searched
from pez.images import pixels_key
from pez.models import Reader
from pez.models.openclip import OpenClip
from pez.options import InvertOptions
from pez.session.session import Session, Watch

QUICK = ["--model", "mini", "--device", "cpu", "--steps", "2"]
Spy = Callable[[str, Any, str], None]


@pytest.fixture
def counts() -> Counter[str]:
    """How often each thing was done."""
    return Counter()


@pytest.fixture
def spy(counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> Spy:
    """``spy(name, module, symbol)`` counts calls and passes them on."""

    def watch(name: str, where: Any, symbol: str) -> None:
        real = getattr(where, symbol)

        def counted(*args: Any, **more: Any) -> Any:
            counts[name] += 1
            return real(*args, **more)

        monkeypatch.setattr(where, symbol, counted)

    return watch


@pytest.fixture
def rated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of single words that are read together."""
    seen: list[int] = []
    real = OpenClip.features

    def features(self: OpenClip, embeddings: Tensor) -> Tensor:
        if embeddings.shape[1] == 1:
            seen.append(len(embeddings))
        return real(self, embeddings)

    monkeypatch.setattr(OpenClip, "features", features)
    return seen


@pytest.mark.usefixtures("mini_at_hand")
def test_a_run_of_many_searches_computes_each_thing_once(
    folder: Path,
    mini: Reader,
    counts: Counter[str],
    spy: Spy,
    rated: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    spy("searches", pez.session.session, "search")
    spy("vocabulary", pez.session.session, "make_vocabulary")
    spy("methods", pez.methods, "make_method")
    spy("decoded", pez.images, "_decode")
    command = ["invert", str(folder / "photos" / "p0.png"), *QUICK]
    assert main([*command, "--length", "auto", "--also-negative", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["negative"]
    assert counts.pop("searches") > 4
    assert counts == {"vocabulary": 1, "methods": 1, "decoded": 1}
    session = Session.of(mini, InvertOptions())
    assert sum(rated) == len(session.words(session.form(9)).ids)


def test_what_a_language_model_and_a_draft_make_of_the_words_is_made_once(
    mini: Reader, pictures: list[Image.Image], counts: Counter[str], spy: Spy
) -> None:
    spy("split", pez.models.prior, "split_words")
    spy("draft", pez.session.session, "draft_words")
    spy("opened", pez.session.session, "open_language")
    settings: dict[str, Any] = {"method": "gcg", "set": ("candidates=4", "draft=mini-b")}
    options = InvertOptions(
        length=0, also_negative=True, fluency=0.1, steps=1, init="random", **settings
    )
    (result,) = search_pictures(Session.of(mini, options), [pictures[:1]])
    assert result and result.perplexity and result.passes["draft"] > 4 * 4
    assert counts == {"split": 1, "draft": 1, "opened": 1}


def test_a_session_serves_searches_as_one_of_their_own_does(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    options = InvertOptions(length=5, steps=4, restarts=2)
    session = Session.of(mini, options)
    for picture in pictures[:2]:
        (held,) = search_pictures(session, [[picture]])
        alone: Any = pez.invert(picture, reader=mini, options=options)
        assert held and held.prompt == alone.prompt
        assert held.passes["forward"] + held.passes.get("cached", 0) == alone.passes["forward"]
        assert held.score == pytest.approx(alone.score, abs=1e-6)


def test_a_remark_is_made_once_a_session(
    mini: Reader, pictures: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the file of rated words is gone when the second search begins."""
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pez.session.word_cache, "WORTH", 10)
    said: list[str] = []
    session = Session.of(mini, InvertOptions(length=3, steps=1, init="words"))
    for picture in pictures[:2]:
        search_pictures(session, [[picture]], Watch(note=said.append))
        for file in (tmp_path / "cache").glob("features-*"):
            file.unlink()
    assert len(said) == 1 and said[0].startswith("rating ")


def test_models_are_held_with_the_session_of_the_options_asked_for(mini: Reader) -> None:
    held = Searched(mini)
    one, other = InvertOptions(length=4), InvertOptions(length=5)
    assert held.session(one) is held.session(InvertOptions(length=4))
    assert held.session(other).options == other and held.session(one).options == one


# ---- items


def test_an_input_that_fails_leaves_the_others_their_places(
    folder: Path, mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "photos" / "p1.png").write_bytes(b"no picture")
    names = [[str(folder / "photos" / f"p{n}.png")] for n in range(3)]
    told: dict[int, str] = {}
    failed: dict[int, str] = {}
    watch = Watch(
        result=lambda n, result: told.update({n: result.targets[0]}),
        failed=lambda n, error: failed.update({n: str(error)}),
    )
    monkeypatch.setattr(pez.session.items, "CHUNK", 2)
    session = Session.of(mini, InvertOptions(length=3, steps=1))
    results = search_pictures(session, names, watch)
    assert [result and result.targets for result in results] == [names[0], None, names[2]]
    assert told == {0: names[0][0], 2: names[2][0]} and list(failed) == [1]
    with pytest.raises(pez.PezError, match=r"p1\.png"):
        search_pictures(session, names)


# ---- scores


def test_prompts_that_end_together_are_scored_together(
    mini: Reader, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scores that each text has alone."""
    read: list[int] = []
    real = OpenClip.encode_text

    def encode_text(self: OpenClip, texts: Any) -> Tensor:
        read.append(len(texts))
        return real(self, texts)

    monkeypatch.setattr(OpenClip, "encode_text", encode_text)
    options: dict[str, Any] = {"length": 4, "steps": 3, "restarts": 3, "init": "random"}
    results: Any = pez.invert(pictures, reader=mini, method="pez", **options)
    assert len(read) == 1 and read[0] > len(pictures)
    monkeypatch.undo()
    for picture, result in zip(pictures, results, strict=True):
        alone = pez.score(picture, result.prompt, reader=mini)
        assert result.score == pytest.approx(alone, abs=1e-6)


# ---- pictures that have changed since an earlier run


@pytest.mark.usefixtures("mini_at_hand")
def test_a_changed_picture_is_decoded_once(
    folder: Path, pictures: list[Image.Image], counts: Counter[str], spy: Spy
) -> None:
    command = ["invert", str(folder / "photos"), *QUICK, "--length", "3", "--output", "out.jsonl"]
    assert main(command) == 0
    pictures[4].save(folder / "photos" / "p1.png")
    spy("decoded", pez.images, "_decode")
    assert main(command) == 0
    assert counts["decoded"] == 3  # to see which has changed, and for its search no more
    keys = [json.loads(line)["key"] for line in Path("out.jsonl").read_text().splitlines()]
    assert keys[-1] == pixels_key(pictures[4])


def test_few_pixels_wait_decoded(folder: Path) -> None:
    paths = sorted(str(path) for path in (folder / "photos").iterdir())
    size = Image.open(paths[0]).size
    pictures = Pictures(most=size[0] * size[1] + 1)
    assert not any(pictures.same([path], "another") for path in paths)
    assert list(pictures._held) == paths[:1]
    assert pixels_key(pictures.read(paths[0])) == pixels_key(pez.images.read_image(paths[0]))
    assert pictures._held == {} and not pictures.same([paths[1]], "another")
    assert list(pictures._held) == paths[1:2]
    key = pixels_key(pictures.read(paths[1]))
    assert pictures.same([paths[1]], key) and pictures._held == {}
