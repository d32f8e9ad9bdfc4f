"""The default vocabulary: whole English words and names, and what replaces it without them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from open_clip.tokenizer import HFTokenizer
from tiny_tokenizers import SPOKEN, bert_tokenizer, xlm_tokenizer

import pez
from pez.errors import PezError
from pez.models import Reader
from pez.search.english import english_words
from pez.search.tokens import SYNTAX, Tokens
from pez.session.words import allowed_ids, english_list

ROOT = Path(__file__).resolve().parents[2]
WORDS = ROOT / "data" / "words"

FRAGMENTS = "dious lect ation tion ther ment ness ings ously ght iest ising burg ology nesses ical"
FOREIGN = "ค ท 방탄소년단 природа рода ப à españa 祭"
RUN_TOGETHER = "throwbackthursday fridayfeeling motivationmonday sanfrancisco starwars"
LETTERS = "b c e m p s t x d 3 7 m"
EVERYDAY = (
    "a i the of ox cat dog woman men red wooden quickly beside photograph tv ice café yoghurt"
)
INFLECTED = "cats children boxes ran running walked larger smallest painting painted ladies flies"
ARTISTS = "monet picasso warhol banksy mucha gogh dali hopper turner blake whistler ghibli disney"
STYLES = "cubism baroque deco anime steampunk impressionist watercolor gothic retro surreal manga"
PROMPTS = "bokeh photoshop polaroid kodak pixar disney lego nikon cinematic portrait hdr dslr"
PLACES = "paris tokyo york angeles japanese toyota labrador everest christmas obama beyoncé"


@pytest.fixture(scope="module")
def words(tokens: Tokens) -> set[str]:
    return {tokens.decode([i]) for i in allowed_ids(tokens, "auto").tolist()}


def spoken(tokens: Tokens, text: str) -> set[str]:
    """Those words of a text that are one token and survive typing."""
    whole = set(tokens.whole_words().tolist())
    split = {word: tokens.encode(word) for word in text.split()}
    return {word for word, ids in split.items() if len(ids) == 1 and ids[0] in whole}


@pytest.mark.parametrize("text", [FRAGMENTS, FOREIGN, RUN_TOGETHER, LETTERS])
def test_no_fragment_and_no_foreign_script_is_a_word(
    text: str, tokens: Tokens, words: set[str]
) -> None:
    known = spoken(tokens, text)  # CLIP has them, and `whole` still offers them
    assert len(known) >= min(5, len(text.split()))
    assert not known & words


@pytest.mark.parametrize("text", [EVERYDAY, INFLECTED, ARTISTS, STYLES, PROMPTS, PLACES])
def test_everyday_words_their_forms_and_names_are_words(
    text: str, tokens: Tokens, words: set[str]
) -> None:
    known = spoken(tokens, text)
    assert len(known) > 0.8 * len(text.split())
    assert known <= words


def test_words_are_letters_alone(words: set[str]) -> None:
    assert 20_000 < len(words) < 25_000
    assert all(word.isalpha() and not SYNTAX & set(word) for word in words)
    assert {word for word in words if len(word) == 1} == {"a", "i"}


def test_the_shipped_list_is_sorted_plain_words() -> None:
    lines = (WORDS / "english.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines)) and set(lines) == english_list()
    assert all(word.isalnum() and word == word.lower() for word in lines)
    assert (WORDS / "english.txt").stat().st_size < 500_000


def test_the_list_holds_what_was_added_by_hand_and_nothing_dropped() -> None:
    def hand(name: str) -> set[str]:
        lines = (WORDS / name).read_text(encoding="utf-8").splitlines()
        return {word for line in lines if not line.startswith("#") for word in line.split()}

    assert hand("added.txt") <= english_list()
    assert not hand("dropped.txt") & english_list()
    assert not hand("dropped.txt") & hand("added.txt")


def test_captions_of_the_shipped_world_are_made_of_words(tokens: Tokens, words: set[str]) -> None:
    lines = (ROOT / "data" / "banks" / "captions.txt").read_text(encoding="utf-8").splitlines()
    used = {tokens.decode([i]) for line in lines for i in tokens.encode(line.replace(",", " "))}
    assert len(used) > 250 and used <= words | {":"}


def test_every_data_folder_with_a_card_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    cards = {path.relative_to(ROOT).parts[:2] for path in (ROOT / "data").rglob("README.md")}
    cards -= {("data", "photo")}  # scripts that train, for a checkout
    assert {"/".join(parts) for parts in cards} <= set(included)
    assert included["data/words"] == "pez/data/words"


def test_without_the_list_the_user_is_told(
    tmp_path: Path, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    english_list.cache_clear()
    monkeypatch.setattr("pez.session.words.data_folder", lambda: tmp_path)
    with pytest.raises(PezError, match="install the package again"):
        allowed_ids(tokens, "words")
    assert len(allowed_ids(tokens, "whole")) > 30_000  # which needs none
    english_list.cache_clear()


# ---- other tokenizers


def german(folder: Path, also: str = "") -> Tokens:
    """A tokenizer of German words, those of ``also`` and the letters."""
    own = "strasse katze garten wiese kirche schnee gebirge himmel wolken blume fenster frühling"
    bert_tokenizer(folder, [*own.split(), *also.split()])
    return Tokens(HFTokenizer(str(folder), context_length=12), 12)


def test_a_tokenizer_without_english_words_has_its_whole_words_and_says_so(tmp_path: Path) -> None:
    tokens, told = german(tmp_path), []
    ids = allowed_ids(tokens, "auto", note=told.append)
    assert torch.equal(ids, tokens.whole_words())
    assert {"katze", "blume"} <= {tokens.decode([i]) for i in ids.tolist()}
    assert len(told) == 1 and "2 English words" in told[0]  # the letters a and i


def test_a_tokenizer_of_many_languages_has_its_english_words(tmp_path: Path) -> None:
    tokens, told = german(tmp_path, SPOKEN), []
    ids = allowed_ids(tokens, "auto", note=told.append)
    assert {tokens.decode([i]) for i in ids.tolist()} == {*SPOKEN.split(), "a", "i"}
    assert not told
    assert "katze" in {tokens.decode([i]) for i in allowed_ids(tokens, "whole").tolist()}


def test_words_count_in_any_case_of_letters(tmp_path: Path) -> None:
    xlm_tokenizer(tmp_path)
    tokens = Tokens(HFTokenizer(str(tmp_path), context_length=12, clean="whitespace"), 12)
    vocabulary = tokens.full.tokenizer
    vocabulary.add_tokens(["London", "Xyzzy"])
    found = {tokens.decode([i]) for i in english_words(tokens, english_list()).tolist()}
    assert "London" in found and "Xyzzy" not in found


def test_neighbours_tell_what_they_look_among(mini: Reader) -> None:
    among = {text for _, text, _ in pez.neighbours("cat", 5000, reader=mini, vocabulary="words")}
    assert "cat" in among and among <= english_list()
    whole = {text for _, text, _ in pez.neighbours("cat", 9000, reader=mini, vocabulary="whole")}
    assert among <= whole
