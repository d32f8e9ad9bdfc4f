r"""Prompts that change between steps, and prompts that are added up, as A1111's web UI writes them.

``[from:to:when]`` and ``[to:when]`` change at a step, ``[a|b]`` takes turns at each (its wiki,
"Prompt editing" and "Alternating words"). A ``when`` with a point is a part of all steps, 0.5 the
half; one without is a number of steps. As that page has it, ``from`` is drawn for ``when`` steps;
the web UI's own code draws it for one more.

``a AND b :0.5`` is a sum: each prompt is read by itself, and the steps away from the negative one
add up by weight (Liu et al. 2022, "Compositional visual generation"; the wiki's "Composable
Diffusion").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pez.errors import PezError
from pez.generation.weights import MOST

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*")
_AND = re.compile(r"(?<=\S)\s+AND(?=\s+\S)")
_SIGN = re.compile(r"(?<!\S)AND(?!\S)")
# a time or a ratio at the end, "at 12:30", is no weight of 30
_WEIGHT = re.compile(r"(?<!\d)\s*:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$|:\s*([+-]?\d*\.\d+)\s*$")
MOST_DEEP = 50


@dataclass(frozen=True)
class Part:
    """One of the prompts of a sum, and its weight."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class _Node:
    """A place in a prompt that is another text at other steps; ``when`` is empty for turns."""

    options: tuple[_Parts, ...]
    when: str = ""


_Parts = tuple["str | _Node", ...]


def pairs(text: str, signs: str) -> dict[int, int]:
    """Where each opening bracket of ``signs`` (such as ``[]``) ends; not those behind a backslash,
    and none that is alone.
    """
    found: dict[int, int] = {}
    waiting: list[int] = []
    n = 0
    while n < len(text):
        if text[n] == "\\":
            n += 1
        elif text[n] == signs[0]:
            waiting.append(n)
        elif text[n] == signs[1] and waiting:
            found[waiting.pop()] = n
        n += 1
    return found


def split_at(text: str, signs: str, start: int, end: int, within: dict[int, int]) -> Iterator[int]:
    """Where one of ``signs`` stands between ``start`` and ``end``, outside the pairs ``within`` and
    outside round brackets.
    """
    depth, n = 0, start
    while n < end:
        if text[n] == "\\":
            n += 1
        elif n in within:
            n = within[n]
        elif text[n] == "(":
            depth += 1
        elif text[n] == ")":
            depth = max(0, depth - 1)
        elif text[n] in signs and not depth:
            yield n
        n += 1


def changes(text: str) -> str:
    """The first part of a prompt that is another text at other steps; "" if none is."""
    ends = pairs(text, "[]")
    found = next((n for n in sorted(ends) if _node(text, n, ends, 0) is not None), None)
    return "" if found is None else text[found : ends[found] + 1]


def texts_of(text: str, steps: int) -> tuple[str, ...]:
    """The prompt at each of ``steps`` steps. PezError for one that is nested too deeply."""
    parts = _parse(text, 0, len(text), pairs(text, "[]"), 0)
    if all(isinstance(part, str) for part in parts):
        return (text,) * steps
    return tuple(_at(parts, step, steps) for step in range(steps))


def parts_of_sum(text: str) -> list[Part]:
    """The prompts that a prompt adds up, one alone for most; a text all in capitals has no sign
    among its words, and neither has what stands in brackets.
    """
    if text.isupper() or "AND" not in text:
        return [Part(text)]
    inside = sorted((pairs(text, "[]") | pairs(text, "()")).items())
    cuts: list[re.Match[str]] = []
    place = end = 0
    for found in _AND.finditer(text):
        while place < len(inside) and inside[place][0] < found.start():
            end = max(end, inside[place][1])
            place += 1
        if found.start() >= end:
            cuts.append(found)
    if not cuts:
        return [Part(text)]
    starts = [0, *(found.end() for found in cuts)]
    ends = [*(found.start() for found in cuts), len(text)]
    parts = [_weighed(text[a:b].strip()) for a, b in zip(starts, ends, strict=True)]
    if not all(part.text for part in parts):
        raise PezError("AND adds up two prompts, and one of them has no words; correct it.")
    return parts


def has_and(text: str) -> bool:
    """Whether a sum may be meant."""
    return not text.isupper() and _SIGN.search(text) is not None


def _weighed(text: str) -> Part:
    found = _WEIGHT.search(text)
    if found is None:
        return Part(text)
    weight = float(found[1] or found[2])
    if abs(weight) > MOST:
        raise PezError(f"the weight {weight:g} of a prompt in a sum is above {MOST:g}; lower it.")
    return Part(text[: found.start()].rstrip(), weight)


def _parse(text: str, start: int, end: int, ends: dict[int, int], depth: int) -> _Parts:
    """The parts of ``text`` between two places: plain texts and places that change."""
    out: list[str | _Node] = []
    plain = n = start
    while n < end:
        node = _node(text, n, ends, depth) if n in ends else None
        if node is not None:
            out += [text[plain:n], node]
            n = ends[n]
            plain = n + 1
        n += 1
    out.append(text[plain:end])
    return tuple(part for part in out if part != "")


def _node(text: str, n: int, ends: dict[int, int], depth: int) -> _Node | None:
    """What the bracket at ``n`` means at each step; None for one that only weakens its words."""
    start, end = n + 1, ends[n]
    bars = list(split_at(text, "|", start, end, ends))
    cuts = bars or list(split_at(text, ":", start, end, ends))
    if not cuts:
        return None
    places = zip([start, *(cut + 1 for cut in cuts)], [*cuts, end], strict=True)
    spans = list(places)
    when = ""
    if not bars:
        when = text[slice(*spans.pop())]
        words = text[slice(*spans[-1])]
        time = len(spans) == 1 and words.strip().isdigit() and when.strip().isdigit()
        if len(spans) > 2 or not _NUMBER.fullmatch(when) or time:
            return None
    if depth >= MOST_DEEP:
        raise PezError(
            f"the prompt has more than {MOST_DEEP} brackets within brackets; shorten it."
        )
    options = tuple(_parse(text, a, b, ends, depth + 1) for a, b in spans)
    return _Node(options if bars or len(options) == 2 else ((), *options), when.strip())


def _at(parts: _Parts, step: int, steps: int) -> str:
    """The text of parts at a step, counted from 0."""
    texts = [part if isinstance(part, str) else _chosen(part, step, steps) for part in parts]
    return "".join(texts)


def _chosen(node: _Node, step: int, steps: int) -> str:
    if not node.when:
        return _at(node.options[step % len(node.options)], step, steps)
    first = int(float(node.when) * steps) if "." in node.when else int(node.when)
    return _at(node.options[step >= first], step, steps)
