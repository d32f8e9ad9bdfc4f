"""Familiar prompt forms: words in a row, phrases, a caption."""

from __future__ import annotations

import difflib

from pez.errors import PezError

STYLES = {
    "words": "words in a row",
    "phrases": "words between commas, as many as fit",
    "caption": 'as in "a painting of a boat , sunset , sea"',
}


SHORT = 7  # tokens below which commas would displace more useful words


def usual_style(style: str, length: int) -> str:
    """A method's own ``style`` for ``length`` tokens; short prompts are words in a row."""
    return style if length >= SHORT else "words"


def style_template(style: str, length: int) -> str:
    """The template of a ``style`` whose whole prompt has at most ``length`` tokens; each
    comma and article counts as one. PezError for an unknown style.
    """
    if style not in STYLES:
        near = difflib.get_close_matches(style, STYLES, 1) or list(STYLES)
        raise PezError(f"unknown style {style!r}; use {', '.join(near)}.")
    if style == "words" or length < 3:
        return "{}"
    if style == "caption" and length >= 6:
        article = length % 2  # what does not fit into pairs of comma and word
        head = "a {1} of a {1}" if article else "{1} of a {1}"
        return head + " , {1}" * ((length - 4 - article) // 2)
    return " , ".join(["{1}"] * ((length + 1) // 2))
