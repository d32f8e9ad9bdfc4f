"""Lemmas: forms of a word fold together, different words stay apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pez.evaluation.lemma_tables import FUNCTION, IRREGULAR, WHOLE
from pez.evaluation.lemmas import content_words, lemma, words
from pez.files import data_folder

# each line: a lemma, then its forms
FORMS = """
man men
woman women
fireman firemen
child children
person people persons
foot feet
tooth teeth
knife knives
wife wives
shelf shelves
bookshelf bookshelves
wolf wolves
goose geese
mouse mice
dog dogs dog's
bus buses
glass glasses
bench benches
dish dishes
box boxes
house houses
horse horses
vase vases
puppy puppies
cookie cookies
pie pies
tomato tomatoes
shoe shoes
zebra zebras
photo photos
glove gloves
sit sits sitting sat
run runs running ran
ride rides riding rode ridden
stand stands standing stood
play plays playing played
carry carries carrying carried
fly flies flying flew
look looks looking looked
make makes making made
dance dances dancing danced
juggle juggles juggling juggled
lean leans leaning leaned
leave leaving
squeeze squeezes squeezing squeezed
open opens opening opened
decorate decorates decorating decorated
prepare prepares preparing prepared
dress dresses dressed
fill fills filling filled
tie ties tying tied
see sees seeing seen
swing swings swinging swung
park parks parking parked
gray grey
doughnut donut donuts
"""
ALONE = (
    "building king string ring wing ceiling evening thing bus grass tennis pants shorts jeans "
    "scissors bed red shed weed seed need feed sheep fish deer specimen abdomen his gas lens"
)


@pytest.mark.parametrize("line", FORMS.split("\n")[1:-1])
def test_forms_of_a_word_have_one_lemma(line: str) -> None:
    own, *forms = line.split()
    assert {lemma(word) for form in (own, *forms) for word in words(form)} == {own}


@pytest.mark.parametrize("word", ALONE.split())
def test_words_that_only_look_inflected_stay(word: str) -> None:
    assert lemma(word) == word


def test_words_that_differ_stay_apart() -> None:
    pairs = [
        ("star", "stare"),
        ("car", "care"),
        ("hat", "hate"),
        ("plan", "plane"),
        ("bar", "bare"),
    ]
    for one, other in pairs:
        assert lemma(one) != lemma(other)
    assert lemma("staring") == "stare" and lemma("starring") == "star"
    assert lemma("hopping") == "hop" and lemma("hoping") == "hope"


def test_a_lemma_in_the_table_is_its_own() -> None:
    moved = {one for one in IRREGULAR.values() if lemma(one) != one}
    assert not moved
    assert not WHOLE & IRREGULAR.keys()


NOUNS = sorted(
    word
    for word in (data_folder() / "models" / "mini" / "words.txt").read_text().split()
    if word.isalpha()
    and lemma(word) == word
    and word not in WHOLE | FUNCTION
    and not word.endswith(("i", "u"))  # taxis, menus: the table has the common ones
)


@given(st.sampled_from(NOUNS))
def test_regular_plurals_fold(noun: str) -> None:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        many = noun + "es"
    elif noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        many = noun[:-1] + "ies"
    else:
        many = noun + "s"
    assert lemma(many) == IRREGULAR.get(many, noun)


@given(st.text(max_size=30))
def test_any_text_has_content_words_once_each_in_small_letters(text: str) -> None:
    found = content_words(text)
    assert len(set(found)) == len(found)
    assert found == content_words(f"The {text.lower()}, and ({text})!")
    assert not set(found) & FUNCTION


def test_function_words_numbers_and_pictures_are_no_content() -> None:
    text = "A photo of two men's 3 dogs, which are sitting in front of the men-only café 🐶"
    assert content_words(text) == ("man", "dog", "sit", "café")
    assert content_words("a of the, 12 there's -- !") == ()
    assert content_words("horse, horses, HORSE") == ("horse",)
