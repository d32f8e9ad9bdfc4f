"""Every method searches prompts for a language model; the best by validation is measured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_speakers import tiny_gpt2
from torch import Tensor

import pez
from pez.errors import PezError
from pez.models import Reader
from pez.models.answers import Answers
from pez.models.causal import Speaker
from pez.models.speakers import load_speaker
from pez.objectives.labels import Labels
from pez.options import InvertOptions
from pez.result import Result
from pez.session.classify_options import ClassifyOptions
from pez.session.classifying import classify_data
from pez.session.embeddings import save_embeddings
from pez.session.figures import Rate, figures
from pez.session.labelled import Data, fitted, labelled_item, read_data
from pez.session.session import Session, Watch, open_reader

WORDS = ["film", "story", "plot", "cast", "people", "time", "man", "acting"]
SMALL: dict[str, Any] = {
    "labels": "terrible,great",
    "shots": 4,
    "validation": 6,
    "test_size": 20,
    "length": 3,
    "steps": 2,
    "restarts": 2,
    "random": 2,
    "finalists": 2,
    "vocabulary": "whole",
    "dtype": "float32",
    "device": "cpu",
}
SERVING = ("pursuit", "pez", "gcg", "autoprompt", "arca", "gbda", "pgd", "evolve", "random", "soft")


def rows() -> list[tuple[str, str]]:
    """Texts whose label a word in them tells, each once."""
    out = []
    for n, (one, two) in enumerate(itertools.permutations(WORDS, 2)):
        label = n % 2
        out.append((f"the {one} is {('bad', 'good')[label]} and the {two}", str(label)))
    return out


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return load_speaker(str(tiny_gpt2(tmp_path_factory.mktemp("speaker"))), "cpu", "float32")


def found(speaker: Speaker, **more: Any) -> Result:
    return pez.classify(rows(), reader=speaker, warn=lambda _: None, **(SMALL | more))


def item_of(speaker: Speaker, **more: Any) -> tuple[Labels, Data]:
    options = ClassifyOptions(**(SMALL | more))
    data = fitted(speaker, read_data(rows(), options), options)
    return Labels(speaker, [labelled_item(speaker, data, options).goal]), data


@pytest.mark.parametrize("method", SERVING)
def test_each_method_serves(speaker: Speaker, method: str) -> None:
    result = found(speaker, method=method, restarts=1, random=0)
    labels, _ = item_of(speaker)
    assert len(result.prompt.split()) == 3
    assert speaker.tokens.encode(result.prompt) == result.ids
    (score,) = labels.text_scores([result.prompt], [0])
    assert result.score == pytest.approx(score, abs=1e-4)
    assert result.figures["test"]["prompt"]["raw"]["accuracy"] >= 0
    if method == "soft":
        assert result.embeddings is not None and result.embeddings[0].shape == (3, 32)
        assert result.soft_score is not None and "soft" in result.figures["test"]


@pytest.mark.parametrize("method", ["exchange", "vgd"])
def test_methods_that_cannot_serve_say_so(speaker: Speaker, method: str) -> None:
    with pytest.raises(PezError, match=r"does not apply|is for CLIPs"):
        found(speaker, method=method)


def test_a_search_finds_what_random_words_do_not(speaker: Speaker) -> None:
    best = found(speaker, method="pursuit", steps=12, restarts=1, random=0)
    luck = found(speaker, method="random", steps=12, restarts=1, random=0)
    assert best.score > luck.score + 0.02


def test_the_best_by_validation_is_taken(speaker: Speaker) -> None:
    result = found(speaker)
    listed = result.figures["validation"]["finalists"]
    assert 2 <= len(listed) <= 4 and len({one["prompt"] for one in listed}) == len(listed)
    assert {one["restart"] for one in listed} == {0, 1}
    best = min(listed, key=lambda one: one["loss"])
    assert result.prompt == best["prompt"]
    scores = [one["score"] for one in listed]
    assert scores == sorted(scores, reverse=True)


def test_the_same_seed_finds_the_same_and_another_another(speaker: Speaker) -> None:
    one, same, other = found(speaker), found(speaker), found(speaker, seed=1)
    assert (one.prompt, one.score, one.figures) == (same.prompt, same.score, same.figures)
    assert one.prompt != other.prompt
    assert Result.from_json(one.to_json()) == replace(one, embeddings=None)


def test_prompts_are_compared_with_none_manual_and_random_ones(speaker: Speaker) -> None:
    result = found(speaker, manual=("it was", "a good film"))
    for part in ("test", "validation"):
        told = result.figures[part]
        assert [one["prompt"] for one in told["manual"]] == ["it was", "a good film"]
        assert len(told["random"]["prompt"].split()) == 3 and "raw" in told["none"]
    (alone,) = [one for one in result.figures["test"]["manual"] if one["prompt"] == "it was"]
    given = found(speaker, prompt="it was")
    assert given.method == "given" and given.prompt == "it was" and given.steps == 0
    again = given.figures["test"]["prompt"]
    assert again == {name: value for name, value in alone.items() if name != "prompt"}


def test_examples_are_disjoint_and_balanced(speaker: Speaker) -> None:
    _, data = item_of(speaker)
    parts = [set(part.texts) for part in (data.train, data.valid, data.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert [sum(data.train.right), sum(data.valid.right)] == [4, 6]
    assert list(map(len, parts)) == [8, 12, 20]
    options = ClassifyOptions(**SMALL)
    turned = read_data(rows()[::-1], options)
    assert (turned.train, turned.test) == (read_data(rows(), options).train, data.test)


# ---- the objective


def test_the_loss_of_some_examples_is_that_of_these_alone(speaker: Speaker) -> None:
    labels, _ = item_of(speaker)
    ids = speaker.tokens.whole_words()[:6].view(2, 3)
    point = speaker.table[ids].clone().requires_grad_(True)
    item = torch.tensor([0, 0])
    draw = torch.tensor([[0, 3, 5], [1, 2, 7]])
    loss, score = labels(point, item, draw)
    (gradient,) = torch.autograd.grad(loss.sum(), point)
    whole, same = labels(point, item)
    assert torch.allclose(score, same, atol=1e-5) and torch.allclose(same, -whole, atol=1e-5)
    for row in range(2):
        own = point.detach()[row : row + 1].clone().requires_grad_(True)
        one, _ = labels(own, item[:1], draw[row : row + 1])
        assert float(one.detach()) == pytest.approx(float(loss[row].detach()), abs=1e-5)
        (alone,) = torch.autograd.grad(one.sum(), own)
        assert torch.allclose(alone[0], gradient[row], atol=1e-5)


def test_the_gradient_is_that_of_the_loss(speaker: Speaker) -> None:
    labels, _ = item_of(speaker, fluency=0.2)
    ids = speaker.tokens.whole_words()[5:8][None]
    point = speaker.table[ids].double().float().clone().requires_grad_(True)
    item = torch.tensor([0])
    loss, _ = labels(point, item)
    (gradient,) = torch.autograd.grad(loss.sum(), point)
    step = torch.randn(point.shape, generator=torch.Generator().manual_seed(0)) * 1e-2
    with torch.no_grad():
        more, less = (float(labels(point + sign * step, item)[0]) for sign in (1, -1))
    assert (more - less) / 2 == pytest.approx(float((gradient * step).sum()), rel=0.05, abs=1e-4)


def test_fluency_weighs_the_prompts_own_words(speaker: Speaker) -> None:
    plain, _ = item_of(speaker)
    fluent, _ = item_of(speaker, fluency=0.25)
    point = speaker.table[speaker.tokens.whole_words()[:3]][None]
    item = torch.tensor([0])
    with torch.no_grad():
        task, both, own = plain(point, item)[0], fluent(point, item)[0], fluent.nll(point)
        ids = speaker.tokens.whole_words()[:3]
        likely = speaker.model(input_ids=ids[None]).logits[0].log_softmax(-1)
    wanted = -(likely[0, ids[1]] + likely[1, ids[2]]) / 2  # the first has nothing before it
    assert float(own) == pytest.approx(float(wanted), abs=1e-4)
    assert float(both) == pytest.approx(float(0.75 * task + 0.25 * own), abs=1e-4)


def test_features_give_the_scores(speaker: Speaker) -> None:
    labels, _ = item_of(speaker)
    point = speaker.table[speaker.tokens.whole_words()[:6].view(2, 3)]
    with torch.no_grad():
        rated = labels.rate(labels.features(point), [0])
        assert torch.allclose(rated[0], labels(point, torch.tensor([0, 0]))[1], atol=1e-5)


def test_what_an_objective_reads_is_read_in_few_passes(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept texts are read once: a step's passes see the prompts' own tokens alone."""
    labels, _ = item_of(speaker)
    seen: list[int] = []
    run = Speaker.run

    def counted(self: Speaker, x: Tensor, *args: Any, **more: Any) -> Any:
        seen.append(x.shape[0] * x.shape[1] * x.shape[2])
        return run(self, x, *args, **more)

    monkeypatch.setattr(Speaker, "run", counted)
    point = speaker.table[speaker.tokens.whole_words()[:12].view(4, 3)]
    item = torch.zeros(4, dtype=torch.long)
    with torch.no_grad():
        labels(point, item)
        before = sum(seen)
        seen.clear()
        labels(point, item)
    assert sum(seen) == 4 * 8 * 3 < before


