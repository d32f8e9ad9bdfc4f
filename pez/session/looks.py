"""Looks inside, for models by name: what words add, and a map of what is near them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.formats.values import as_number, shown
from pez.inspect.explain import Explanation, explain_prompt
from pez.inspect.map import draw_map, space_around
from pez.models import Reader
from pez.models.ambient import plain_torch
from pez.models.ensemble import Ensemble
from pez.options import MARGIN, SearchOptions
from pez.session.calls import (
    Warn,
    checked_function,
    checked_options,
    checked_reader,
    tell,
    warn_caller,
)
from pez.session.items import cut_note
from pez.session.session import model_names, open_reader, reader_vocabulary
from pez.sources import Source, as_strings, read_source, source_name


@plain_torch()
def neighbour_map(
    words: str | Sequence[str],
    top: int = 12,
    *,
    reader: Reader | Sequence[Reader] | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Image.Image:
    """A map of ``words`` and the ``top`` tokens nearest to each: a row for each model, flattened by
    PCA and by t-SNE. ``reader`` may be several models; they need not share a tokenizer.
    """
    options = checked_options(SearchOptions, None, settings)
    listed, most = as_strings(words, "words"), checked_top(top)
    checked_function(warn, "warn")
    return draw_map(
        [
            space_around(one, reader_vocabulary(one, options, warn), listed, most)
            for one in each_reader(reader, options)
        ]
    )


@plain_torch()
def explain(
    target: Source,
    prompt: str,
    *,
    text: bool = False,
    margin: float = MARGIN,
    reader: Reader | Sequence[Reader] | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Explanation:
    """What each word of ``prompt`` adds to its cosine with a picture, or with ``text`` with a text.

    Several models (``model=["mini", "mini-b"]``, or a list as ``reader``) are each asked for their
    own answer; they need not share a tokenizer. A word is redundant if the mean over the models
    falls by at most ``margin`` without it. What a model does not read of a long text is told to
    ``warn``, by default as a PezWarning. PezError for a prompt or a text without words.
    """
    options = checked_options(SearchOptions, None, settings)
    say = checked_function(warn, "warn") or warn_caller
    if not isinstance(prompt, str):
        raise PezError(f"prompt must be a text, not {shown(prompt)}.")
    as_strings(prompt, "prompt")
    least = as_number(margin, float)
    if least is None or not 0 <= least < float("inf"):
        raise PezError(f"--margin must be a number, 0 or more, not {shown(margin)}.")
    if text and not isinstance(target, str):
        raise PezError(f"the target must be a text, not {shown(target)}; omit text for a picture.")
    what = as_strings(target, "the target")[0] if text else read_source(target)
    readers = each_reader(reader, options)
    goals = []
    for one in readers:
        if isinstance(what, str) and not one.tokens.encode(what):
            raise PezError(f"{one.name} reads no token in the text {what!r}; give at least a word.")
        found = one.encode_text([what]) if isinstance(what, str) else one.encode_images([what])
        goals.append(found[0])
        long = (what, prompt) if isinstance(what, str) else (prompt,)
        tell([cut_note(one, each) for each in long], say)
    name = what if isinstance(what, str) else source_name(target, 1)
    return explain_prompt(readers, goals, prompt, name, least)


def each_reader(reader: Any, options: SearchOptions) -> list[Reader]:
    """The models one by one: the caller's, else those that the options name."""
    if reader is None:
        each = [(name,) for name in model_names(options)]
        return [open_reader(replace(options, model=name, generator="")) for name in each]
    listed = list(reader) if isinstance(reader, list | tuple) else [reader]
    plain = replace(options, model=())
    found: list[Reader] = []
    for one in listed:
        own = checked_reader(one, plain)
        if own is not None:
            found += own.readers if isinstance(own, Ensemble) else [own]
    if not found:
        raise PezError("reader holds no model; give one from pez.load_model, or a list of them.")
    if options.model and [one.name for one in found] != list(model_names(options)):
        names = ", ".join(one.name for one in found)
        raise PezError(f"reader is {names}, but model names others; omit one of them.")
    return found


def checked_top(top: Any) -> int:
    """How many neighbours. PezError for less than one."""
    most = as_number(top, int)
    if most is None or most < 1:
        raise PezError(f"--top must be a whole number, 1 or more, not {shown(top)}.")
    return most
