"""Texts, prompts and labels as token ids, joined exactly as a tokenizer reads the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pez.errors import PezError
from pez.formats.wording import Wording
from pez.models.causal import Speaker

Tails = tuple[tuple[int, ...], ...]  # the ids of each label


@dataclass(frozen=True)
class Context:
    """What stands before the label, ``ids`` with the start tokens, and each label behind it."""

    ids: tuple[int, ...]
    tails: Tails


@dataclass(frozen=True)
class Frame:
    """A context around a prompt: the ids before and after it, and each label behind."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    tails: Tails


def contexts(
    speaker: Speaker, wording: Wording, prompt: str, texts: Sequence[str], words: Sequence[str]
) -> list[Context]:
    """The context of each text with a typed ``prompt`` ("" is none), for the label ``words``.

    A label's ids are those of the whole text with it that are not of the text without it: where
    the tokenizer joins the last blank with the label, that is the label's. An encoder-decoder
    answers in a text of its own. PezError for a text without any token before the label.
    """
    lead, prompt = speaker.tokens.lead, " ".join(prompt.split())
    whole = [wording.fill(text.strip(), prompt, "", lead) for text in texts]
    if speaker.paired:
        tails = answers(speaker, words)
        return [Context(tuple(ids), tails) for ids in _typed(speaker, [t.rstrip() for t in whole])]
    bare = _read(speaker, whole)
    labelled = [
        _read(speaker, [wording.fill(text.strip(), prompt, word, lead) for text in texts])
        for word in words
    ]
    out = []
    for n, ids in enumerate(bare):
        shared = min(_common(ids, rows[n]) for rows in labelled)
        if not shared:
            raise PezError(
                f"{speaker.name} has no start token and there is nothing before the label; give "
                "--template some words of its own."
            )
        out.append(Context(tuple(ids[:shared]), tuple(tuple(r[n][shared:]) for r in labelled)))
    return out


def frames(
    speaker: Speaker, wording: Wording, texts: Sequence[str], words: Sequence[str]
) -> list[Frame | None]:
    """The ids around any prompt of whole words, for each text; None where the tokenizer joins the
    text with a prompt's words, so that they do not depend on each other alone.
    """
    one, two = _two_words(speaker)
    pairs = zip(
        contexts(speaker, wording, f"{one} {one}", texts, words),
        contexts(speaker, wording, f"{two} {two}", texts, words),
        strict=True,
    )
    out: list[Frame | None] = []
    for a, b in pairs:
        before = _common(a.ids, b.ids)
        after = _common(a.ids[::-1], b.ids[::-1])
        alike = len(a.ids) == len(b.ids) and a.tails == b.tails and a.ids != b.ids
        if not alike or before + after + 2 != len(a.ids):
            out.append(None)
        else:
            out.append(Frame(a.ids[:before], a.ids[len(a.ids) - after :], a.tails))
    return out


def answers(speaker: Speaker, words: Sequence[str]) -> Tails:
    """The ids of each label as a text by itself, without an end token."""
    found = speaker.tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return tuple(map(tuple, found))


def check_words(tails: Tails, words: Sequence[str]) -> str:
    """What to tell of label words that begin alike; empty if none do. PezError for words that no
    model can tell apart: the same ids, or all ids of one at the beginning of another, which is
    then never the likelier one.
    """
    for n, one in enumerate(tails):
        if not one:
            raise PezError(f"the label word {words[n]!r} has no token; give another.")
        for m, other in enumerate(tails):
            if n != m and other[: len(one)] == one:
                if len(one) == len(other):
                    raise PezError(
                        f"the label words {words[n]!r} and {words[m]!r} are the same tokens; "
                        "give others with --label-words."
                    )
                raise PezError(
                    f"the label word {words[n]!r} is the beginning of {words[m]!r}, which can "
                    "then never be the likelier one; give others with --label-words."
                )
    firsts = [one[0] for one in tails]
    alike = [word for word, first in zip(words, firsts, strict=True) if firsts.count(first) > 1]
    if not alike:
        return ""
    return (
        f"the label words {' and '.join(alike)} share their first token; they are told apart by "
        "the sum of the log-probabilities of all their tokens."
    )


def cut_texts(
    speaker: Speaker, wording: Wording, texts: Sequence[str], words: Sequence[str], prompt: int
) -> tuple[list[str], int]:
    """The texts, each cut at its end to what fits the model's context beside a prompt of so many
    tokens and the label, and how many were cut. PezError if there is no room for any text.
    """
    (empty,) = contexts(speaker, wording, "", ["a"], words)
    room = speaker.context - len(empty.ids) - max(map(len, empty.tails)) - prompt - 2
    if room < 1:
        raise PezError(
            f"{speaker.name} reads {speaker.context} tokens, which leaves none for a text; "
            "choose a smaller --length or a shorter --template."
        )
    if not texts:
        return [], 0
    found = speaker.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    out, cut = [], 0
    for text, ids in zip(texts, found, strict=True):
        kept = text
        size = room
        while len(ids) > room and size > 0:
            kept = speaker.tokenizer.decode(ids[:size], clean_up_tokenization_spaces=False)
            again = speaker.tokenizer(kept, add_special_tokens=False)["input_ids"]
            if len(again) <= room:
                break
            size -= len(again) - room
        cut += kept != text
        out.append(kept)
    return out, cut


def _typed(speaker: Speaker, texts: Sequence[str]) -> list[list[int]]:
    """Ids of whole texts, as the tokenizer gives them."""
    return speaker.tokenizer(list(texts))["input_ids"] if texts else []


def _read(speaker: Speaker, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts that go on: without what the tokenizer puts behind them."""
    behind = speaker.around[1]
    rows = _typed(speaker, texts)
    return [row[: len(row) - len(behind)] if behind else row for row in rows]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two rows begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _two_words(speaker: Speaker) -> tuple[str, str]:
    """Two words of one token each. PezError for a tokenizer without such words."""
    ids = speaker.tokens.whole_words().tolist()
    if len(ids) < 2:
        raise PezError(f"the tokenizer of {speaker.name} has no whole words to search.")
    return speaker.tokens.decode([ids[0]]), speaker.tokens.decode([ids[-1]])