def test_tuned_embeddings_are_measured_from_their_file(speaker: Speaker, tmp_path: Path) -> None:
    result = found(speaker, method="soft", steps=3)
    file = tmp_path / "tuned.safetensors"
    save_embeddings(result, file)
    again = found(speaker, prompt=str(file))
    assert again.figures["test"]["prompt"] == result.figures["test"]["soft"]
    assert again.figures["test"]["none"] == result.figures["test"]["none"]
    assert (again.prompt, again.ids) == (str(file), [])


def test_a_prompt_is_read_from_its_file(speaker: Speaker, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("good plot\n")
    one = found(speaker, prompt=str(file))
    assert one.prompt == "good plot"
    assert one.figures == found(speaker, prompt="good  plot").figures
    file.write_text("good plot\nbad plot\n")
    with pytest.raises(PezError, match="holds 2 prompts, and --prompt takes one"):
        found(speaker, prompt=str(file))
    with pytest.raises(PezError, match="does not exist"):
        found(speaker, prompt="nowhere.txt")
    torch.save(torch.zeros(2, 7), tmp_path / "other.pt")
    with pytest.raises(PezError, match="vectors of 7 numbers"):
        found(speaker, prompt=str(tmp_path / "other.pt"))


# ---- figures


def test_rates_have_wilsons_interval() -> None:
    rate = Rate.of(72, 100)
    assert (rate.share, rate.count) == (0.72, 100)
    assert (rate.low, rate.high) == (
        pytest.approx(0.6251, abs=1e-3),
        pytest.approx(0.7986, abs=1e-3),
    )
    assert Rate.of(0, 10).low == 0 and Rate.of(10, 10).high == 1


def test_calibration_divides_by_what_is_said_of_nothing() -> None:
    scores = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.9, 0.2], [1.4, 0.1]])
    right = torch.tensor([0, 1, 1, 0])
    biased = torch.tensor([[1.1, 0.0]])
    found = figures(scores, right, biased)
    assert found.rates["raw"].share == 0.5
    assert found.rates["calibrated"].share == 1.0
    assert found.rates["median"].share == 1.0
    three = torch.cat([scores, torch.full((4, 1), -9.0)], 1)
    assert set(figures(three, right, torch.zeros(1, 3)).rates) == {"raw", "calibrated", "batch"}


