"""Weights in prompts are read as web UIs read them."""

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pez.errors import PezError
from pez.generation.weights import STEP, Fragment, escape, parse_weights

SIGNS = st.text(alphabet="ab ():[]\\1.,", max_size=30)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("", []),
        ("a red boot", [("a red boot", 1)]),
        ("a (red) boot", [("a ", 1), ("red", 1.1), (" boot", 1)]),
        ("a (red:1.3) boot", [("a ", 1), ("red", 1.3), (" boot", 1)]),
        ("a (red: .5 ) boot", [("a ", 1), ("red", 0.5), (" boot", 1)]),
        ("a [red] boot", [("a ", 1), ("red", 1 / 1.1), (" boot", 1)]),
        ("((red:2) boot)", [("red", 2.2), (" boot", 1.1)]),
        (r"a \(red\) boot \[x\] \\", [("a (red) boot [x] \\", 1)]),
        ("(red [boot])", [("red ", 1.1), ("boot", 1)]),
        ("a (red boot", [("a ", 1), ("red boot", 1.1)]),
        ("smile :) 3:1.5)", [("smile :) 3:1.5)", 1)]),
        ("12:30 (a:b)", [("12:30 ", 1), ("a:b", 1.1)]),
    ],
)
def test_signs_mean_what_web_uis_mean(prompt: str, parts: list[tuple[str, float]]) -> None:
    found = parse_weights(prompt)
    assert [f.text for f in found] == [text for text, _ in parts]
    assert [f.weight for f in found] == pytest.approx([weight for _, weight in parts])


@given(st.text())
@example("\\")
@example("(a:1.3)")
def test_an_escaped_text_is_plain(text: str) -> None:
    assert parse_weights(escape(text)) == ([Fragment(text)] if text else [])


@given(SIGNS)
def test_any_text_is_read_and_no_word_is_lost(text: str) -> None:
    found = parse_weights(text)
    letters = "".join(f.text for f in found)
    assert [c for c in letters if c in "ab ,"] == [c for c in text if c in "ab ,"] or ":" in text
    assert letters.count("a") == text.count("a") and letters.count("b") == text.count("b")
    assert all(f.text and f.weight >= 0 for f in found)
    neighbours = pairwise(found)
    assert not any(math.isclose(a.weight, b.weight) for a, b in neighbours)


@given(st.integers(0, 6), st.integers(0, 6))
def test_brackets_within_brackets_multiply(rounds: int, squares: int) -> None:
    text = "(" * rounds + "[" * squares + "word" + "]" * squares + ")" * rounds
    (found,) = parse_weights(text)
    assert found.text == "word"
    assert found.weight == pytest.approx(STEP ** (rounds - squares))


def test_a_negative_weight_is_told_how_to_be_written() -> None:
    with pytest.raises(PezError, match="--negative"):
        parse_weights("a (dog:-1.5)")
