"""What people type into forms, of a page or a node: words and texts, never names of files."""

from __future__ import annotations

from collections.abc import Sequence

from pez.errors import PezError
from pez.sources import Part

LONGEST = 60  # characters of a word


def typed_words(text: str) -> tuple[str, ...]:
    """The words of a field, separated by commas or white space, each once, as :func:`plain_words`
    gives them.
    """
    return plain_words(list(dict.fromkeys(text.replace(",", " ").split())))


def plain_words(words: Sequence[str]) -> tuple[str, ...]:
    """Words as options take them. Each has a blank in front, so that none is taken for a file of
    that name: visitors must not read files of this machine. PezError for what cannot be a word.
    """
    for word in words:
        if any(c in word for c in "/\\~\0\n") or len(word) > LONGEST:
            raise PezError(f"{word[:LONGEST]!r} cannot be a word of a prompt; leave it out.")
    return tuple(f" {word}" for word in words)


def weighted(line: str, sign: int) -> Part:
    """The text of a line and its weight, 1 if it names none: ``oil painting = 0.3``. PezError for
    a weight that is no number above 0.
    """
    text, equals, number = line.rpartition("=")
    try:
        weight = float(number) if equals else 1.0
    except ValueError:  # an equals sign of the text's own
        text, equals, weight = line, "", 1.0
    if not 0 < weight < 1000:
        raise PezError(f"the weight in {line!r} must be above 0 and below 1000.")
    what = (text if equals else line).strip()
    if not what:
        raise PezError(f"{line!r} has a weight and no text; write the text before it.")
    return what, sign * weight, f"{what}={sign * weight:g}"
