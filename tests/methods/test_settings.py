"""Options of a method by ``--set``: typed, checked, recorded, listed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import pez
from pez.cli import main
from pez.errors import PezError
from pez.methods import METHODS, make_method, method_class
from pez.methods.pez import Pez
from pez.methods.settings import as_texts, defaults, read_settings
from pez.models import Reader
from pez.options import InvertOptions

CAPTURE = pytest.CaptureFixture[str]


def test_a_value_has_the_kind_of_its_option() -> None:
    texts = ["lr=1", "steps = 7", "betas=0.5, 0.75", "schedule=cosine", "weight-decay=1e-3", "lr=2"]
    values = read_settings(Pez, texts)
    assert values == {
        "lr": 2.0,
        "steps": 7,
        "betas": (0.5, 0.75),
        "schedule": "cosine",
        "weight_decay": 0.001,
    }
    assert type(values["lr"]) is float and type(values["steps"]) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense=1", r"the method pez has no option 'nonsense'; there are lr, weight_decay"),
        ("lr", "--set 'lr' gives no value"),
        ("lr=much", "--set lr must be a number, not 'much'"),
        ("lr=nan", "must be a number"),
        ("lr=inf", "must be a number"),
        ("steps=1.5", "must be a whole number"),
        ("steps=99999999999", "must be a whole number"),
        ("betas=0.5", "takes 2 values"),
        ("betas=0.5,x", "must be a number"),
        ("schedule=triangle", "unknown schedule"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_users_error(text: str, message: str) -> None:
    with pytest.raises(PezError, match=message):
        make_method("pez", [text])


def test_a_method_without_options_says_so() -> None:
    with pytest.raises(PezError, match="random has no option 'lr'; it has none"):
        make_method("random", ["lr=1"])


@given(
    lr=st.floats(0, 1e6),
    steps=st.integers(0, 10**9),
    betas=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_settings_written_as_texts_read_back_the_same(
    lr: float, steps: int, betas: tuple[float, float]
) -> None:
    values: dict[str, Any] = {"lr": lr, "steps": steps, "betas": betas}
    assert read_settings(Pez, as_texts(values)) == values


@given(st.text(max_size=20))
def test_any_text_is_read_or_is_a_users_error(text: str) -> None:
    try:
        values = read_settings(Pez, [text])
    except PezError:
        return
    assert set(values) <= set(defaults(Pez))


def test_a_setting_wins_over_the_shared_option() -> None:
    method = make_method("pez", ["lr=0.5"], lr=0.1, steps=9)
    assert isinstance(method, Pez) and (method.lr, method.steps) == (0.5, 9)


def test_settings_are_recorded_and_decide_the_fingerprint() -> None:
    plain, other = InvertOptions(), InvertOptions(set=("eps=0.1",))
    assert other.record()["set"] == ["eps=0.1"] and plain.record()["set"] == []
    assert plain.fingerprint() != other.fingerprint()


def test_settings_steer_the_search_and_stand_in_the_result(
    mini: Reader, pictures: list[Image.Image]
) -> None:
    quick: dict[str, Any] = {
        "reader": mini,
        "method": "pez",
        "steps": 6,
        "length": 3,
        "history": True,
    }
    stays = pez.invert(pictures[0], set={"lr": 0.0, "betas": (0.5, 0.9)}, **quick)
    moves = pez.invert(pictures[0], set="lr=0.5", **quick)
    assert isinstance(stays, pez.Result) and isinstance(moves, pez.Result)
    assert stays.options["set"] == ["lr=0.0", "betas=0.5,0.9"]
    assert len({tuple(step["ids"]) for step in stays.history or []}) == 1
    assert len({tuple(step["ids"]) for step in moves.history or []}) > 1


def test_a_wrong_setting_is_told_before_a_model_is_loaded(capsys: CAPTURE) -> None:
    command = ["invert", "data", "--model", "no/such-model", "--set", "speed=3"]
    assert main(command) == 2
    assert "the method pursuit has no option 'speed'" in capsys.readouterr().err


def test_methods_are_listed_with_their_options_and_defaults(capsys: CAPTURE) -> None:
    assert main(["methods", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == list(METHODS)
    for row in rows:
        assert list(row["options"]) == list(defaults(method_class(row["name"])))
    (paper,) = [row for row in rows if row["name"] == "pez"]
    assert "Algorithm 1" in paper["notes"] and paper["options"]["lr"] == 0.1
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    assert "Wen et al. 2023" in out and "lr=0.1" in out and "betas=0.9,0.999" in out
    # what is shown can be given back
    shown = [
        f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}"
        for k, v in paper["options"].items()
    ]
    assert make_method("pez", shown) == Pez()
