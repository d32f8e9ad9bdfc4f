"""What a visitor has on the desk: results, the words that were locked or banned, the running
search. Every tab of a browser has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pez.errors import PezError
from pez.models import Reader
from pez.result import Result
from pez.search.stop import Stop
from pez.search.tokens import Tokens
from pez.session.items import Item
from pez.session.swaps import Swap
from pez.session.typed import plain_words as plain_words

COMMA = ","


@dataclass(frozen=True)
class Chip:
    """A word of the prompt at a ``place`` among its tokens."""

    place: int
    word: str
    locked: bool = False
    banned: bool = False


@dataclass(eq=False)
class Desk:
    """A visitor's results and choices.

    ``items`` are what was searched for last, as ``model`` sees them (no picture stays in memory),
    ``thumbs`` are small pictures of them;
    ``chosen`` is the place of the result whose words are shown, ``ids`` are these, and ``score``
    is theirs. ``opened`` is the place of the word whose ``swaps`` are shown.
    """

    model: str = ""
    items: list[Item] = field(default_factory=list)
    thumbs: list[str] = field(default_factory=list)
    results: list[Result | None] = field(default_factory=list)
    chosen: int = 0
    ids: list[int] = field(default_factory=list)
    score: float | None = None
    edited: bool = False  # by hand, since the search
    changed: bool = False  # a word was locked, banned or exchanged, and no search followed yet
    locked: set[str] = field(default_factory=set)
    banned: list[str] = field(default_factory=list)
    opened: int | None = None
    swaps: list[Swap] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stop: Stop | None = None  # of the running search

    @property
    def result(self) -> Result | None:
        """The result whose words are shown."""
        return self.results[self.chosen] if self.chosen < len(self.results) else None

    @property
    def searching(self) -> bool:
        """Whether a search runs."""
        return self.stop is not None

    def halt(self) -> None:
        """Ask the running search to stop."""
        if self.stop is not None:
            self.stop.asked = True

    def take(
        self, items: list[Item], thumbs: list[str], results: list[Result | None], model: str
    ) -> None:
        """Put new results on the desk. Locks and bans stay."""
        self.items, self.thumbs, self.results, self.model = items, thumbs, results, model
        self.choose(next((n for n, one in enumerate(results) if one), 0))

    def choose(self, place: int) -> None:
        """Show the words of the result at a place."""
        self.chosen, self.opened, self.swaps, self.edited = place, None, [], False
        found = self.result
        self.ids = list(found.ids) if found else []
        self.score = found.score if found else None

    def chips(self, tokens: Tokens) -> list[Chip]:
        """The words shown, without commas between them."""
        return chips(tokens, self.ids, self.locked, self.banned)

    def word(self, tokens: Tokens, place: int) -> str:
        """The word at a place. PezError if there is none: the page may be older than the desk."""
        if not 0 <= place < len(self.ids):
            raise PezError("this word is no longer in the prompt; click it again.")
        return tokens.decode([self.ids[place]])

    def lock(self, word: str) -> None:
        """Lock a word, or unlock it."""
        self.locked ^= {word}
        if word in self.banned:
            self.banned.remove(word)
        self.changed = word in self.locked

    def ban(self, word: str) -> None:
        """Ban a word, or allow it again."""
        self.locked.discard(word)
        if word in self.banned:
            self.banned.remove(word)
        else:
            self.banned.append(word)
        self.changed = word in self.banned

    def exchange(self, reader: Reader, place: int, new: Swap, score: float) -> None:
        """Put another word at a place and lock it: it was chosen by hand."""
        self.locked.discard(self.word(reader.tokens, place))
        self.ids[place] = new.id
        self.locked.add(new.word)
        self.score, self.edited, self.opened, self.swaps = score, True, None, []
        self.changed = True

    def is_free(self, tokens: Tokens) -> bool:
        """Whether a search that goes on could change a word: not all are locked."""
        return any(not chip.locked for chip in self.chips(tokens))


def chips(
    tokens: Tokens, ids: Sequence[int], locked: set[str], banned: Sequence[str]
) -> list[Chip]:
    """The words of a prompt, without commas between them."""
    words = [(place, tokens.decode([i])) for place, i in enumerate(ids)]
    return [
        Chip(place, word, word in locked, word in banned) for place, word in words if word != COMMA
    ]


def going_on(desk: Desk, tokens: Tokens) -> dict[str, Any]:
    """The options of a search that goes on from the words shown: they are its start, and commas
    and locked words stay where they are.
    """
    words = [tokens.decode([i]) for i in desk.ids]
    keep = [word for word in dict.fromkeys(words) if word in desk.locked or word == COMMA]
    start = "ids:" + ",".join(map(str, desk.ids))
    style = "phrases" if COMMA in words else "words"
    return {"init": start, "keep": plain_words(keep), "length": len(desk.ids), "style": style}


def edited(result: Result, desk: Desk, tokens: Tokens) -> Result:
    """A result with the words that are shown, and without what was said of the words before."""
    if not desk.edited or desk.score is None:
        return result
    prompt = tokens.decode(desk.ids)
    return replace(
        result, prompt=prompt, ids=list(desk.ids), score=desk.score, alternatives=[], history=None
    )
