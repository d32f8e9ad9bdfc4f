"""Familiar prompt forms: words in a row, phrases, a caption."""

from __future__ import annotations

import difflib
from collections.abc import Set

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.template import read_slots
from pez.search.tokens import Tokens

STYLES = {
    "words": "words in a row",
    "phrases": "words between commas, as many as fit",
    "caption": 'as in "a painting of a boat , sunset , sea"',
    "sentence": 'as in "a man riding a horse on a beach", by a language model',
}


# words that mean nothing by themselves, between two commas; directions and numbers do
_FUNCTION_WORDS = """
a about above across after against along also although am among an and any are around as at be
because been before being below beside besides between beyond but by can cannot could did do does
doing down during each either else even ever every except for from had has have having he hence
her hers herself him himself his how however i if in into is it its itself just may me might mine
more most much must my myself near neither nor not of off on onto or other ought our ours
ourselves out over own per quite rather same shall she should since so some such than that the
their theirs them themselves then there therefore these they this those though through throughout
thus till to too toward towards under underneath unless until unto up upon us very via was we were
what whatever when whenever where whereas wherever whether which whichever while who whoever whom
whose why will with within without would yet you your yours yourself yourselves
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())

# those that captions of photographs are full of: models of photographs were trained on few others
_CAPTION_WORDS = """
a an and are around at behind beside between by down from her his in into is its near of off on
onto out over the their through to together under up while with
"""
CAPTION_WORDS = frozenset(_CAPTION_WORDS.split())

ARTICLES = frozenset(
    ["a", "an", "every", "its", "my", "our", "the", "their", "your"]
)  # and their like

SHORT = 7  # tokens below which commas would displace more useful words


def function_ids(tokens: Tokens, ids: Tensor, among: Set[str] = FUNCTION_WORDS) -> Tensor:
    """Those of ``ids`` (n,) that are words such as "of", which a sentence may say again."""
    said = [i for i in ids.tolist() if tokens.decode([i]).lower() in among]
    return torch.tensor(said, dtype=torch.long, device=ids.device)


def usual_style(style: str, length: int) -> str:
    """A method's own ``style`` for ``length`` tokens. Short prompts are words in a row, but for
    sentences.
    """
    return style if length >= SHORT or style == "sentence" else "words"


def content_ids(tokens: Tokens, ids: Tensor) -> Tensor:
    """Those of ``ids`` (n,) that are words with a meaning of their own; all if none is."""
    keep = [tokens.decode([i]).lower() not in FUNCTION_WORDS for i in ids.tolist()]
    found = ids[torch.tensor(keep, dtype=torch.bool, device=ids.device)]
    return found if len(found) else ids


def styled(template: str, style: str, length: int) -> str:
    """A ``template`` in whose slots a style is filled: ``length`` tokens are spread over them, each
    comma counts as one. PezError for a template without a slot, and for an unknown style.
    """
    words, counts = read_slots(template, length)
    pieces = [words[0]]
    for count, word in zip(counts, words[1:], strict=True):
        inner = style_template(style, count)
        pieces += [f"{{{count}}}" if inner == "{}" else inner, word]
    return "".join(pieces)


def style_template(style: str, length: int) -> str:
    """The template of a ``style`` whose whole prompt has at most ``length`` tokens; each
    comma and article counts as one. PezError for an unknown style.
    """
    if style not in STYLES:
        near = difflib.get_close_matches(style, STYLES, 1) or list(STYLES)
        raise PezError(f"unknown style {style!r}; use {', '.join(near)}.")
    if style == "words" or length < 3:
        return "{}"
    if style == "sentence":
        return f"a {{{length - 1}}}"
    if style == "caption" and length >= 6:
        article = length % 2  # what does not fit into pairs of comma and word
        head = "a {1} of a {1}" if article else "{1} of a {1}"
        return head + " , {1}" * ((length - 4 - article) // 2)
    return " , ".join(["{1}"] * ((length + 1) // 2))
