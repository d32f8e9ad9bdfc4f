"""What the buttons of a searching tab do: search, go on from changed words, and change words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pez.errors import PezError
from pez.options import SearchOptions
from pez.result import Result
from pez.search.stop import Stop
from pez.session.items import Item
from pez.session.runs import run
from pez.session.session import Session, Watch
from pez.session.swaps import best_swaps, prompt_score
from pez.web.aims import Aim
from pez.web.board import desk_board, error_board, in_page, running_board
from pez.web.desk import Desk, going_on, plain_words
from pez.web.models import Models
from pez.web.running import Running, Work, follow

_LOG = logging.getLogger(__name__)
SWAPS = 10  # words offered for a place
Boards = Iterator[str]


@dataclass(frozen=True)
class Wanted:
    """What the controls of a tab say: the model, and options by name."""

    model: str
    options: dict[str, Any]
    avoid: str = ""  # words that were typed


@dataclass(frozen=True)
class Bench:
    """Searches of one kind: ``options`` is the class of the verb's options."""

    models: Models
    options: type[SearchOptions]

    def find(self, desk: Desk, aim: Callable[[], Aim], wanted: Wanted) -> Boards:
        """Search anew for what ``aim`` says; locked words are in the prompt, banned ones are not.
        The board, again and again until it is done.
        """
        try:
            target = aim()
            kept = plain_words(sorted(desk.locked))
            options = self._options(desk, wanted, {"keep": kept})
        except PezError as error:
            yield self._sorry(desk, error)
            return
        items: list[Item] = []

        def work(watch: Watch) -> list[Result | None]:
            reader = self.models.reader(wanted.model)
            results = target.search(Session.of(reader, options), watch)
            items.extend(target.items(reader))
            return results

        def take(results: list[Result | None]) -> None:
            desk.take(items, target.thumbs(), results, wanted.model)

        yield from self._search(desk, work, take)

    def go_on(self, desk: Desk, wanted: Wanted) -> Boards:
        """Search on from the words that are shown, for the same target and with its model."""
        try:
            if not desk.items or not desk.ids:
                raise PezError("there is no prompt yet to go on from; find one first.")
            reader = self.models.reader(desk.model)
            more = going_on(desk, reader.tokens) | {"model": (desk.model,)}
            options = self._options(desk, wanted, more)
        except PezError as error:
            yield self._sorry(desk, error)
            return
        place, desk.changed = desk.chosen, False

        def work(watch: Watch) -> list[Result | None]:
            session = Session.of(reader, options)
            return run(session, [desk.items[place]], watch, len(desk.ids))

        def take(results: list[Result | None]) -> None:
            desk.results = [*desk.results[:place], *results, *desk.results[place + 1 :]]
            desk.choose(place)

        yield from self._search(desk, work, take)

    def follow_up(self, desk: Desk, wanted: Wanted) -> Boards:
        """Search on after a word was locked, banned or exchanged; nothing after other clicks, and
        where no word is left to change.
        """
        changed, desk.changed = desk.changed, False
        if not changed or desk.searching:
            return
        if desk.is_free(self.models.reader(desk.model).tokens):
            yield from self.go_on(desk, wanted)

    def act(self, desk: Desk, act: str, n: int) -> str:
        """What a click on the board asks for. The board after it."""
        if desk.searching:
            return self._shown(desk, "a search is running; stop it first, or wait.")
        try:
            with self.models.busy:
                self._act(desk, act, n)
        except PezError as error:
            return self._shown(desk, in_page(error))
        except Exception as error:
            _LOG.exception("a click on the page failed")
            failed = f"This failed ({type(error).__name__}: {error}); try again."
            return self._shown(desk, failed)
        return self._shown(desk)

    def _act(self, desk: Desk, act: str, n: int) -> None:
        if not desk.model or desk.result is None:
            raise PezError("there is no prompt yet; find one first.")
        reader = self.models.reader(desk.model)
        tokens, item = reader.tokens, desk.items[desk.chosen]
        if act == "open":
            desk.word(tokens, n)
            desk.opened = None if desk.opened == n else n
            desk.swaps = []
            if desk.opened is not None:
                words = self.models.vocabulary(desk.model)
                some = SWAPS + len(desk.banned)
                found = best_swaps(reader, words, item, desk.ids, n, some)
                desk.swaps = [one for one in found if one.word not in desk.banned][:SWAPS]
        elif act == "close":
            desk.opened, desk.swaps = None, []
        elif act == "lock":
            desk.lock(desk.word(tokens, n))
            desk.opened, desk.swaps = None, []
        elif act == "ban":
            desk.ban(desk.word(tokens, n))
            desk.opened, desk.swaps = None, []
        elif act == "allow" and 0 <= n < len(desk.banned):
            desk.ban(desk.banned[n])
        elif act == "swap" and desk.opened is not None and 0 <= n < len(desk.swaps):
            ids = list(desk.ids)
            ids[desk.opened] = desk.swaps[n].id
            score = prompt_score(reader, item, tokens.decode(ids))
            desk.exchange(reader, desk.opened, desk.swaps[n], score)
        elif act == "choose" and 0 <= n < len(desk.results):
            desk.choose(n)
        elif act == "other" and 0 <= n < len(desk.result.alternatives):
            text = desk.result.alternatives[n]["prompt"]
            desk.ids, desk.edited = tokens.encode(text)[: reader.limit], True
            desk.score = prompt_score(reader, item, text)
        else:
            raise PezError("the page is older than what is on the desk; click it again.")

    def _options(self, desk: Desk, wanted: Wanted, more: dict[str, Any]) -> SearchOptions:
        typed = wanted.avoid.replace(",", " ").split()
        ban = plain_words(list(dict.fromkeys([*desk.banned, *typed])))
        own = {"model": (wanted.model,), "device": self.models.device, "dtype": self.models.dtype}
        every: dict[str, Any] = wanted.options | own | {"ban": ban} | more
        if "init" in more:
            every.pop("ratio", None)  # the start's length is the prompt's
        return self.options(**every)

    def _search(
        self, desk: Desk, work: Work, take: Callable[[list[Result | None]], None]
    ) -> Boards:
        """Do the ``work`` of a search, and let ``take`` put its results on the desk."""
        if desk.searching:
            yield self._shown(desk, "a search is running; stop it first, or wait.")
            return
        stop = desk.stop = Stop()
        running, last = Running(), ""
        try:
            for running in follow(work, stop, self.models.busy):
                if not running.over and (board := running_board(running)) != last:
                    last = board
                    yield board
        finally:
            desk.stop = None
        desk.curve, desk.notes = list(running.curve), list(running.notes)
        if running.wrong:
            yield self._sorry(desk, running.wrong)
            return
        if not any(running.results):
            yield self._sorry(desk, "stopped before the first prompt was found.")
            return
        take(running.results)
        yield self._shown(desk)

    def _sorry(self, desk: Desk, error: object) -> str:
        return self._shown(desk, in_page(error))

    def _shown(self, desk: Desk, error: str = "") -> str:
        if not desk.results:
            return error_board(error)
        return desk_board(desk, self.models.reader(desk.model).tokens, error)
