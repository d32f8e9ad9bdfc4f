"""Fixed words and free slots of a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.errors import PezError
from pez.search.tokens import Tokens

_SLOT = re.compile(r"\{(\d*)\}")


@dataclass(frozen=True, eq=False)
class Template:
    """``fixed`` (l,) holds every id of the prompt, 0 where free; ``free`` (k,) the free places."""

    fixed: Tensor
    free: Tensor

    @property
    def slots(self) -> int:
        """How many ids are searched."""
        return len(self.free)

    @property
    def length(self) -> int:
        """How many ids the whole prompt has."""
        return len(self.fixed)

    def fill(self, chosen: Tensor) -> Tensor:
        """Whole prompts (b, l) from chosen ids (b, k)."""
        ids = self.fixed.expand(len(chosen), -1).clone()
        ids[:, self.free] = chosen
        return ids

    def fill_embeddings(self, fixed: Tensor, chosen: Tensor) -> Tensor:
        """Embeddings of whole prompts (b, l, w) from those of ``fixed`` (l, w) and the
        chosen ones (b, k, w); differentiable in the latter.
        """
        if self.slots == self.length:
            return chosen
        whole = fixed.expand(len(chosen), -1, -1)
        return whole.index_copy(1, self.free, chosen)

    def first(self, count: int) -> Template:
        """The beginning of a prompt, with only the first ``count`` of the free places: what stands
        behind the last of these up to the last free place of all is not there yet.
        """
        drop = torch.zeros(self.length, dtype=torch.bool, device=self.fixed.device)
        if count < self.slots:
            begin = int(self.free[count - 1]) + 1 if count else int(self.free[0])
            drop[begin : int(self.free[-1]) + 1] = True
        moved = (~drop).cumsum(0) - 1
        return Template(self.fixed[~drop], moved[self.free[:count]])

    def to(self, device: torch.device) -> Template:
        """The same template on another device."""
        return Template(self.fixed.to(device), self.free.to(device))


def parse_template(
    text: str, tokens: Tokens, length: int, keep: Sequence[str] = (), limit: int | None = None
) -> Template:
    """Read ``"a photo of {} in the style of {}"``.

    ``length`` free ids are spread evenly over the slots ``{}`` (the first get what is left
    over); ``{3}`` asks for three. Words of ``keep`` come first unless the template
    has them. Raises PezError without a slot or beyond the model's limit.
    """
    words, counts = read_slots(text, length)
    limit = tokens.limit if limit is None else limit
    check_length(sum(counts), limit)  # before lists of that length are made
    plain = _encoded(words, tokens)
    front = words_in_front(text, tokens, keep)
    ids, free = front + plain[0], []
    for count, piece in zip(counts, plain[1:], strict=True):
        free += range(len(ids), len(ids) + count)
        ids = ids + [0] * count + piece
    check_length(len(ids), limit)
    return Template(torch.tensor(ids), torch.tensor(free))


def read_slots(text: str, length: int) -> tuple[list[str], list[int]]:
    """The texts around the slots of a template, one more than slots, and each slot's free places,
    of which there are ``length`` in all unless every slot has a number. PezError as for
    :func:`parse_template`.
    """
    parts = _SLOT.split(text)
    words, sizes = parts[0::2], parts[1::2]
    if not sizes:
        raise PezError(
            f"the template {text!r} has no slot; write {{}} where the search may put words, "
            'as in "a photo of {}".'
        )
    if any(c in piece for piece in words for c in "{}"):
        raise PezError(f"the template {text!r} has a stray brace; a slot is {{}} or {{3}}.")
    if length < 1:
        raise PezError("the length must be at least 1 token; give --length 8, for instance.")
    return words, _spread(sizes, length, text)


def words_in_front(text: str, tokens: Tokens, keep: Sequence[str]) -> list[int]:
    """Ids of the words to ``keep`` that the template ``text`` does not have: they stand first."""
    plain = _encoded(_SLOT.split(text)[0::2], tokens)
    front: list[int] = []
    for word in map(tokens.encode, keep):
        if not any(_contains(piece, word) for piece in (front, *plain)):
            front += word
    return front


def _encoded(pieces: Sequence[str], tokens: Tokens) -> list[list[int]]:
    return [tokens.encode(piece) if piece.strip() else [] for piece in pieces]


def freeze(ids: Sequence[int], keep: Sequence[int]) -> Template:
    """A template of given ids in which those in ``keep`` may not change."""
    free = [n for n, i in enumerate(ids) if i not in keep]
    if not free:
        raise PezError("every word is kept, so nothing is left to search; keep fewer words.")
    fixed = [i if i in keep else 0 for i in ids]
    return Template(torch.tensor(fixed), torch.tensor(free))


def check_length(length: int, limit: int) -> None:
    """Raise PezError if a prompt of ``length`` ids is more than the model reads."""
    if length > limit:
        raise PezError(
            f"the prompt would have {length} tokens, but this model reads at most {limit}; "
            "choose a smaller --length or a shorter template."
        )


def _contains(ids: Sequence[int], word: Sequence[int]) -> bool:
    """Whether ``ids`` contain all of ``word`` in one piece."""
    return any(ids[n : n + len(word)] == word for n in range(len(ids) - len(word) + 1))


def _number(digits: str) -> int:
    """A number of tokens; beyond ten digits they are too many anyway, and slow to read."""
    return int(digits.lstrip("0")[:10] or 0)


def _spread(sizes: Sequence[str], length: int, text: str) -> list[int]:
    asked = [_number(s) if s else 0 for s in sizes]
    open_slots = sizes.count("")
    if any(s and n == 0 for s, n in zip(sizes, asked, strict=True)):
        raise PezError(f"a slot of the template {text!r} has no room; write {{}} or {{3}}.")
    if not open_slots:
        return asked
    rest = length - sum(asked)
    if rest < open_slots:
        raise PezError(
            f"{length} tokens cannot fill the {len(sizes)} slots of {text!r}; raise --length."
        )
    share, extra = divmod(rest, open_slots)
    counts = []
    for size in asked:
        counts.append(size or share + (1 if extra > 0 else 0))
        extra -= size == 0
    return counts