# ---- stopping and going on


def test_a_killed_call_goes_on_behind_its_last_search(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    whole = found(speaker)
    assert not list((tmp_path / "classify").glob("*"))  # nothing is left of a call that ended
    parts = Answers.parts
    calls = itertools.count()

    class Killed(BaseException):
        pass

    def killed(self: Answers, *args: Any, **more: Any) -> Any:
        if next(calls) == limit:
            raise Killed
        return parts(self, *args, **more)

    limit = 8  # within the second search
    monkeypatch.setattr(Answers, "parts", killed)
    with pytest.raises(Killed):
        found(speaker)
    assert len(list((tmp_path / "classify").glob("*/*.json"))) == 1
    monkeypatch.setattr(Answers, "parts", parts)
    notes: list[str] = []
    again = pez.classify(rows(), reader=speaker, warn=notes.append, **SMALL)
    assert (again.prompt, again.score, again.figures) == (whole.prompt, whole.score, whole.figures)
    assert any("search 1 of 2 was done before" in note for note in notes)


def stopped(speaker: Speaker, when: Sequence[str], told: list[str] | None = None) -> Result:
    options = ClassifyOptions(**SMALL)
    session = Session.of(speaker, options)  # type: ignore[arg-type]
    watch = Watch(note=None if told is None else told.append)

    def progress(now: Any, text: str) -> None:
        if any(text.startswith(word) for word in when) and now.done >= (told is not None):
            watch.stop.asked = True

    watch.progress = progress
    return classify_data(session, read_data(rows(), options), watch)


def test_a_stop_keeps_the_best_so_far(speaker: Speaker) -> None:
    early = stopped(speaker, [""])
    assert early.interrupted and early.prompt and not early.figures
    told: list[str] = []
    second = stopped(speaker, [""], told)  # within the second search
    assert second.interrupted and "1 of 2 searches are done and kept" in told[-1]
    late = stopped(speaker, ["measuring"])
    assert late.interrupted and len(late.prompt.split()) == 3


def test_labels_may_be_a_list() -> None:
    options = ClassifyOptions(labels=["bad", "good"], label_words=("dull", "fun"))  # type: ignore
    assert options == ClassifyOptions(labels="bad,good", label_words="dull,fun")
    with pytest.raises(PezError, match="a comma separates them"):
        ClassifyOptions(labels=["bad, dull", "good"])  # type: ignore[arg-type]
    with pytest.raises(PezError, match="has an empty part"):
        ClassifyOptions(labels=["", "good"])  # type: ignore[arg-type]


def test_what_python_gives_wrongly_is_refused_in_a_sentence(mini: Reader) -> None:
    with pytest.raises(PezError, match="reader must be a language model"):
        pez.classify(rows(), reader=mini, **SMALL)
    with pytest.raises(PezError, match=r"unknown option 'unused'; there are (?!.*generator)"):
        pez.classify(rows(), reader=mini, unused=())


def test_what_does_not_apply_is_refused() -> None:
    for name, value in {"generator": "sd15", "top": 2, "also_negative": True}.items():
        with pytest.raises(PezError, match="does not apply to classify"):
            ClassifyOptions(**{name: value})
    with pytest.raises(PezError, match="use pez classify"):
        open_reader(InvertOptions(objective="labels"))
