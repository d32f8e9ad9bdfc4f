"""The words of a prompt, their tokens, and the prompt without some of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pez.inspect.words import split_pieces, split_words, token_spans, without
from pez.search.tokens import Tokens

WORDS = {
    "cup, bowl,table; spoon": ["cup", "bowl", "table", "spoon"],
    "a well-lit don't f1.8, (cat:1.2)": ["a", "well-lit", "don't", "f1.8", "cat", "1.2"],
    "- photo -- of a cat.": ["photo", "of", "a", "cat"],
    "a 🐱 and a हिन्दी café": ["a", "🐱", "and", "a", "हिन्दी", "café"],
    ", ;": [],
}


@pytest.mark.parametrize("text", WORDS, ids=range(len(WORDS)))
def test_words_are_what_a_person_counts(text: str) -> None:
    assert [word.text for word in split_words(text)] == WORDS[text]


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_pieces_are_the_text_but_its_blanks(text: str) -> None:
    pieces = split_pieces(text)
    assert all(text[piece.start : piece.end] == piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == "".join(text.split())


def test_each_words_tokens_say_the_word(tokens: Tokens) -> None:
    text = "Antidisestablishmentarianism, a (blue-green) boot; don't!"
    ids, words = tokens.encode(text), split_words(text)
    spans = token_spans(tokens.encode, text, words)
    for word, span in zip(words, spans, strict=True):
        said = tokens.decode([ids[n] for n in span])
        assert said.replace(" ", "") == word.text.lower()
    assert len(spans[0]) > 3  # one word, several tokens


def test_tokens_are_found_where_pieces_alone_have_other_ones() -> None:
    """A tokenizer that marks what follows a blank, as sentence pieces do."""

    def encode(text: str) -> list[int]:
        marked = [before + c for before, c in zip(" " + text, text, strict=False) if c != " "]
        return [hash(piece if piece[0] == " " else piece[1]) for piece in marked]

    text = "ab, (cd) e"
    spans = token_spans(encode, text, split_words(text))
    assert spans == [range(2), range(4, 6), range(7, 8)]


LEFT = {
    ("cup, bowl, table", "cup"): "bowl, table",
    ("cup, bowl, table", "bowl"): "cup, table",
    ("cup, bowl, table", "table"): "cup, bowl",
    ("red cup, bowl", "cup"): "red, bowl",
    ("a (small) cat", "small"): "a cat",
    ("a cat.", "cat"): "a.",
    ("cat", "cat"): "",
    ("a cat  and a dog", "and"): "a cat a dog",
}


@pytest.mark.parametrize("given_", LEFT, ids=range(len(LEFT)))
def test_a_word_leaves_with_its_comma(given_: tuple[str, str]) -> None:
    text, word = given_
    left = [piece for piece in split_words(text) if piece.text == word]
    assert without(text, left) == LEFT[given_]


def test_several_words_leave_at_once() -> None:
    text = "cup, bowl, table, spoon"
    words = split_words(text)
    assert without(text, [words[3], words[0], words[1]]) == "table"
    assert without(text, words) == ""
