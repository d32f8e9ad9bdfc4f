"""Which positions of a text encoder's output belong to which word of a prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pez.errors import PezError
from pez.generation.encoded import Encoded
from pez.generation.painter import Painter
from pez.inspect.words import split_words


@dataclass
class PromptWords:
    """The words of a prompt in order, and the ``places`` of each in what the generator attends to.

    A word that is read twice, as SD 3 reads every prompt by CLIP and by T5, has places in both.
    """

    names: list[str] = field(default_factory=list)
    places: list[list[int]] = field(default_factory=list)

    def add(self, name: str, places: Sequence[int]) -> None:
        """One word more; one without places was cut off."""
        if places:
            self.names.append(name)
            self.places.append(list(places))


def words_of(painter: Painter, prompt: str | Tensor) -> PromptWords:
    """The words of a prompt as the generator reads it, its template included; each vector of a soft
    prompt (k, w) is a word. PezError for a generator whose reading is not known.
    """
    pipe = painter.pipe
    kind = type(pipe).__name__
    if isinstance(prompt, Tensor):
        return _soft_words(painter, len(prompt))
    if getattr(pipe, "unet", None) is not None and painter.encoding.reads_clip:
        return _clip_words(painter, prompt)
    if kind.startswith("StableDiffusion3"):
        first = pipe.tokenizer_max_length
        more = getattr(pipe, "text_encoder_3", None) is not None
        readers = [(pipe.tokenizer, 0, first), *([(pipe.tokenizer_3, first, None)] if more else [])]
        return _joint_words(painter, prompt, readers)
    if kind.startswith("Flux") and getattr(pipe, "tokenizer_2", None) is not None:
        return _joint_words(painter, prompt, [(pipe.tokenizer_2, 0, None)])
    raise PezError(
        f"how {kind} reads a prompt is not known; attention maps are made of SD 1, SD 2, SDXL, "
        "SD 3 and FLUX."
    )


def owners(tokenizer: Any, text: str) -> list[int | None]:
    """For each token of a text the place of the word among :func:`split_words` that it is part of;
    None for punctuation.
    """
    words = split_words(text)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    out: list[int | None] = []
    for start, end in found["offset_mapping"]:
        shared = [min(end, word.end) - max(start, word.start) for word in words]
        best = max(range(len(words)), key=shared.__getitem__, default=None)
        out.append(best if best is not None and shared[best] > 0 else None)
    return out


def _clip_words(painter: Painter, prompt: str) -> PromptWords:
    """SD 1, SD 2 and SDXL: start, tokens and end of each chunk; SDXL's two encoders read alike."""
    encoding, pipe = painter.encoding, painter.pipe
    fragments = [
        pipe.maybe_convert_prompt(part.text, pipe.tokenizer) for part in encoding.parts(prompt)
    ]
    names: list[str] = []
    tokens: list[int | None] = []  # of each token its word
    ids: list[int] = []
    for text in fragments:
        first = len(names)
        names += [word.text for word in split_words(text)]
        tokens += [None if own is None else first + own for own in owners(pipe.tokenizer, text)]
        ids += pipe.tokenizer(text, add_special_tokens=False)["input_ids"]
    limit = encoding.limit
    chunks = [range(min(len(tokens), limit))]
    if isinstance(encoding.read(prompt), Encoded):
        chunks = _chunks(pipe.tokenizer, ids, limit)
    places: dict[int, list[int]] = defaultdict(list)
    for n, chunk in enumerate(chunks):
        for k, token in enumerate(chunk):
            word = tokens[token]
            if word is not None:
                places[word].append(n * (limit + 2) + 1 + k)
    return _gathered(names, places)


def _chunks(tokenizer: Any, ids: Sequence[int], limit: int) -> list[range]:
    """The chunks in which compel reads tokens: each ends at the end of a word, if one does."""
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    out: list[range] = []
    start = 0
    while start < len(ids):
        stop = min(start + limit, len(ids))
        if stop < len(ids):
            ends = [n + 1 for n in range(start, stop) if pieces[n].endswith("</w>")]
            stop = max(ends, default=stop)
        out.append(range(start, stop))
        start = stop
    return out


def _joint_words(
    painter: Painter, prompt: str, readers: Sequence[tuple[Any, int, int | None]]
) -> PromptWords:
    """SD 3 and FLUX: each tokenizer with the place where its part begins, and where it ends if
    that is not the end of all.
    """
    text = "".join(part.text for part in painter.encoding.parts(prompt))
    names = [word.text for word in split_words(text)]
    places: dict[int, list[int]] = defaultdict(list)
    for tokenizer, first, end in readers:
        for n, word in enumerate(owners(tokenizer, text), first + _starts(tokenizer, text)):
            if word is not None and (end is None or n < end - 1):
                places[word].append(n)
    return _gathered(names, places)


def _starts(tokenizer: Any, text: str) -> int:
    """How many tokens a tokenizer puts before a text: CLIP's one, T5's none."""
    whole, bare = (tokenizer(text, add_special_tokens=s)["input_ids"] for s in (True, False))
    same = (n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
    return next(same, 0)


def _soft_words(painter: Painter, count: int) -> PromptWords:
    """The words of the template around a soft prompt's vectors."""
    tokenizer = painter.pipe.tokenizer
    before, after = painter.encoding.template.split("{}")
    out = PromptWords()
    start = 1
    for side, text in (("before", before), ("after", after)):
        found = owners(tokenizer, text)
        places: dict[int, list[int]] = defaultdict(list)
        for n, word in enumerate(found, start):
            if word is not None:
                places[word].append(n)
        own = _gathered([word.text for word in split_words(text)], places)
        out.names += own.names
        out.places += own.places
        start += len(found)
        if side == "before":
            for n in range(count):
                out.add(f"[{n + 1}]", [start + n])
            start += count
    return out


def _gathered(names: Sequence[str], places: dict[int, list[int]]) -> PromptWords:
    out = PromptWords()
    for n, name in enumerate(names):
        out.add(name, places.get(n, []))
    return out
