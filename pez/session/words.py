"""The words of a search: the shipped English list, and the user's files and lists."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from os.path import exists
from pathlib import Path

from torch import Tensor

from pez.errors import PezError
from pez.files import data_folder, user_path
from pez.formats.prompts import file_or_text, phrases_of, words_of
from pez.search.english import Note, english_words
from pez.search.tokens import Tokens
from pez.search.vocabulary import KINDS, ids_of_kind, ids_of_words, without


def allowed_ids(
    tokens: Tokens,
    which: str = "words",
    ban: Sequence[str] = (),
    known: Tensor | None = None,
    own_words: Sequence[str] | None = None,
    note: Note | None = None,
) -> Tensor:
    """Ids (n,) that a search may choose, ascending.

    ``which`` is ``auto`` (the model's own word list if it has one, else ``words``),
    ``words`` (whole English words and names), ``whole`` (whole words of any language, and
    fragments that survive decode -> encode as words do), ``ascii``, ``all`` (but start, end,
    padding and what pipelines read as such) or a file of words. ``ban`` has words, files of
    them and comma-separated lists. ``known`` limits them to ids the model was trained on.
    ``note`` is notified where a tokenizer without English words falls back from ``words`` to
    ``whole``. Raises PezError if nothing is left or a file cannot be read.
    """
    if which == "auto":
        which = "own" if own_words else "words"
    if which == "own":
        ids = ids_of_words(tokens, own_words or ())
    elif which == "words":
        ids = english_words(tokens, english_list(), note)
    elif which in KINDS:
        ids = ids_of_kind(tokens, which)
    else:
        ids = ids_of_words(tokens, _read_words(which, "--vocabulary"))
        if not len(ids):
            raise PezError(
                f"none of the words in {which} is a single token of this model; "
                "list one common word a line."
            )
    return without(tokens, ids, known, [w for word in ban for w in _ban_words(word)])


@cache
def english_list() -> frozenset[str]:
    """The words and names of ``data/words/english.txt``, in lower case. PezError without it."""
    path = data_folder() / "words" / "english.txt"
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        raise PezError(
            f"the shipped word list {path} is missing or damaged; install the package again."
        ) from None


def kept_words(keep: Sequence[str]) -> list[str]:
    """What must stay in the prompt: texts, and the lines of files of them. PezError for a file that
    is missing or no text.
    """
    out: list[str] = []
    for text in keep:
        file = file_or_text(text, "--keep")
        lines = phrases_of(file, "--keep") if file else [text]
        out += lines
    return out


def refuse_banned(tokens: Tokens, texts: Sequence[str], ban: Sequence[str], option: str) -> None:
    """PezError if one of the ``texts`` of an ``option``, which will be in the prompt, has a word
    that must not be.
    """
    banned = {word.casefold() for text in ban for word in _ban_words(text)}
    for text in texts:
        words = {tokens.decode([i]).casefold() for i in tokens.encode(text)}
        if both := sorted(words & banned):
            raise PezError(f"{option} {text!r} has the banned word {both[0]!r}; omit one of them.")


def _read_words(path: str, option: str) -> list[str]:
    near = get_close_matches(path, ("auto", "words", *KINDS), 1, 0.7)
    meant = f"did you mean {near[0]}?" if near else "check the spelling or the path."
    unknown = f"{option} {path!r} is neither a known kind (auto, words, whole, ascii, all) nor "
    try:
        return words_of(Path(path), option)
    except PezError as error:
        if exists(user_path(path)):
            raise
        raise PezError(f"{unknown}a readable text file of words; {meant}") from error


def _ban_words(text: str) -> list[str]:
    """Banned words: a single word, the words of a file, or a comma-separated list. PezError for
    what looks like a file that is not there.
    """
    file = file_or_text(text, "--ban")
    return words_of(file, "--ban") if file else text.replace(",", " ").split()
