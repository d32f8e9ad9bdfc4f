"""One word of a prompt taken, swapped or added, and what the other words then say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pez.evaluation.edits import (
    appended,
    kept_order,
    kept_signs,
    places,
    swapped,
    without,
    word_at,
)

PROMPTS = st.lists(st.sampled_from(["a", "dog,", "cat", "of", "tree.", '"sky"']), min_size=1).map(
    " ".join
)


def test_content_words_have_places() -> None:
    prompt = "a dog, two cats and -- the 'sky'."
    assert places(prompt) == [1, 3, 7]
    assert [word_at(prompt, n) for n in places(prompt)] == ["dog", "cats", "sky"]


@pytest.mark.parametrize(
    ("place", "wanted"),
    [(0, "cat, tree"), (1, "dog, tree"), (2, "dog, cat")],
)
def test_a_word_leaves_with_its_comma(place: int, wanted: str) -> None:
    assert without("dog, cat, tree", place) == wanted


def test_a_sentence_ends_as_before() -> None:
    assert without("A dog sees a cat.", 4) == "A dog sees a."
    assert without("dog", 0) == ""
    assert swapped("A (dog), a cat.", 1, "zebra") == "A (zebra), a cat."
    assert appended("dog, cat", "tree") == "dog, cat, tree"
    assert appended("A dog and a cat .", "tree") == "A dog and a cat tree"
    assert appended("", "tree") == "tree"


@given(PROMPTS, st.data())
def test_a_swap_changes_one_piece_and_is_undone_by_another(
    prompt: str, data: st.DataObject
) -> None:
    pieces = prompt.split()
    place = data.draw(st.integers(0, len(pieces) - 1))
    changed = swapped(prompt, place, "zebra")
    assert word_at(changed, place) == "zebra"
    assert swapped(changed, place, word_at(prompt, place)) == " ".join(pieces)
    assert [n for n, (a, b) in enumerate(zip(pieces, changed.split(), strict=True)) if a != b] == [
        place
    ]
    assert len(without(prompt, place).split()) == len(pieces) - 1


PARTS = st.lists(st.integers(-3, 3).map(lambda n: n / 4), min_size=2, max_size=8)


@given(PARTS, st.data())
def test_what_words_keep_is_a_share_counted_pair_by_pair(
    before: list[float], data: st.DataObject
) -> None:
    after = [data.draw(st.sampled_from(before)) for _ in before]
    same = [(a > 0) - (a < 0) == (b > 0) - (b < 0) for a, b in zip(before, after, strict=True)]
    assert kept_signs(before, after) == pytest.approx(sum(same) / len(same), abs=1e-6)
    assert kept_signs(before, before) == kept_order(before, before) == 1
    assert kept_order(before, [value + 1 for value in before]) == 1
    count = kept = 0
    for i in range(len(before)):
        for j in range(i):
            one, two = before[i] - before[j], after[i] - after[j]
            count, kept = count + 1, kept + ((one > 0) - (one < 0) == (two > 0) - (two < 0))
    assert kept_order(before, after) == pytest.approx(kept / count, abs=1e-6)


def test_no_other_words_keep_nothing() -> None:
    assert kept_signs([], []) is None and kept_order([0.5], [0.1]) is None
    assert kept_order([1, 2, 3], [3, 2, 1]) == 0 and kept_signs([1, -1], [-1, 1]) == 0
