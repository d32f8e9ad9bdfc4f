"""The one family of errors that users can cause, and what a stop by the user raises."""

from __future__ import annotations

from typing import Any


class PezError(Exception):
    """Bad input: one sentence that says what is wrong and what to do about it.

    The CLI prints it and exits with code 2.
    """


class PezWarning(UserWarning):
    """What a user should know though all goes on; the CLI prints it as a line on stderr."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a verb called from Python; the best so far is kept.

    ``results`` has a place for each input, in their order: its :class:`pez.Result`, which says
    ``interrupted`` if its search was cut short, or the :class:`PezError` that says why there is
    none. As a KeyboardInterrupt it ends a program that does not catch it.
    """

    def __init__(self, results: list[Any]) -> None:
        found = sum(not isinstance(result, Exception) for result in results)
        super().__init__(
            f"stopped by Ctrl-C with a prompt for {found} of {len(results)}; see .results"
        )
        self.results = results
